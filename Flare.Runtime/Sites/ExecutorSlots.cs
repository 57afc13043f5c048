namespace Flare.Runtime;

/// <summary>
/// Slots that the sites of one process share: no more executors run at once than there are slots. A slot is kept until
/// its result is delivered, so that results cannot pile up.
/// </summary>
internal sealed class ExecutorSlots
{
    private readonly FairGate<string, Slot> _gate;

    public ExecutorSlots(int capacity) =>
        _gate = new(capacity, s => s.Granted.TrySetResult(), s => s.Task, s => s.IsParked);

    /// <summary>Waits for a slot.</summary>
    /// <param name="task">The task's id, the same at all sites.</param>
    /// <param name="abort">Ends the wait. Cancelled on the loop, as all that happens here.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled first; no slot was taken.</exception>
    public async Task<Slot> AcquireAsync(string task, CancellationToken abort)
    {
        abort.ThrowIfCancellationRequested();
        var slot = new Slot(_gate, task);
        _gate.Request(slot);
        using var registration = abort.Register(() =>
        {
            if (slot.Granted.TrySetCanceled(abort)) slot.Dispose();
        });
        await slot.Granted.Task;
        return slot;
    }

    /// <summary>One slot; disposing gives it back.</summary>
    internal sealed class Slot(FairGate<string, Slot> gate, string task) : IDisposable
    {
        public string Task => task;

        public TaskCompletionSource Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Whether the executor is done, and its result waits to be sent.</summary>
        public bool IsParked { get; private set; }

        public void Park()
        {
            IsParked = true;
            gate.OnParked();
        }

        public void Dispose() => gate.Release(this);
    }
}

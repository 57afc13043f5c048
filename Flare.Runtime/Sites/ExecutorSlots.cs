namespace Flare.Runtime;

/// <summary>
/// Slots that the sites of one process share: no more executors run at once than there are slots. A slot is kept until
/// its result is delivered, so that results cannot pile up.
/// </summary>
internal sealed class ExecutorSlots
{
    private readonly FairGate<string, Slot> _gate;
    private readonly HashSet<(string Task, string Site)> _waiting = [];
    private readonly int _capacity;

    public ExecutorSlots(int capacity) => (_capacity, _gate) =
        (capacity, new(
            capacity, long.MaxValue, static _ => 0, s => s.Granted.TrySetResult(), s => s.Task, s => s.IsParked));

    /// <summary>Whether a site waits for a slot, so that its executor has not begun.</summary>
    public bool IsWaiting(string task, string site) => _waiting.Contains((task, site));

    /// <summary>Who has the slots, for people.</summary>
    public string Holders =>
        $"all {_capacity} of the process were taken, by {PlainText.Some([.. _gate.Holders.Select(s => s.Site)], 3)}";

    /// <summary>Waits for a slot.</summary>
    /// <param name="task">The task's id, the same at all sites.</param>
    /// <param name="site">The site.</param>
    /// <param name="abort">Ends the wait. Cancelled on the loop, as all that happens here.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled first; no slot was taken.</exception>
    public async Task<Slot> AcquireAsync(string task, string site, CancellationToken abort)
    {
        abort.ThrowIfCancellationRequested();
        var slot = new Slot(_gate, task, site);
        _gate.Request(slot);
        if (slot.Granted.Task.IsCompleted) return slot;
        _waiting.Add((task, site));
        using var registration = abort.Register(() =>
        {
            if (slot.Granted.TrySetCanceled(abort)) slot.Dispose();
        });
        try
        {
            await slot.Granted.Task;
        }
        finally
        {
            _waiting.Remove((task, site));
        }
        return slot;
    }

    /// <summary>One slot; disposing gives it back.</summary>
    internal sealed class Slot(FairGate<string, Slot> gate, string task, string site) : IDisposable
    {
        public string Site => site;
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

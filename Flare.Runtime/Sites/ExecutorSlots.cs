namespace Flare.Runtime;

/// <summary>
/// Slots that the sites of one process share, handed out in the order of asking: no more executors run at once than there are slots. A slot is
/// kept until its result is delivered, so that results cannot pile up. Used on one loop only, so it needs no lock.
/// </summary>
/// <remarks>
/// Where all slots are held by results that wait to be sent, a task that holds none gets one all the same, as it does at
/// <see cref="UploadGate"/>: the workflow may well wait for that task before it takes the results of the others.
/// </remarks>
internal sealed class ExecutorSlots(int capacity)
{
    private readonly HashSet<Slot> _held = [];
    private readonly LinkedList<(string Task, TaskCompletionSource<Slot> Source)> _waiting = new();
    private readonly Dictionary<string, int> _waitingTasks = new(StringComparer.Ordinal);

    /// <summary>Waits for a slot.</summary>
    /// <param name="task">The task's id, the same at all sites.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled first; no slot was taken.</exception>
    public async Task<Slot> AcquireAsync(string task, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (HasRoomFor(task)) return Take(task);
        var node = _waiting.AddLast((task, new TaskCompletionSource<Slot>(TaskCreationOptions.RunContinuationsAsynchronously)));
        _waitingTasks[task] = _waitingTasks.GetValueOrDefault(task) + 1;
        // Cancelling happens on the loop, as everything here: a node is either still waiting or has its slot.
        using var registration = cancellation.Register(() =>
        {
            if (node.List is null) return;
            Leave(node);
            node.Value.Source.TrySetCanceled(cancellation);
        });
        return await node.Value.Source.Task;
    }

    private bool HasRoomFor(string task) => _held.Count < capacity || _held.All(s => s.IsParked && s.Task != task);

    private Slot Take(string task)
    {
        var slot = new Slot(this, task);
        _held.Add(slot);
        return slot;
    }

    private void GrantNext()
    {
        while (_waiting.First is { } next)
        {
            if (_held.Count >= capacity)
            {
                if (_waitingTasks.Keys.FirstOrDefault(HasRoomFor) is not { } task) return;
                while (next.Value.Task != task) next = next.Next!;
            }
            Leave(next);
            next.Value.Source.TrySetResult(Take(next.Value.Task));
        }
    }

    private void Leave(LinkedListNode<(string Task, TaskCompletionSource<Slot> Source)> node)
    {
        _waiting.Remove(node);
        if (--_waitingTasks[node.Value.Task] == 0) _waitingTasks.Remove(node.Value.Task);
    }

    /// <summary>One slot; disposing gives it back.</summary>
    internal sealed class Slot(ExecutorSlots slots, string task) : IDisposable
    {
        public string Task => task;

        /// <summary>Whether the executor is done, and its result waits to be sent.</summary>
        public bool IsParked { get; private set; }

        public void Park()
        {
            IsParked = true;
            slots.GrantNext();
        }

        public void Dispose()
        {
            if (slots._held.Remove(this)) slots.GrantNext();
        }
    }
}

namespace Flare.Runtime;

/// <summary>A number of slots, handed out in the order of asking. Used on one loop only, so it needs no lock.</summary>
internal sealed class AsyncSlots(int capacity)
{
    private readonly LinkedList<TaskCompletionSource> _waiting = new();
    private int _free = capacity;

    /// <summary>Waits for a slot.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled first; no slot was taken.</exception>
    public async Task AcquireAsync(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (_free > 0)
        {
            _free--;
            return;
        }
        var node = _waiting.AddLast(new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        // Cancelling happens on the loop, as everything here: a node is either still waiting or has its slot.
        using var registration = cancellation.Register(() =>
        {
            if (node.List is null) return;
            _waiting.Remove(node);
            node.Value.TrySetCanceled(cancellation);
        });
        await node.Value.Task;
    }

    public void Release()
    {
        if (_waiting.First is { } next)
        {
            _waiting.RemoveFirst();
            next.Value.TrySetResult();
        }
        else
        {
            _free++;
        }
    }
}

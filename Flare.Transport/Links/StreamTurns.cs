namespace Flare.Transport;

/// <summary>
/// The places of a connection's streams, in turn. Not a SemaphoreSlim, whose wait leaves the loop of who waits where it
/// can be broken off.
/// </summary>
internal sealed class StreamTurns
{
    private readonly Lock _gate = new();
    private readonly LinkedList<TaskCompletionSource> _waiting = new();
    private readonly int _places;
    private int _free;

    /// <param name="places">How many streams there may be at once; at least 1.</param>
    public StreamTurns(int places) => _places = _free = places;

    /// <summary>Whether nobody has a place, or waits for one.</summary>
    public bool IsIdle
    {
        get { lock (_gate) return _free == _places && _waiting.Count == 0; }
    }

    /// <summary>Waits for a place.</summary>
    /// <exception cref="OperationCanceledException">The wait was broken off: no place was taken.</exception>
    public async Task EnterAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        LinkedListNode<TaskCompletionSource> turn;
        lock (_gate)
        {
            if (_free > 0)
            {
                _free--;
                return;
            }
            turn = _waiting.AddLast(
                new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        using (cancellationToken.Register(() => GiveUp(turn, cancellationToken))) await turn.Value.Task;
    }

    /// <summary>Gives a place back, to whoever has waited longest.</summary>
    public void Leave()
    {
        TaskCompletionSource? next;
        lock (_gate)
        {
            next = _waiting.First?.Value;
            if (next is null) _free++;
            else _waiting.RemoveFirst();
        }
        next?.SetResult();
    }

    private void GiveUp(LinkedListNode<TaskCompletionSource> turn, CancellationToken why)
    {
        lock (_gate)
        {
            if (turn.List is null) return; // its turn has come just now
            _waiting.Remove(turn);
        }
        turn.Value.SetCanceled(why);
    }
}

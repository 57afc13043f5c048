namespace Flare.Testing;

/// <summary>
/// A job's loop on a <see cref="SimulationLoop"/>: what is posted to it keeps its order, as on a
/// <see cref="Runtime.JobLoop"/>; what runs between two of its callbacks, elsewhere, the seed chooses.
/// </summary>
internal sealed class SimulatedJobLoop(SimulationLoop loop) : SynchronizationContext
{
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _queue = new();

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (!loop.IsOnThread)
        {
            loop.Post(_ => Post(d, state), null); // which counts it as an escape
            return;
        }
        _queue.Enqueue((d, state));
        if (_queue.Count == 1) Schedule();
    }

    public override void Send(SendOrPostCallback d, object? state) =>
        throw new NotSupportedException("Post to a job's loop; it never blocks.");

    public override SynchronizationContext CreateCopy() => this;

    private void Schedule() => loop.Post(static self => ((SimulatedJobLoop)self!).RunNext(), this);

    private void RunNext()
    {
        var (callback, state) = _queue.Peek(); // it holds its place, so that what it posts comes later
        try
        {
            Enter(this, () => callback(state));
        }
        finally
        {
            _queue.Dequeue();
            if (_queue.Count > 0) Schedule();
        }
    }

    /// <summary>Does something on a loop, now: nothing else runs on this thread meanwhile.</summary>
    public static void Enter(SynchronizationContext where, Action action)
    {
        var previous = Current;
        SetSynchronizationContext(where);
        try
        {
            action();
        }
        finally
        {
            SetSynchronizationContext(previous);
        }
    }
}

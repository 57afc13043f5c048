using System.Collections.Concurrent;

namespace Flare.Runtime;

/// <summary>
/// A job's loop: callbacks run one at a time, in the order in which they were posted, on whatever pool thread is free.
/// State that only the loop touches needs no locks, and an idle job costs no thread.
/// </summary>
public sealed class JobLoop : SynchronizationContext
{
    private readonly ConcurrentQueue<(SendOrPostCallback Callback, object? State)> _queue = new();
    private readonly Action<Exception> _unhandled;
    private int _scheduled;

    /// <summary>Creates an idle loop.</summary>
    /// <param name="unhandled">Receives the exception of a callback that threw; the loop goes on.</param>
    public JobLoop(Action<Exception> unhandled) => _unhandled = unhandled;

    /// <inheritdoc/>
    public override void Post(SendOrPostCallback d, object? state)
    {
        _queue.Enqueue((d, state));
        if (Interlocked.Exchange(ref _scheduled, 1) == 0)
            System.Threading.ThreadPool.UnsafeQueueUserWorkItem(static loop => loop.Drain(), this, preferLocal: false);
    }

    /// <summary>Not supported: a blocking call into the loop could wait for itself.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override void Send(SendOrPostCallback d, object? state) =>
        throw new NotSupportedException("Post to a job's loop; it never blocks.");

    /// <inheritdoc/>
    public override SynchronizationContext CreateCopy() => this;

    private void Drain()
    {
        var previous = Current;
        SetSynchronizationContext(this);
        try
        {
            // A turn is bounded so that one busy job does not keep a pool thread from others for good.
            for (var turn = 0; turn < 1024 && _queue.TryDequeue(out var item); turn++)
            {
                try
                {
                    item.Callback(item.State);
                }
                catch (Exception e)
                {
                    // Only an async void or a raw callback ends here; awaited work carries its own exception.
                    _unhandled(e);
                }
            }
        }
        finally
        {
            SetSynchronizationContext(previous);
            // What was posted between the last dequeue and the reset would wait for ever otherwise. The exchange is a
            // full fence: a mere volatile write may still be on its way when the queue is looked at, and then neither
            // this thread nor the one that posts sees the other.
            Interlocked.Exchange(ref _scheduled, 0);
            if (!_queue.IsEmpty && Interlocked.Exchange(ref _scheduled, 1) == 0)
                System.Threading.ThreadPool.UnsafeQueueUserWorkItem(
                    static loop => loop.Drain(), this, preferLocal: false);
        }
    }
}

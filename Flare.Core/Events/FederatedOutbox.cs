using System.Collections.Concurrent;

namespace Flare;

/// <summary>
/// Sends events to the other side on the loop, in the order in which they were fired, whatever thread fires them.
/// </summary>
/// <param name="loop">The loop.</param>
/// <param name="send">Sends one.</param>
/// <param name="limit">How many may wait for the loop, which may be busy; further ones are dropped.</param>
/// <param name="dropped">Told of one that is dropped, on the thread that fired it.</param>
internal sealed class FederatedOutbox(
    SynchronizationContext loop, Action<string, Shareable> send, int limit, Action<string> dropped)
{
    // Not in the closure of what is posted: that the loop runs it in order of posting is the loop's business.
    private readonly ConcurrentQueue<(string Type, Shareable Data)> _fired = new();
    private int _waiting;

    public void Send(string type, Shareable data)
    {
        if (Interlocked.Increment(ref _waiting) > limit && type != EventTypes.SitePanic)
        {
            Interlocked.Decrement(ref _waiting);
            dropped(type);
            return;
        }
        _fired.Enqueue((type, data));
        loop.Post(static state => ((FederatedOutbox)state!).SendNext(), this);
    }

    private void SendNext()
    {
        Interlocked.Decrement(ref _waiting);
        if (_fired.TryDequeue(out var e)) send(e.Type, e.Data);
    }
}

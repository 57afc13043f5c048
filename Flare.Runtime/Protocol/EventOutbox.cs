namespace Flare.Runtime;

/// <summary>Federated events that were sent and not confirmed yet, in their order.</summary>
internal sealed class EventOutbox(int limit)
{
    private const int Window = 64;

    private readonly Queue<FederatedEvent> _pending = new();
    private long _last;

    /// <summary>The oldest that are not confirmed: what is to be said again. More than so many at once would crowd out the tasks.</summary>
    public IEnumerable<FederatedEvent> Pending => _pending.Take(Window);

    /// <summary>Whether there is room for another event.</summary>
    public bool HasRoom => _pending.Count < limit;

    public FederatedEvent Add(string type, Shareable data)
    {
        var e = new FederatedEvent(++_last, type, data);
        _pending.Enqueue(e);
        return e;
    }

    public void Confirm(long sequence)
    {
        while (_pending.TryPeek(out var e) && e.Sequence <= sequence) _pending.Dequeue();
    }

    /// <summary>The receiver starts from nothing: numbers what is pending anew, from 1.</summary>
    public void Restart()
    {
        _last = 0;
        var pending = _pending.ToArray();
        _pending.Clear();
        foreach (var e in pending) Add(e.EventType, e.Data);
    }
}

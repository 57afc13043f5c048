namespace Flare.Runtime;

/// <summary>Federated events that were sent and not confirmed yet, in their order.</summary>
internal sealed class EventOutbox
{
    private readonly Queue<FederatedEvent> _pending = new();
    private long _last;

    public IEnumerable<FederatedEvent> Pending => _pending;

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

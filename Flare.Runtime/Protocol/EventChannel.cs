namespace Flare.Runtime;

/// <summary>
/// One end of the federated events between a server and a site: what was sent and is not confirmed yet, and how far the
/// other end's were seen. Each arrives once and in order: a gap waits for the sender's repetition, what was seen is
/// only confirmed again.
/// </summary>
/// <param name="limit">How many events may wait for their confirmation.</param>
internal sealed class EventChannel(int limit)
{
    private const int Window = 64;

    private readonly Queue<FederatedEvent> _pending = new();
    private long _last;

    /// <summary>
    /// The oldest that are not confirmed: what is to be said again. More than so many at once would crowd out tasks.
    /// </summary>
    public IEnumerable<FederatedEvent> Pending => _pending.Take(Window);

    /// <summary>Whether there is room for another event.</summary>
    public bool HasRoom => _pending.Count < limit;

    /// <summary>The number of the other end's newest event that was seen.</summary>
    public long Seen { get; private set; }

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

    /// <summary>Whether an event of the other end is the next one; it then counts as seen.</summary>
    public bool TrySee(FederatedEvent e)
    {
        if (e.Sequence != Seen + 1) return false;
        Seen = e.Sequence;
        return true;
    }

    /// <summary>
    /// The other end starts from nothing: numbers what is pending anew, from 1, and has seen nothing of it.
    /// </summary>
    public void Restart()
    {
        (_last, Seen) = (0, 0);
        var pending = _pending.ToArray();
        _pending.Clear();
        foreach (var e in pending) Add(e.EventType, e.Data);
    }
}

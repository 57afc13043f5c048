namespace Flare.Runtime;

/// <summary>
/// One end of the federated events between a server and a site: what was sent and is not confirmed yet, and how far the
/// other end's were seen. Each arrives once and in order: a gap waits for the sender's repetition, what was seen is
/// only confirmed again.
/// </summary>
/// <param name="limit">How many events may wait for their confirmation.</param>
/// <param name="isBounded">Whether no more than <see cref="Window"/> are on their way at once; more would crowd out
/// tasks. Where the link never loses anything there is no need.</param>
internal sealed class EventChannel(int limit, bool isBounded)
{
    public const int Window = 64;

    private readonly Queue<FederatedEvent> _pending = new();
    private long _last;
    private long _said;

    /// <summary>The oldest that are not confirmed: what is to be said again.</summary>
    public IReadOnlyList<FederatedEvent> Again()
    {
        FederatedEvent[] due = isBounded ? [.. _pending.Take(Window)] : [.. _pending];
        if (due.Length > 0) _said = Math.Max(_said, due[^1].Sequence);
        return due;
    }

    /// <summary>Whether there is room for another event.</summary>
    public bool HasRoom => _pending.Count < limit;

    /// <summary>The number of the other end's newest event that was seen.</summary>
    public long Seen { get; private set; }

    /// <summary>Adds an event.</summary>
    /// <returns>It, where it is to be said now; null where others are confirmed first.</returns>
    public FederatedEvent? Add(string type, Shareable data)
    {
        var e = new FederatedEvent(++_last, type, data);
        _pending.Enqueue(e);
        if (isBounded && _pending.Count > Window) return null;
        _said = e.Sequence;
        return e;
    }

    /// <summary>The other end has seen all up to a number.</summary>
    /// <returns>Those for which there is room now.</returns>
    public IReadOnlyList<FederatedEvent> Confirm(long sequence)
    {
        while (_pending.TryPeek(out var e) && e.Sequence <= sequence) _pending.Dequeue();
        if (!isBounded || _said == _last) return [];
        var said = _said;
        return [.. Again().Where(e => e.Sequence > said)];
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
        (_last, _said, Seen) = (0, 0, 0);
        var pending = _pending.ToArray();
        _pending.Clear();
        foreach (var e in pending) _pending.Enqueue(e with { Sequence = ++_last });
    }
}

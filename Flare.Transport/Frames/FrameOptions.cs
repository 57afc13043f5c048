namespace Flare.Transport;

/// <summary>
/// The limits and intervals of a connection. Each end has its own; what one end states in its hello, the other keeps.
/// </summary>
public sealed record FrameOptions
{
    /// <summary>
    /// Bytes that a message may have that arrives here; what is longer travels as a stream. 1 KiB to 1 MiB; 64 KiB
    /// unless set. A longer one ends the connection.
    /// </summary>
    public int MaxMessageBytes { get; init; } = 64 * 1024;

    /// <summary>
    /// Bytes that may stand before a stream's content and say what it is; 64 bytes to 1 MiB; 64 KiB unless set.
    /// </summary>
    public int MaxStreamHeadBytes { get; init; } = 64 * 1024;

    /// <summary>
    /// Streams that may arrive at once, 1 to 1,048,576; 16 unless set. Whoever opens more loses the connection.
    /// </summary>
    public int MaxStreams { get; init; } = 16;

    /// <summary>
    /// Bytes of a stream that may be on their way here before they are taken; 64 KiB to 1 GiB, 8 MiB unless set. It
    /// takes no memory, and bounds the speed of a stream to this much a round trip.
    /// </summary>
    public int StreamWindow { get; init; } = 8 * 1024 * 1024;

    /// <summary>
    /// Bytes of messages that may wait here to be sent; 1 MiB and 64 KiB at least, so that the longest message finds
    /// room, to 1 GiB; 4 MiB unless set. A peer that takes so little that more would wait loses the connection.
    /// </summary>
    public int MaxQueuedBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// How long a message that nobody waits for, such as a receipt, may wait for another one to go out with: a write
    /// and a read less for each. 0 to 1 s; 5 ms unless set.
    /// </summary>
    public TimeSpan ReceiptDelay { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>How long the hello of the other end may take; 10 s unless set.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long nothing at all may arrive before the connection counts as lost; 30 s unless set. Either end says
    /// something at least three times in it, whatever else is on the way.
    /// </summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long the other end may take nothing of what is sent before the connection counts as lost; 60 s unless set.
    /// </summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Bytes of its streams that the other end must send within <see cref="StallTimeout"/> while one is open: one that
    /// trickles holds a place that others wait for. 64 KiB unless set; 0 for any.
    /// </summary>
    public int LeastStreamBytes { get; init; } = 64 * 1024;

    /// <summary>
    /// Whether the sender bounds what is on its way by the delay that it sees, so that a small message passes a large
    /// stream soon. Null, the default: where the transport cannot bound what its system holds unsent. The bound is
    /// taken from round trips, one for each chunk.
    /// </summary>
    public bool? PaceSending { get; init; }

    /// <summary>The delay that a paced sender lets its streams cause; 10 ms unless set.</summary>
    public TimeSpan PacedDelay { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Bounds the bytes that streams send; any number of connections may share one. Null, for no bound,
    /// unless set.</summary>
    public BandwidthLimit? SendLimit { get; init; }

    /// <summary>
    /// Bounds the bytes of streams that arrive, by giving the other end credit later. What each may send at once,
    /// <see cref="StreamWindow"/>, it may send without: a small one keeps the flow even. Null, for no bound, unless
    /// set.
    /// </summary>
    public BandwidthLimit? ReceiveLimit { get; init; }

    /// <summary>Everything that is wrong with these options; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        foreach (var (name, value, (least, most)) in new[]
        {
            (nameof(MaxMessageBytes), MaxMessageBytes, WireLimits.MessageBytes),
            (nameof(MaxStreamHeadBytes), MaxStreamHeadBytes, WireLimits.StreamHeadBytes),
            (nameof(MaxStreams), MaxStreams, WireLimits.Streams),
            (nameof(StreamWindow), StreamWindow, WireLimits.StreamWindow),
            // The other end may take the longest message that there is, or a stream's head, behind what waits.
            (nameof(MaxQueuedBytes), MaxQueuedBytes, (WireLimits.MessageBytes.Most + (1 << 16), 1 << 30)),
            (nameof(LeastStreamBytes), LeastStreamBytes, (0, 1 << 30)),
        })
        {
            if (value < least || value > most)
                yield return $"{name} is {value}; it must be from {least} to {most}";
        }
        if (ReceiptDelay < TimeSpan.Zero || ReceiptDelay > TimeSpan.FromSeconds(1))
            yield return $"{nameof(ReceiptDelay)} is {ReceiptDelay}; it must be from 0 to 1 s";
        foreach (var (name, value, least) in new[]
        {
            (nameof(HandshakeTimeout), HandshakeTimeout, 0.1), (nameof(IdleTimeout), IdleTimeout, 0.3),
            (nameof(StallTimeout), StallTimeout, 0.3), (nameof(PacedDelay), PacedDelay, 0.001),
        })
        {
            if (value < TimeSpan.FromSeconds(least) || value > TimeSpan.FromDays(1))
                yield return Invariant($"{name} is {value}; it must be from {least} s to a day");
        }
    }
}

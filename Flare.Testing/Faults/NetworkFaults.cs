using Flare.Runtime;

namespace Flare.Testing;

/// <summary>How bad a <see cref="SimulatedNetwork"/> is. Probabilities are per message, from 0 to 1.</summary>
public sealed record NetworkFaults
{
    /// <summary>A network without faults: messages take 1 to 5 ms.</summary>
    public static NetworkFaults None { get; } = new() { MaxDelay = TimeSpan.FromMilliseconds(5) };

    /// <summary>
    /// Whether the network keeps messages in order and loses none, as one connection does whose ends live: links then
    /// say so, and the runtime repeats nothing. No other fault goes with it. False unless set.
    /// </summary>
    public bool IsReliable { get; init; }

    /// <summary>
    /// Whether each site has a session, as over a connection: messages keep their order and none is lost while it
    /// lives; it breaks with a lost message, a cut and the end of either process, and begins again when it can. Then
    /// nothing arrives twice and nothing straggles. False unless set.
    /// </summary>
    public bool HasSessions { get; init; }

    internal LinkPromise Promise => IsReliable ? LinkPromise.Always
        : HasSessions ? LinkPromise.Session : LinkPromise.None;

    /// <summary>How likely a message is lost.</summary>
    public double Loss { get; init; }

    /// <summary>How likely it arrives twice.</summary>
    public double Duplication { get; init; }

    /// <summary>How likely it is held up, so that many later ones overtake it.</summary>
    public double Straggling { get; init; }

    /// <summary>The shortest way. 1 ms unless set.</summary>
    public TimeSpan MinDelay { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>
    /// The longest way of a message that is not held up; times below it already reorder messages. 20 ms unless set.
    /// </summary>
    public TimeSpan MaxDelay { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>The longest way of one that is. 5 s unless set.</summary>
    public TimeSpan MaxStraggle { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Bytes of results and models that a site's link carries a second, in each direction, one message after the other;
    /// 0 for no limit. Other messages pass by.
    /// </summary>
    public long BytesPerSecond { get; init; }
}

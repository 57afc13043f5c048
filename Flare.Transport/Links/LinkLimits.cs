namespace Flare.Transport;

/// <summary>What the links of jobs over connections take at most.</summary>
public sealed record LinkLimits
{
    /// <summary>Of each connection.</summary>
    public FrameOptions Frames { get; init; } = new();

    /// <summary>
    /// Bytes that a result may have at the server, however it may be permitted: above the largest that an honest site
    /// sends. 64 GiB unless set.
    /// </summary>
    public long MaxResultBytes { get; init; } = 64L << 30;

    /// <summary>Bytes that a model may have at a site, whatever the server says; 64 GiB unless set.</summary>
    public long MaxModelBytes { get; init; } = 64L << 30;

    /// <summary>
    /// Bytes that any other message may have, a federated event for instance; 32 MiB unless set. One that is longer
    /// ends the connection.
    /// </summary>
    public long MaxMessageBytes { get; init; } = 32 << 20;

    /// <summary>
    /// Bytes of messages of one connection that may wait for the job's loop; 64 MiB unless set. A peer that says more
    /// than the job can hear loses the connection.
    /// </summary>
    public long MaxUnheardBytes { get; init; } = 64 << 20;

    /// <summary>
    /// How long the beginning of a large message is kept after its connection broke, so that the next goes on from
    /// there: at most a day, 60 s unless set. At most two of a site, and 16 of a job.
    /// </summary>
    public TimeSpan PartialsKept { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Bytes below which a beginning is not worth keeping, and is sent again: 256 KiB unless set; at least 1.
    /// </summary>
    public long LeastPartialBytes { get; init; } = 256 * 1024;

    /// <summary>
    /// The first pause before a site connects again, which doubles up to <see cref="LongestPause"/>; 0.2 s unless set.
    /// </summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromSeconds(0.2);

    /// <summary>The longest pause before a site connects again, at most a day; 30 s unless set.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long what is queued may take to go out at the end, at most a day; 5 s unless set.</summary>
    public TimeSpan CloseGrace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Everything that is wrong with these limits; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        foreach (var error in Frames.Validate()) yield return error;
        if (MaxResultBytes < 1) yield return $"{nameof(MaxResultBytes)} is {MaxResultBytes}; it must be at least 1";
        if (MaxModelBytes < 1) yield return $"{nameof(MaxModelBytes)} is {MaxModelBytes}; it must be at least 1";
        if (MaxMessageBytes < 1 << 16)
            yield return $"{nameof(MaxMessageBytes)} is {MaxMessageBytes}; it must be at least {1 << 16}";
        if (MaxUnheardBytes < MaxMessageBytes)
            yield return $"{nameof(MaxUnheardBytes)} is {MaxUnheardBytes}; it must be at least "
                + $"{nameof(MaxMessageBytes)}";
        if (Times.FaultUnlessZero(nameof(PartialsKept), PartialsKept) is { } kept) yield return kept;
        if (LeastPartialBytes < 1)
            yield return $"{nameof(LeastPartialBytes)} is {LeastPartialBytes}; it must be at least 1";
        if (FirstPause <= TimeSpan.Zero || LongestPause < FirstPause || LongestPause > Times.Longest)
        {
            yield return $"{nameof(FirstPause)} is {FirstPause} and {nameof(LongestPause)} {LongestPause}; the first "
                + "must be above zero, and the longest no shorter, and at most a day";
        }
        if (Times.FaultUnlessZero(nameof(CloseGrace), CloseGrace) is { } grace) yield return grace;
    }
}

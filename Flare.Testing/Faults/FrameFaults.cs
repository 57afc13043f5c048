namespace Flare.Testing;

/// <summary>How bad the connections of a <see cref="SimulatedTransport"/> are.</summary>
public sealed record FrameFaults
{
    /// <summary>Connections that last: bytes come in pieces of any length, after 1 ms at most.</summary>
    public static FrameFaults None { get; } = new();

    /// <summary>How likely a connection is cut, after any number of bytes in either direction; from 0 to 1.</summary>
    public double Cuts { get; init; }

    /// <summary>Bytes after which a connection is cut, at most; as likely few as many. 1 MiB unless set.</summary>
    public long MaxCutBytes { get; init; } = 1 << 20;

    /// <summary>How likely neither end is told of a cut, and must find out by the silence; from 0 to 1.</summary>
    public double Silence { get; init; }

    /// <summary>How likely some hundred bytes come one by one; for each piece, from 0 to 1.</summary>
    public double SingleBytes { get; init; }

    /// <summary>How likely a direction stands still for a while; for each piece, from 0 to 1.</summary>
    public double Stalls { get; init; }

    /// <summary>The longest that one stands still; 4 s unless set.</summary>
    public TimeSpan MaxStall { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>The longest that a piece takes; 1 ms unless set.</summary>
    public TimeSpan MaxDelay { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Bytes that a direction of a connection carries a second; 0 for no limit.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>A mixture of its own for each seed.</summary>
    /// <param name="seed">The run's seed.</param>
    public static FrameFaults Mixed(ulong seed)
    {
        var random = new SimulationRandom(seed ^ 0xF4A3_E5);
        return new()
        {
            Cuts = Perhaps(0.9),
            MaxCutBytes = 1L << (8 + random.NextInt32(13)),
            Silence = Perhaps(0.5),
            SingleBytes = Perhaps(0.05),
            Stalls = Perhaps(0.01),
            MaxStall = TimeSpan.FromMilliseconds(1 + random.NextInt32(6000)),
            MaxDelay = TimeSpan.FromMilliseconds(1 + random.NextInt32(random.Chance(0.5) ? 5 : 60)),
            BytesPerSecond = random.Chance(0.3) ? 200_000 << random.NextInt32(6) : 0,
        };

        double Perhaps(double atMost) => random.Chance(0.7) ? atMost * random.NextDouble() : 0;
    }

    internal void Validate()
    {
        foreach (var p in new[] { Cuts, Silence, SingleBytes, Stalls })
            if (p is not (>= 0 and <= 1)) throw new ArgumentException($"A probability is {p}; it must be from 0 to 1.");
        if (MaxCutBytes < 1)
            throw new ArgumentException($"{nameof(MaxCutBytes)} is {MaxCutBytes}; it must be at least 1.");
    }
}

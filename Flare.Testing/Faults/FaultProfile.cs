namespace Flare.Testing;

/// <summary>What goes wrong in a simulation, until it heals.</summary>
public sealed record FaultProfile
{
    /// <summary>Nothing goes wrong on a reliable network; only the seed chooses what comes first.</summary>
    public static FaultProfile Calm { get; } = new() { Network = new() { IsReliable = true } };

    /// <summary>
    /// Everything at once: loss, repetition, stragglers, partitions, crashes of server and sites, torn and failing
    /// writes.
    /// </summary>
    public static FaultProfile Harsh { get; } = new()
    {
        Network = new() { Loss = 0.1, Duplication = 0.1, Straggling = 0.05, MaxDelay = TimeSpan.FromMilliseconds(100) },
        Disk = new() { Failure = 0.002 },
        ServerCrashes = TimeSpan.FromSeconds(4),
        SiteCrashes = TimeSpan.FromSeconds(2),
        Partitions = TimeSpan.FromSeconds(2),
        CrashDuringWrite = 0.05,
        Aborts = TimeSpan.FromSeconds(12),
    };

    /// <summary>The network's faults.</summary>
    public NetworkFaults Network { get; init; } = NetworkFaults.None;

    /// <summary>
    /// Where set, messages travel in the real frames, over a <see cref="SimulatedTransport"/> with these faults, and
    /// <see cref="Network"/> counts for nothing; as they are, over <see cref="Network"/>, unless set.
    /// </summary>
    public FrameFaults? Frames { get; init; }

    /// <summary>The disk's faults.</summary>
    public DiskFaults Disk { get; init; } = DiskFaults.None;

    /// <summary>The mean time between crashes of the server, from which it starts again; null for none.</summary>
    public TimeSpan? ServerCrashes { get; init; }

    /// <summary>The mean time between crashes of some site, from which it starts again; null for none.</summary>
    public TimeSpan? SiteCrashes { get; init; }

    /// <summary>The mean time between partitions, each of some site, in one direction or both; null for none.</summary>
    public TimeSpan? Partitions { get; init; }

    /// <summary>The mean time between aborts of the job by its operator, who starts it again; null for none.</summary>
    public TimeSpan? Aborts { get; init; }

    /// <summary>
    /// How likely the server crashes while a write is on its way to the disk; per write, from 0 to 1.
    /// </summary>
    public double CrashDuringWrite { get; init; }

    /// <summary>How long a crashed process is down, at most. 3 s unless set.</summary>
    public TimeSpan MaxDowntime { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How long a partition lasts, at most. 5 s unless set.</summary>
    public TimeSpan MaxPartition { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// A mixture of its own for each seed: every kind of fault is there or not, seldom or often. Runs differ more than
    /// under one profile, and what needs one fault without another is found too (swarm testing, Groce et al. 2012).
    /// </summary>
    /// <param name="seed">The run's seed.</param>
    public static FaultProfile Mixed(ulong seed)
    {
        var random = new SimulationRandom(seed ^ 0x5EED_FA17);
        return new()
        {
            Network = new()
            {
                Loss = Perhaps(0.3),
                Duplication = Perhaps(0.4),
                Straggling = Perhaps(0.2),
                MaxDelay = TimeSpan.FromMilliseconds(2 + random.NextInt32(random.Chance(0.5) ? 20 : 400)),
                BytesPerSecond = random.Chance(0.3) ? 256 << random.NextInt32(8) : 0,
            },
            Disk = new() { MaxLatency = TimeSpan.FromMilliseconds(1 + random.NextInt32(random.Chance(0.7) ? 20 : 400)),
                Failure = Perhaps(0.01) },
            ServerCrashes = PerhapsEvery(10),
            SiteCrashes = PerhapsEvery(4),
            Partitions = PerhapsEvery(4),
            CrashDuringWrite = Perhaps(0.3),
            MaxDowntime = TimeSpan.FromMilliseconds(50 + random.NextInt32(5000)),
            MaxPartition = TimeSpan.FromMilliseconds(50 + random.NextInt32(8000)),
            Aborts = PerhapsEvery(15),
        };

        double Perhaps(double atMost) => random.Chance(0.6) ? atMost * random.NextDouble() : 0;
        TimeSpan? PerhapsEvery(double seconds) =>
            random.Chance(0.6) ? TimeSpan.FromSeconds(0.3 + seconds * random.NextDouble()) : null;
    }

    /// <summary>What is wrong with the settings; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        Frames?.Validate();
        var n = Network;
        if (n.IsReliable
            && (n.Loss > 0 || n.Duplication > 0 || n.Straggling > 0 || ServerCrashes is not null
                || SiteCrashes is not null || Partitions is not null || CrashDuringWrite > 0))
        {
            yield return "a reliable network goes with no loss, repetition, straggler, partition or crash, for its "
                + "promise ends where one of its ends does: clear NetworkFaults.IsReliable or the other faults";
        }
        foreach (var (name, chance) in new[]
        {
            (nameof(n.Loss), n.Loss), (nameof(n.Duplication), n.Duplication), (nameof(n.Straggling), n.Straggling),
            (nameof(Disk.Failure), Disk.Failure), (nameof(CrashDuringWrite), CrashDuringWrite),
        })
        {
            if (chance is not (>= 0 and <= 1))
                yield return Invariant($"{name} is {chance:R}; a probability must be from 0 to 1");
        }
    }
}

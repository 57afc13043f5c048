using Flare.Runtime;

namespace Flare.Testing;

/// <summary>
/// A federation under attack: server and sites, unchanged, on one <see cref="SimulationLoop"/>, over a network, a disk
/// and processes that fail as
/// <see cref="Faults"/> says. After <see cref="AttackTime"/> everything heals, and the job must come to its end. A job
/// that fails meanwhile for a reason that a retry can mend is started again, as an operator would, and resumes from its
/// journal.
/// <para>Every run checks what the runtime promises whatever the workflow: no announced round is lost or changed;
/// executors get one task at a time, and none after the end; large results wait for their permits, and the server holds
/// no more of them than it has; nothing leaves the loop; the job ends, at the server and at the sites.
/// <see cref="Check"/> adds what the workflow promises.</para>
/// <para>The same seed gives the same run: a failure is repeated by its seed.</para>
/// </summary>
public sealed record Simulation
{
    /// <summary>Short intervals, so that little virtual time holds much.</summary>
    public static RuntimeLimits ShortLimits { get; } = new()
    {
        HeartbeatInterval = TimeSpan.FromMilliseconds(500),
        SiteLease = TimeSpan.FromSeconds(3),
        AbortGrace = TimeSpan.FromMilliseconds(500),
        DrainTimeout = TimeSpan.FromSeconds(3),
    };

    /// <summary>Names the run.</summary>
    public required ulong Seed { get; init; }

    /// <summary>How many sites, named <c>site-1</c> and so on; at least 1.</summary>
    public required int Sites { get; init; }

    /// <summary>Makes a site's executor, at every start of the site.</summary>
    public required Func<SiteInfo, Executor> Executor { get; init; }

    /// <summary>Makes the workflows, at every start of the server.</summary>
    public required Func<IReadOnlyList<Controller>> Controllers { get; init; }

    /// <summary>Makes the first global model, at every start of the server; always the same one.</summary>
    public required Func<StateDict> InitialModel { get; init; }

    /// <summary>What goes wrong. A mixture that the seed chooses unless set.</summary>
    public FaultProfile? Faults { get; init; }

    /// <summary>The runtime's limits; <see cref="ShortLimits"/> unless set.</summary>
    public RuntimeLimits Limits { get; init; } = ShortLimits;

    /// <summary>How many executors run at once, all sites together; null for no limit.</summary>
    public int? ExecutorsAtOnce { get; init; }

    /// <summary>For how long things go wrong. 15 s of virtual time unless set.</summary>
    public TimeSpan AttackTime { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>By when, after that, the job must be over. 2 min of virtual time unless set.</summary>
    public TimeSpan RecoveryTime { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>
    /// Whether sites keep their states (<see cref="SiteState"/>) on disks that fail and crash with them, as the
    /// server's does; else they are in memory, and end with each crash. False unless set.
    /// </summary>
    public bool SitesHaveDisks { get; init; }

    /// <summary>Adds filters and components to a site, at every start of it; null for none.</summary>
    public Action<SiteDefinition, SiteInfo>? ConfigureSite { get; init; }

    /// <summary>Changes the server's options (filters, components), at every start of it; null for no change.</summary>
    public Func<JobServerOptions, JobServerOptions>? ConfigureServer { get; init; }

    /// <summary>
    /// What must hold of a finished run beyond the runtime's own promises: returns what does not. Null for nothing.
    /// </summary>
    public Func<SimulationResult, IEnumerable<string>>? Check { get; init; }

    /// <summary>Whether to keep the trace as text.</summary>
    public bool KeepLog { get; init; }

    /// <summary>How to run this seed again, in one line; part of what a failed run says.</summary>
    public string? Reproduction { get; init; }

    /// <summary>
    /// Runs the simulation on the calling thread. It throws nothing for a run that failed: see
    /// <see cref="SimulationResult.Failures"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The settings contradict each other.</exception>
    public SimulationResult Run()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Sites, 1);
        var faults = Faults ?? FaultProfile.Mixed(Seed);
        if (string.Join("; ", faults.Validate()) is { Length: > 0 } wrong)
            throw new ArgumentException($"The simulation cannot run: {wrong}.");
        var loop = new SimulationLoop(Seed, KeepLog);
        var federation = new SimulatedFederation(this, faults, loop);
        var end = loop.Run(federation.RunAsync, AttackTime + RecoveryTime);
        return federation.Result(end);
    }
}

using Flare.Runtime;
using Flare.Testing;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// A federation to attack, with the oracle that says what its models must be. The soak runs them too.
/// </summary>
internal sealed record Workload(string Name, Func<Simulation, Simulation> Configure)
{
    public static IReadOnlyList<Workload> All { get; } =
    [
        new("fedavg", AveragingWorkload.Configure),
        new("sampling", AveragingWorkload.ConfigureSampling),
        new("large", AveragingWorkload.ConfigureLarge),
        new("relay", RelayWorkload.Configure),
        new("flights", FlightsWorkload.Configure),
        new("windows", WindowsWorkload.Configure),
        new("crossing", CrossingWorkload.Configure),
        new("chain", ChainWorkload.Configure),
        new("events", EventsWorkload.Configure),
        new("calm", AveragingWorkload.ConfigureCalm),
        new("state", StateWorkload.Configure),
        // What every federation in one process has: a network that loses nothing and so heals nothing, and executors
        // that share slots.
        Reliable("large", AveragingWorkload.ConfigureLarge),
        Reliable("flights", FlightsWorkload.Configure),
        Reliable("windows", WindowsWorkload.Configure),
        Reliable("crossing", CrossingWorkload.Configure),
        Reliable("chain", ChainWorkload.Configure),
        Reliable("events", EventsWorkload.Configure),
        Reliable("state", StateWorkload.Configure),
        // What a federation over connections has: sessions that lose nothing while they live, and break.
        InSessions("large", AveragingWorkload.ConfigureLarge),
        InSessions("sampling", AveragingWorkload.ConfigureSampling),
        InSessions("relay", RelayWorkload.Configure),
        InSessions("flights", FlightsWorkload.Configure),
        InSessions("windows", WindowsWorkload.Configure),
        InSessions("crossing", CrossingWorkload.Configure),
        InSessions("chain", ChainWorkload.Configure),
        InSessions("events", EventsWorkload.Configure),
        InSessions("state", StateWorkload.Configure),
        // The real frames: bytes that come one by one, stand still and are cut anywhere; uploads and downloads go on.
        InFrames("fedavg", AveragingWorkload.Configure),
        InFrames("large", AveragingWorkload.ConfigureLarge),
        InFrames("sampling", AveragingWorkload.ConfigureSampling),
        InFrames("relay", RelayWorkload.Configure),
        InFrames("flights", FlightsWorkload.Configure),
        InFrames("windows", WindowsWorkload.Configure),
        InFrames("crossing", CrossingWorkload.Configure),
        InFrames("chain", ChainWorkload.Configure),
        InFrames("events", EventsWorkload.Configure),
        InFrames("state", StateWorkload.Configure),
        // What users hold: a whole federation, without frames and with them; a server and its sites.
        Whole("in-process", (seed, name, keepLog) => new InProcessProgram(seed, name, keepLog, inFrames: false)),
        Whole("in-process-frames", (seed, name, keepLog) => new InProcessProgram(seed, name, keepLog, inFrames: true)),
        Whole("served", (seed, name, keepLog) => new ServedProgram(seed, name, keepLog)),
    ];

    /// <summary>Whether a run takes as long as three of others: those over bytes, and whole federations.</summary>
    public bool IsLong => Program is not null || Name.StartsWith("frames-", StringComparison.Ordinal);

    // A program in place of the rig's own processes; null for these.
    private Func<ulong, string, bool, RigProgram>? Program { get; init; }


    public static Workload Named(string name) =>
        All.FirstOrDefault(w => w.Name == name)
        ?? throw new ArgumentException(
            $"There is no workload '{name}'; there are {string.Join(", ", All.Select(w => w.Name))}.");

    /// <summary>Those of some names, divided by commas; one that ends with a star is how names begin.</summary>
    public static IReadOnlyList<Workload> Matching(string names) =>
    [
        .. names.Split(',').SelectMany(name => name.EndsWith('*')
            ? All.Where(w => w.Name.StartsWith(name[..^1], StringComparison.Ordinal)) : [Named(name)]),
    ];

    private static Workload Reliable(string name, Func<Simulation, Simulation> configure) =>
        new($"calm-{name}", plan => configure(plan) with
    {
        Faults = FaultProfile.Calm,
        ExecutorsAtOnce = plan.Seed % 3 == 0 ? null : (int)(plan.Seed % 3),
    });

    private static Workload InSessions(string name, Func<Simulation, Simulation> configure) =>
        new($"session-{name}", plan =>
        {
            plan = configure(plan);
            var faults = plan.Faults ?? FaultProfile.Mixed(plan.Seed);
            return plan with
            {
                Faults = faults with
                {
                    Network = faults.Network with { HasSessions = true, Loss = faults.Network.Loss / 20 },
                },
            };
        });

    private static Workload Whole(string name, Func<ulong, string, bool, RigProgram> program) =>
        new(name, plan => plan) { Program = program };

    private static Workload InFrames(string name, Func<Simulation, Simulation> configure) =>
        new($"frames-{name}", plan =>
        {
            // As large as a message, a stream's window, or what needs a permit; and small.
            int[] sizes = [0, 200, 2000, 2000, 20_000, 36_000];
            var ballast = sizes[new SimulationRandom(plan.Seed ^ 0xBA11_A5).NextInt32(sizes.Length)];
            plan = configure(plan);
            return plan with
            {
                InitialModel = () => Fold.InitialModel(ballast),
                Faults = (plan.Faults ?? FaultProfile.Mixed(plan.Seed)) with
                {
                    Network = NetworkFaults.None, Frames = FrameFaults.Mixed(plan.Seed),
                },
            };
        });

    /// <summary>Runs a seed.</summary>
    public SimulationResult Run(ulong seed, bool keepLog = false) =>
        Program?.Invoke(seed, Name, keepLog).Run() ?? Create(seed, keepLog).Run();

    /// <summary>The rig's plan of a seed; of workloads that are no program.</summary>
    public Simulation Create(ulong seed, bool keepLog = false) => Configure(new Simulation
    {
        Seed = seed,
        Sites = 5,
        Executor = site => new Trainer(site.Name),
        Controllers = () => [],
        InitialModel = () => Fold.InitialModel(),
        KeepLog = keepLog,
        Reproduction = HowToRepeat(seed, Name),
    });

    public static string HowToRepeat(ulong seed, string name) =>
        $"dotnet run -c Release --project Flare.Benchmarks -- soak --seeds 1 --first {seed} --workload {name}";
}

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
    ];

    public static Workload Named(string name) =>
        All.FirstOrDefault(w => w.Name == name)
        ?? throw new ArgumentException(
            $"There is no workload '{name}'; there are {string.Join(", ", All.Select(w => w.Name))}.");

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

    public Simulation Create(ulong seed, bool keepLog = false) => Configure(new Simulation
    {
        Seed = seed,
        Sites = 5,
        Executor = site => new Trainer(site.Name),
        Controllers = () => [],
        InitialModel = () => Fold.InitialModel(),
        KeepLog = keepLog,
        Reproduction =
        $"dotnet run -c Release --project Flare.Benchmarks -- soak --seeds 1 --first {seed} --workload {Name}",
    });
}

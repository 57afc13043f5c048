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

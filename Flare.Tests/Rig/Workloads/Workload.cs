using Flare.Runtime;
using Flare.Testing;

namespace Flare.Tests.Rig.Workloads;

/// <summary>A federation to attack, with the oracle that says what its models must be. The soak runs them too.</summary>
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
    ];

    public static Workload Named(string name) =>
        All.FirstOrDefault(w => w.Name == name) ?? throw new ArgumentException($"There is no workload '{name}'; there are {string.Join(", ", All.Select(w => w.Name))}.");

    public Simulation Create(ulong seed, PlantedFaults planted = PlantedFaults.None, bool keepLog = false) => Configure(new Simulation
    {
        Seed = seed,
        Sites = 5,
        Executor = site => new Trainer(site.Name),
        Controllers = () => [],
        InitialModel = () => Fold.InitialModel(),
        Planted = planted,
        KeepLog = keepLog,
        Reproduction = $"dotnet run -c Release --project Flare.Benchmarks -- soak --seeds 1 --first {seed} --workload {Name}",
    });
}

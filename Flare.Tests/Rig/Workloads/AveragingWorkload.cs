using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Rig.Workloads;

/// <summary>Federated averaging: of all sites, of a sample, and with results that need an upload permit.</summary>
internal static class AveragingWorkload
{
    public static Simulation Configure(Simulation plan) => With(plan, rounds: 5, () => new FedAvg
    {
        Rounds = 5,
        MinSites = 2,
        Grace = TimeSpan.FromSeconds(1),
        TrainTimeout = TimeSpan.FromSeconds(20),
        ValidationTimeout = TimeSpan.FromSeconds(2),
    });

    public static Simulation ConfigureSampling(Simulation plan)
    {
        const int sampled = 3;
        var configured = With(plan with { Sites = 6 }, rounds: 6, () => new FedAvg
        {
            Rounds = 6,
            MinSites = 1,
            SitesPerRound = sampled,
            Grace = TimeSpan.FromSeconds(2),
            TrainTimeout = TimeSpan.FromSeconds(20),
            Validation = ValidationMode.None,
        });
        return configured with
        {
            Check = run => configured.Check!(run)
                .Concat(
                    run.Rounds.Where(r => r.Targets != sampled)
                    .Select(r => $"round {r.Number} had {r.Targets} targets, where {sampled} were to be drawn")),
        };
    }

    /// <summary>
    /// Results above the limit for small ones, two permits for six sites, on links that are slow now and then. No time
    /// limit hides a permit that is never given back.
    /// </summary>
    public static Simulation ConfigureLarge(Simulation plan) => With(plan, rounds: 4, () => new FedAvg
    {
        Rounds = 4,
        MinSites = 2,
        Grace = TimeSpan.FromSeconds(1),
        Validation = ValidationMode.None,
    }) with
    {
        Sites = 6,
        Executor = site => new Trainer(site.Name, handsOver: true),
        Limits = Simulation.ShortLimits with { MaxConcurrentUploads = 2, SmallResultBytes = 16 },
    };

    /// <summary>Nothing fails; what is left is the order of things.</summary>
    public static Simulation ConfigureCalm(Simulation plan) => With(plan, rounds: 4, () => new FedAvg
    {
        Rounds = 4,
        MinSites = 3,
        Grace = TimeSpan.FromSeconds(1),
        ValidationTimeout = TimeSpan.FromSeconds(5),
    }) with
    {
        Faults = FaultProfile.Calm,
        Limits =
        Simulation.ShortLimits with { MaxConcurrentUploads = 1, SmallResultBytes = plan.Seed % 2 == 0 ? 16 : 1 << 20 },
    };

    private static Simulation With(Simulation plan, int rounds, Func<FedAvg> controller) => plan with
    {
        Controllers = () => [controller()],
        Check = run => Fold.Check(run, rounds, Fold.Average),
    };
}

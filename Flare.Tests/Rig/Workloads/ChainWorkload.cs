using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Rig.Workloads;

/// <summary>Two workflows, one after the other, each with rounds from 1.</summary>
internal static class ChainWorkload
{
    private const int Rounds = 2;

    public static Simulation Configure(Simulation plan) => plan with
    {
        Sites = 3,
        Controllers = () =>
        [
            new FedAvg { Rounds = Rounds, MinSites = 1, Grace = TimeSpan.FromSeconds(1),
                TrainTimeout = TimeSpan.FromSeconds(20), Validation = ValidationMode.BeforeTraining,
                ValidationTimeout = TimeSpan.FromSeconds(2) },
            new RelayWorkload.Cyclic(Rounds),
        ],
        Check = Check,
    };

    private static IEnumerable<string> Check(SimulationResult run)
    {
        if (!run.Rounds.Select(r => r.Number).SequenceEqual([1, 2, 1, 2]))
            return [
                $"the rounds announced are {string.Join(", ", run.Rounds.Select(r => r.Number))}, "
                    + "where 1, 2, 1, 2 were to be"];
        var seen = 0;
        return Fold.Check(
            run, run.Rounds, run.InitialModel, (model, report) => seen++ < Rounds ? Fold.Average(model, report)
            : Fold.PassOn(model, report));
    }
}

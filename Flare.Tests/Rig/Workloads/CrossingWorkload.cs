using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// Two tasks of large results in flight with one permit between them, read one after the other: either order must come
/// to an end.
/// </summary>
internal static class CrossingWorkload
{
    private const int Rounds = 4;

    public static Simulation Configure(Simulation plan) => plan with
    {
        Sites = 4,
        Controllers = () => [new Halves()],
        Limits = Simulation.ShortLimits with { MaxConcurrentUploads = 1, SmallResultBytes = 0 },
        Check = run => Fold.Check(run, Rounds, Fold.Average),
    };

    private sealed class Halves : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            using var aggregator = new ExactAggregator();
            for (var round = federation.LastCommittedRound + 1; round <= Rounds; round++)
            {
                var first = Send(federation, aggregator, round, [.. federation.Sites.Take(2)], abort);
                var second = Send(federation, aggregator, round, [.. federation.Sites.Skip(2)], abort);
                aggregator.Begin(federation, round);
                foreach (var half in round % 2 == 0 ? new[] { first, second } : [second, first])
                    await foreach (var contribution in half) await aggregator.AcceptAsync(contribution, abort);
                await federation.CommitAsync(round, await aggregator.CompleteAsync(abort), abort);
            }
        }

        private static TaskResponses Send(
            ControllerContext federation, ExactAggregator aggregator, int round, IReadOnlyList<string> targets,
            CancellationToken abort)
        {
            var train = FlareTask.Train(round, federation.Model);
            train = new FlareTask(
                train.Name, round, Dxo.Weights(federation.Model)
                .ToShareable()) { Contract = aggregator.Refine(train.Contract) };
            return federation.BroadcastAsync(
                train,
                new() { Targets = targets, MinResponses = 1, Grace = TimeSpan.FromSeconds(1),
                    Timeout = TimeSpan.FromSeconds(20) }, abort);
        }
    }
}

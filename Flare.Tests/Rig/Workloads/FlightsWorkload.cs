using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// A controller with several tasks in flight: while the sites train, each is also asked, by a task of its own, for its
/// score of the model. Nothing has a time limit of its own but the training.
/// </summary>
internal static class FlightsWorkload
{
    private const int Rounds = 4;

    public static Simulation Configure(Simulation plan) => plan with
    {
        Sites = 4,
        Controllers = () => [new TrainAndScore()],
        Check = run => Fold.Check(run, Rounds, Fold.Average),
    };

    private sealed class TrainAndScore : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            var aggregator = new ExactAggregator();
            for (var round = federation.LastCommittedRound + 1; round <= Rounds; round++)
            {
                var train = FlareTask.Train(round, federation.Model);
                train = new FlareTask(
                    train.Name, round, Dxo.Weights(federation.Model)
                    .ToShareable()) { Contract = aggregator.Refine(train.Contract) };
                var training = federation.BroadcastAsync(
                    train,
                    new() { MinResponses = 2, Grace = TimeSpan.FromSeconds(1), Timeout = TimeSpan.FromSeconds(20) },
                    abort);
                var scores = federation.Sites.Select(site => ScoreAsync(federation, round, site, abort)).ToArray();
                aggregator.Begin(federation, round);
                await foreach (var contribution in training) await aggregator.AcceptAsync(contribution, abort);
                var model = await aggregator.CompleteAsync(abort);
                var total = 0;
                foreach (var score in scores) total += await score ? 1 : 0;
                await federation.CommitAsync(
                    round, model, new RoundResult { Metrics = new Dictionary<string, double> { ["scored"] = total } },
                    abort);
            }
        }

        private static async Task<bool> ScoreAsync(
            ControllerContext federation, int round, string site, CancellationToken abort)
        {
            var task = new FlareTask(
                Trainer.Score, round, Dxo.Weights(federation.Model)
                .ToShareable()) { Contract = new() { Kinds = [DataKind.Metrics] } };
            try
            {
                using var answer = await federation.SendAsync(
                    task, new() { Targets = [site], AssignmentTimeout = TimeSpan.FromSeconds(10) }, abort);
                return true;
            }
            catch (TaskFailedException)
            {
                return false;
            }
        }
    }
}

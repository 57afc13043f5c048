using Flare.Learning;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>The programs that the design shows to users, run as they stand there.</summary>
public class ProgramTests
{
    // NVIDIA's example trainer, in FLARE's own terms.
    private sealed class SimpleTrainer(
        Func<StateDict, int, CancellationToken, ValueTask<(StateDict Weights, int Steps)>> train) : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            if (taskName != TaskNames.Train) return Shareable.Reply(ReturnCode.TaskUnknown);
            var dxo = Dxo.From(input);
            if (dxo.Kind != DataKind.Weights) return Shareable.Reply(ReturnCode.ExecutionException);
            var (weights, steps) = await LocalTrainAsync(dxo.Tensors, epochs: 1, abort);
            return Dxo.WeightDiff(weights - dxo.Tensors)
                .WithMeta(MetaKey.NumStepsCurrentRound, steps)
                .ToShareable();
        }

        private ValueTask<(StateDict Weights, int Steps)> LocalTrainAsync(
            StateDict weights, int epochs, CancellationToken abort) => train(weights, epochs, abort);
    }

    private sealed class MedianOfSites(int rounds) : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            using var median = new CoordinateMedian();
            for (var round = federation.LastCommittedRound + 1; round <= rounds; round++)
            {
                var task = FlareTask.Train(round, federation.Model);
                median.Begin(federation, round);
                await foreach (var contribution in federation.BroadcastAsync(
                    task, new() { MinResponses = 5, Timeout = TimeSpan.FromMinutes(2) }, abort))
                    await median.AcceptAsync(contribution, abort);
                await federation.CommitAsync(round, await median.CompleteAsync(abort), abort);
            }
        }
    }

    /// <summary>Training whose optimum is a site's own value: half way there in an epoch of so many steps.</summary>
    private static SimpleTrainer Towards(float optimum, int steps) => new((weights, epochs, abort) =>
    {
        abort.ThrowIfCancellationRequested();
        var trained = weights.Clone();
        foreach (ref var w in trained["w"].AsSpan<float>()) w += (optimum - w) / 2 * epochs;
        return ValueTask.FromResult((trained, steps));
    });

    [Test]
    public async Task NVIDIAs_trainer_runs_line_for_line()
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(2, site => Towards(site.Index == 0 ? 4 : 8, site.Index == 0 ? 1 : 3))
            .UseController(new FedAvg { Rounds = 12, MinSites = 2, Validation = ValidationMode.None }));
        await federation.RunToEndAsync(Sites.Model(0, 100));
        Assert.That(federation.Model.Values(), Is.All.EqualTo((4 + 3 * 8) / 4f).Within(0.05));
    }

    [Test]
    public async Task NVIDIAs_trainer_answers_what_it_does_not_know_as_in_FLARE()
    {
        await Sites.RunAsync(new Workflow(async (federation, abort) =>
        {
            var wrongTask = federation.BroadcastAsync(
                new("dance", 0, new Shareable()), new() { MinResponses = 0, Grace = TimeSpan.MaxValue }, abort);
            await foreach (var _ in wrongTask) { }
            Assert.That(wrongTask.Sites[0].Reason, Is.EqualTo("the site answered TaskUnknown"));
            var wrongKind = federation.BroadcastAsync(
                new(TaskNames.Train, 0, Dxo.WeightDiff(federation.Model).ToShareable()),
                new() { MinResponses = 0, Grace = TimeSpan.MaxValue }, abort);
            await foreach (var _ in wrongKind) { }
            Assert.That(wrongKind.Sites[0].Reason, Is.EqualTo("the site answered ExecutionException"));
        }), Sites.Model(0), Towards(1, 1));
    }

    [Test]
    public async Task The_median_of_sites_withstands_two_of_seven()
    {
        float[] amounts = [1, 2, 3, 4, 5, 1e30f, -1e30f];
        var federation = await Sites.RunAsync(
            new MedianOfSites(3), Sites.Model(0, 10), [.. amounts.Select(a => Sites.Adding(a))]);
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 9f, 19f }));
        Assert.That(
            federation.Rounds.Select(r => (r.Number, r.Accepted)), Is.EqualTo(new[] { (1, 7), (2, 7), (3, 7) }));
    }

    [Test]
    public async Task The_median_of_an_even_number_is_the_mean_of_the_middle_two_and_takes_weights_and_differences()
    {
        Executor weights(float value) => Sites.Answering(m =>
        {
            var model = m.Clone();
            model.Fill(value);
            return Dxo.Weights(model).ToShareable();
        });
        var workflow = new Workflow(async (federation, abort) =>
        {
            using var median = new CoordinateMedian();
            median.Begin(federation, 1);
            await foreach (var c in federation.BroadcastAsync(FlareTask.Train(1, federation.Model), abort: abort))
                await median.AcceptAsync(c, abort);
            await federation.CommitAsync(1, await median.CompleteAsync(abort), abort);
        });
        var run = await Sites.RunAsync(
            workflow, Sites.Model(10), weights(100), weights(-100), Sites.Adding(1), Sites.Adding(2));
        Assert.That(run.Model.Values(), Is.EqualTo(new[] { 11.5f }));
    }

    [Test]
    public async Task A_federation_of_eight_sites_learns_digits_and_its_seed_names_the_run()
    {
        var digits = Datasets.Digits();
        var shards = digits.Train.SplitDirichlet(sites: 8, alpha: 0.5, seed: 7);
        async Task<(double Accuracy, string Sha)> RunAsync()
        {
            await using var federation = Federation.InProcess(f => f
                .AddSites(
                    8, site => new ClassifierTrainer(
                        Models.DigitsCnn, shards[site.Index]) { LocalEpochs = 1, Validation = digits.Test })
                .UseController(new FedAvg { Rounds = 2, MinSites = 6, Grace = TimeSpan.MaxValue })
                .UseSeed(42));
            var accuracy = 0.0;
            await foreach (var round in federation.RunAsync(Models.DigitsCnn(seed: 42).StateDict()))
            {
                Assert.That(round.Accepted, Is.EqualTo(8));
                accuracy = round.Metrics["accuracy"];
            }
            return (accuracy, federation.Model.Sha256());
        }
        var (accuracy, sha) = await RunAsync();
        Assert.That(accuracy, Is.GreaterThan(0.5));
        Assert.That((await RunAsync()).Sha, Is.EqualTo(sha));
    }
}

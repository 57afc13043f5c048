using System.Text.RegularExpressions;
using Flare.Learning;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>What a naive reimplementation of FLARE gets wrong about aggregation.</summary>
public class AggregationTraps
{
    private static StateDict Two => StateDict.Create(("a", [1f, 2f]), ("b", [10f]));

    private static FedAvg With(ExactAggregator aggregator, int minSites = 1) =>
        new() { Rounds = 1, MinSites = minSites, Validation = ValidationMode.None, Aggregator = aggregator,
            Grace = TimeSpan.FromMinutes(5) };

    private static Shareable WeightsOf(StateDict model, float value, long steps, params string[] tensors)
    {
        var part = tensors.Length == 0 ? model.Clone() : model.Select(t => tensors.Contains(t.Name)).Clone();
        part.Fill(value);
        return Dxo.Weights(part).WithMeta(MetaKey.NumStepsCurrentRound, steps).ToShareable();
    }

    [Test]
    public async Task The_weighted_mean_divides_by_the_sum_of_site_weight_times_steps()
    {
        var aggregator = new ExactAggregator { SiteWeights = new Dictionary<string, double> { ["site-1"] = 5 } };
        var federation = await Sites.RunAsync(
            With(aggregator), Sites.Model(0), Sites.Adding(1, steps: 3), Sites.Adding(4, steps: 1));
        Assert.That(
            federation.Model.Values(), Is.EqualTo(new[] { (float)((5 * 3 * 1.0 + 1 * 1 * 4.0) / (5 * 3 + 1 * 1)) }));
    }

    [Test]
    public async Task A_tensor_that_only_some_sites_send_is_averaged_over_those()
    {
        var aggregator = new ExactAggregator { Kind = DataKind.Weights, AllowMissingTensors = true };
        var federation = await Sites.RunAsync(With(aggregator), Two,
            Sites.Answering(m => WeightsOf(m, 2, 1)), Sites.Answering(m => WeightsOf(m, 4, 3, "a")),
            Sites.Answering(m => WeightsOf(m, 6, 1, "b")));
        Assert.That(federation.Model.Values("a"), Is.All.EqualTo((2 + 3 * 4) / 4f));
        Assert.That(federation.Model.Values("b"), Is.All.EqualTo((2 + 6) / 2f));
    }

    [Test]
    public async Task Integers_that_wrap_are_averaged_as_the_weights_that_they_stand_for()
    {
        static StateDict Bytes(byte value, sbyte signed)
        {
            var model = new StateDict(
                new TensorLayout(
                    [new("counts", DType.UInt8, [1]), new("signed", DType.Int8, [1]), new("w", DType.Float32, [1])]));
            model["counts"].AsSpan<byte>()[0] = value;
            model["signed"].AsSpan<sbyte>()[0] = signed;
            return model;
        }
        static Executor Training(byte value, sbyte signed) =>
            Sites.Answering(
                m => Dxo.WeightDiff(Bytes(value, signed) - m).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
        var federation = await Sites.RunAsync(Sites.Training(minSites: 9), Bytes(10, -100),
            [Training(4, 100), .. Enumerable.Range(0, 8).Select(_ => Training(13, 10))]);
        Assert.That(federation.Model["counts"].AsReadOnlySpan<byte>()[0], Is.EqualTo(12)); // (4 + 8 × 13) / 9
        Assert.That(federation.Model["signed"].AsReadOnlySpan<sbyte>()[0], Is.EqualTo(20)); // (100 + 8 × 10) / 9
    }

    [TestCase(DataKind.Weights), TestCase(DataKind.WeightDiff)]
    public async Task Excluded_tensors_keep_their_global_value(DataKind kind)
    {
        var aggregator = new ExactAggregator { Kind = kind, Exclude = new Regex("^b$") };
        var federation = await Sites.RunAsync(With(aggregator), Two,
            kind == DataKind.Weights ? Sites.Answering(m => WeightsOf(m, 7, 1))
            : Sites.Answering(m => Sites.Diff(m, 7)));
        Assert.That(federation.Model.Values("b"), Is.EqualTo(new[] { 10f }));
        Assert.That(federation.Model.Values("a"), Is.EqualTo(kind == DataKind.Weights ? new[] { 7f, 7f } : [8f, 9f]));
    }

    [Test]
    public async Task A_contribution_without_steps_among_those_with_steps_is_refused_by_name()
    {
        var odd = Sites.Answering(m => Dxo.WeightDiff(new StateDict(m.Layout)).ToShareable());
        var federation = await Sites.RunAsync(Sites.Training(), Sites.Model(0), Sites.Adding(1, 10), odd);
        Assert.That(
            federation.Rounds[0].Sites[1].ToString(), Does.StartWith("site-2: Rejected: it states no training steps"));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 1f }));
    }

    [Test]
    public async Task Uniform_weighting_needs_no_steps()
    {
        var plain = Sites.Answering(
            m => { var diff = new StateDict(m.Layout); diff.Fill(3); return Dxo.WeightDiff(diff).ToShareable(); });
        var federation = await Sites.RunAsync(
            With(new() { Weighting = Weighting.Uniform }), Sites.Model(0), Sites.Adding(1, 1000), plain);
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
    }

    [Test]
    public async Task Steps_are_those_of_all_local_epochs()
    {
        var data = Datasets.BreastCancer().Test;
        var trainer = new ClassifierTrainer(
            seed => Models.LogisticRegression(30, 2, seed), data) { LocalEpochs = 3, BatchSize = data.Count / 4 + 1 };
        var federation = await Sites.RunAsync(Sites.Training(), Models.LogisticRegression(30, 2).StateDict(), trainer);
        Assert.That(federation.Rounds[0].Sites[0].NumSteps, Is.EqualTo(3 * 4));
    }

    [Test]
    public async Task A_contribution_that_is_bad_in_its_last_tensor_leaves_nothing_of_its_first()
    {
        var layout = StateDict.Create(("a", new float[5000]), ("b", new float[5000]), ("c", [0f]));
        var bad = Sites.Answering(m =>
        {
            var diff = new StateDict(m.Layout);
            diff.Fill(1000);
            diff["c"].AsSpan<float>()[0] = float.NaN;
            return Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, 50).ToShareable();
        });
        var federation = await Sites.RunAsync(Sites.Training(), layout, bad, Sites.Adding(1, 2));
        Assert.That(federation.Rounds[0].Accepted, Is.EqualTo(1));
        Assert.That(federation.Model.Values("a"), Is.All.EqualTo(1f));
    }

    [Test]
    public async Task A_collection_is_refused_whole_when_one_member_is_bad()
    {
        var good = true;
        var executor = new Scripted((_, input, _, _) =>
        {
            var model = Dxo.From(input).Tensors;
            var control = new StateDict(model.Layout);
            if (!good) control["b"].AsSpan<float>()[0] = float.PositiveInfinity;
            return ValueTask.FromResult(
                Dxo.Collection(("diff", Dxo.WeightDiff(new StateDict(model.Layout))), ("control", Dxo.Weights(control)))
                .ToShareable());
        });
        var workflow = new Workflow(async (federation, abort) =>
        {
            FlareTask NewTask() =>
                new(TaskNames.Train, 0, Dxo.Weights(federation.Model)
                    .ToShareable()) { Contract = new() { Kinds = [DataKind.Collection] } };
            var accepted = 0;
            await foreach (var contribution in federation.BroadcastAsync(NewTask(), abort: abort))
            {
                accepted++;
                Assert.That(contribution.Data!.Member("control").Tensors.Layout, Is.EqualTo(federation.Model.Layout));
            }
            Assert.That(accepted, Is.EqualTo(1));
            good = false;
            var responses = federation.BroadcastAsync(
                NewTask(), new() { MinResponses = 0, Grace = TimeSpan.FromMinutes(5) }, abort);
            await foreach (var _ in responses) accepted++;
            Assert.That(accepted, Is.EqualTo(1));
            Assert.That(responses.Sites[0].Reason, Does.Contain("'control/b'"));
        });
        await Sites.RunAsync(workflow, Two, executor);
    }

    [Test]
    public async Task The_round_is_never_taken_from_the_sites_word()
    {
        var forger = Sites.Answering(m =>
        {
            var answer = Sites.Diff(m, 1);
            answer.Headers[HeaderNames.CurrentRound] = 99;
            answer.Headers[HeaderNames.TaskName] = "other";
            answer.WithCookie(HeaderNames.CurrentRound, 99);
            return answer;
        });
        var workflow = new Workflow(async (federation, abort) =>
        {
            await foreach (var contribution in federation.BroadcastAsync(
                FlareTask.Train(4, federation.Model), abort: abort))
            {
                Assert.That((contribution.Round, contribution.TaskName), Is.EqualTo((4, TaskNames.Train)));
                Assert.That(
                    (contribution.Message.Round, contribution.Message.TaskName), Is.EqualTo((4, TaskNames.Train)));
            }
            await federation.CommitAsync(4, federation.Model, abort);
        });
        var run = await Sites.RunAsync(workflow, Two, forger);
        Assert.That(run.Rounds[0].Accepted, Is.EqualTo(1));
    }

    [Test]
    public async Task The_first_contribution_of_a_site_counts_and_further_ones_are_counted_only()
    {
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            var values = new List<float>();
            await foreach (var c in federation.BroadcastAsync(FlareTask.Train(1, federation.Model), abort: abort))
                values.Add(c.Tensors.Values()[0]);
            Assert.That(values, Is.EqualTo(new[] { 1f, 5f }));
            await federation.CommitAsync(1, federation.Model, abort);
        }, "a", "b");
        var (a, b) = (await bench.JoinAsync("a"), await bench.JoinAsync("b"));
        await bench.SayAsync(ServerBench.Answer("a", a, 1));
        await bench.SayAsync(ServerBench.Answer("a", a, 2)); // at once
        Assert.That((await bench.NextAsync<Flare.Runtime.ResultReceipt>("a")).Refusal, Is.Null);
        await bench.SayAsync(ServerBench.Answer("a", a, 3)); // after its receipt
        Assert.That(
            (await bench.NextAsync<Flare.Runtime.ResultReceipt>("a")).Refusal, Is.Null,
            "the receipt of the first is repeated");
        await bench.SayAsync(ServerBench.Answer("b", b, 5));
        await bench.EndAsync();
        var report = (await bench.Ended).Single();
        Assert.That((report.Accepted, report.DuplicateResults, report.LateResults), Is.EqualTo((2, 2, 0)));
    }

    [Test]
    public async Task Late_results_are_dropped_and_counted()
    {
        var seen = new List<string>();
        var next = new TaskCompletionSource();
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            await foreach (var c in federation.BroadcastAsync(
                FlareTask.Train(1, federation.Model), new() { MinResponses = 1, Timeout = TimeSpan.FromSeconds(5) },
                abort)) seen.Add($"{c.Site} {c.Round}");
            await foreach (var c in federation.BroadcastAsync(
                FlareTask.Train(2, federation.Model), new() { Targets = ["a"] }, abort))
                seen.Add($"{c.Site} {c.Round}");
            await federation.CommitAsync(2, federation.Model, abort);
        }, "a", "b");
        var (a, b) = (await bench.JoinAsync("a"), await bench.JoinAsync("b"));
        await bench.SayAsync(ServerBench.Answer("a", a, 1));
        await bench.NextAsync<Flare.Runtime.ResultReceipt>("a");
        bench.Time.Advance(TimeSpan.FromSeconds(5));
        await bench.NextAsync<Flare.Runtime.TaskCancel>("b");
        await bench.SayAsync(ServerBench.Answer("b", b, 7));
        Assert.That((await bench.NextAsync<Flare.Runtime.ResultReceipt>("b")).Refusal, Does.Contain("ended"));
        await bench.SayAsync(ServerBench.Answer("a", await bench.NextAsync<Flare.Runtime.TaskOffer>("a"), 1));
        await bench.EndAsync();
        Assert.That(seen, Is.EqualTo(new[] { "a 1", "a 2" }));
        Assert.That((await bench.Ended).Single().LateResults, Is.EqualTo(1));
    }

    [Test]
    public async Task A_result_for_another_start_of_the_server_is_refused()
    {
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            await foreach (var c in federation.BroadcastAsync(FlareTask.Train(1, federation.Model), abort: abort))
                Assert.That(c.Tensors.Values()[0], Is.EqualTo(1));
        }, "a");
        var offer = await bench.JoinAsync("a");
        await bench.SayAsync(ServerBench.Answer("a", offer with { Token = offer.Token with { Epoch = 7 } }, 9));
        // The number may be another task's in this epoch: the site is told of the epoch, not of the number.
        Assert.That((await bench.NextAsync<Flare.Runtime.ServerWelcome>("a")).HelloNeeded, Is.False);
        Assert.That(bench.Unread("a"), Has.None.InstanceOf<Flare.Runtime.ResultReceipt>());
        await bench.SayAsync(ServerBench.Answer("a", offer with { Token = offer.Token with { Job = "another" } }, 9));
        Assert.That((await bench.NextAsync<Flare.Runtime.ResultReceipt>("a")).Refusal, Is.Not.Null);
        await bench.SayAsync(ServerBench.Answer("a", offer, 1));
        await bench.EndAsync();
    }

    [Test]
    public async Task The_order_of_arrival_does_not_show_in_the_bits()
    {
        var random = new Random(3);
        var amounts = Enumerable.Range(0, 5)
            .Select(_ => (float)(random.NextDouble() * Math.Pow(10, random.Next(-6, 6)))).ToArray();
        var hashes = new HashSet<string>();
        foreach (var order in new[] { new[] { 0, 1, 2, 3, 4 }, [4, 3, 2, 1, 0], [2, 0, 4, 1, 3] })
        {
            var gates = amounts.Select(
                _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).ToArray();
            var arrived = new List<string>();
            gates[order[0]].SetResult();
            var nextGate = 1;
            var opener = new LambdaComponent((type, context) =>
            {
                if (type != EventTypes.AfterProcessSubmission) return;
                arrived.Add(context.Peer!);
                if (nextGate < order.Length) gates[order[nextGate++]].SetResult();
            });
            var federation = await Sites.RunAsync(
                Sites.Training(minSites: 5), Sites.Model(0.1f, 0.2f), f => f.AddServerComponent(opener)
                .UseParallelism(5),
                [.. amounts.Select((amount, i) => Sites.Gated(gates[i].Task, amount, steps: i * 7 + 1))]);
            Assert.That(arrived, Is.EqualTo(order.Select(i => $"site-{i + 1}")));
            hashes.Add(federation.Model.Sha256());
        }
        Assert.That(hashes, Has.Count.EqualTo(1));
    }

    [Test]
    public void Nothing_to_aggregate_is_an_error_of_the_round()
    {
        var refusing = new Refusing();
        var failure = Assert.ThrowsAsync<TooFewResponsesException>(
            () => Sites.RunAsync(
                new FedAvg { Rounds = 1, Aggregator = refusing, Validation = ValidationMode.None }, Sites.Model(0),
                Sites.Adding(1)))!;
        Assert.That(failure.Message, Does.Contain("site-1: Rejected: I want none of it"));

        var nobody = new Workflow(async (federation, abort) =>
        {
            using var median = new CoordinateMedian();
            median.Begin(federation, 1);
            await foreach (var c in federation.BroadcastAsync(
                FlareTask.Train(1, federation.Model), new() { MinResponses = 0 }, abort))
                await median.AcceptAsync(c, abort);
            await federation.CommitAsync(1, await median.CompleteAsync(abort), abort);
        });
        Assert.That(
            Assert.ThrowsAsync<FlareException>(
                () => Sites.RunAsync(nobody, Sites.Model(0), Sites.Throwing("x")))!.ErrorId,
                Is.EqualTo(ErrorIds.NothingToAggregate));
        var exact = new Workflow(async (federation, abort) =>
        {
            using var aggregator = new ExactAggregator();
            aggregator.Begin(federation, 1);
            await aggregator.CompleteAsync(abort);
        });
        Assert.That(
            Assert.ThrowsAsync<FlareException>(
                () => Sites.RunAsync(exact, Sites.Model(0), Sites.Throwing("x")))!.ErrorId,
                Is.EqualTo(ErrorIds.NothingToAggregate));
    }

    private sealed class Refusing : Aggregator
    {
        public override bool NeedsSingleUpdates => true;

        public override void Begin(ControllerContext federation, int round) { }

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
        {
            contribution.Reject("I want none of it");
            return default;
        }

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) =>
            throw new InvalidOperationException("The stream must have thrown before.");
    }
}

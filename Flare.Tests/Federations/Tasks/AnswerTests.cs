using Flare.Tests.Core.Journaling;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>What sites answer, by mistake or on purpose: it counts as it should, and spoils nothing.</summary>
public class AnswerTests
{
    private static StateDict Initial => Sites.Model(0);

    private static Task<Federation> RunAsync(
        Func<ControllerContext, CancellationToken, Task> body, params Executor[] executors) =>
        Sites.RunAsync(new Workflow(body), Initial, executors);

    [Test]
    public async Task Tensors_do_not_leave_a_site_by_its_public_properties()
    {
        var federation = await Sites.RunAsync(
            Sites.Training(minSites: 1), Initial, Sites.Adding(1), new Scripted((_, input, context, _) =>
        {
            context.Set(
                new FLContextKey<FlareMap>("secret", PropertyVisibility.Public),
                new FlareMap { ["nested"] = new FlareMap { ["model"] = Dxo.From(input).Tensors } });
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        }));
        Assert.That(
            federation.Rounds[0].Sites[1].ToString(), Does.StartWith("site-2: Failed").And.Contain("pass no filter"));
    }

    [Test]
    public async Task A_contract_holds_for_messages_of_any_kind()
    {
        var other = StateDict.Create(("w", [1f, 2f]));
        var poisoned = StateDict.Create(("x", [float.NaN]));
        await RunAsync(async (federation, abort) =>
        {
            var task = new FlareTask(
                "collect", 0, new Shareable()) { Contract = new() { Layout = federation.Model.Layout } };
            var responses = federation.BroadcastAsync(
                task, new() { MinResponses = 1, Grace = TimeSpan.FromMinutes(5) }, abort);
            var accepted = new List<string>();
            await foreach (var c in responses) accepted.Add(c.Site);
            Assert.That(accepted, Is.EqualTo(new[] { "site-3" }));
            Assert.That(responses.Sites[0].Reason, Does.Contain("layout"));
            Assert.That(responses.Sites[1].Reason, Does.Contain("'list/x'").And.Contain("NaN"));
        },
        new Scripted((_, _, _, _) => ValueTask.FromResult(Dxo.Weights(other).ToShareable())),
        new Scripted(
            (_, _, _, _) => ValueTask.FromResult(new Shareable(new FlareMap { ["list"] = FlareValue.List(poisoned) }))),
        new Scripted((_, _, _, _) => ValueTask.FromResult(new Shareable(new FlareMap { ["text"] = "fine" }))));
    }

    [Test]
    public async Task Metrics_of_a_contribution_that_the_aggregator_refuses_do_not_count()
    {
        static Executor Measuring(double accuracy) => new Scripted((_, input, _, _) => ValueTask.FromResult(
            Dxo.WeightDiff(new StateDict(Dxo.From(input).Tensors.Layout)).WithMeta(MetaKey.NumStepsCurrentRound, 1)
                .WithMeta(MetaKey.InitialMetrics, new FlareMap { ["accuracy"] = accuracy }).ToShareable()));
        var workflow = new FedAvg { Rounds = 1, MinSites = 1, Validation = ValidationMode.BeforeTraining,
            Grace = TimeSpan.FromMinutes(5), Aggregator = new FirstOnly() };
        var federation = await Sites.RunAsync(
            workflow, Initial, f => f.UseParallelism(1), Measuring(0.25), Measuring(1));
        Assert.That(
            federation.Rounds[0].Sites.Where(s => s.Task == TaskNames.Train)
            .Select(s => s.Status), Is.EqualTo(new[] { SiteStatus.Accepted, SiteStatus.Rejected }));
        Assert.That(
            federation.State.Values.ToString(), Does.Contain("0.25"), "the best of what was measured before training");
    }

    [Test]
    public async Task A_site_cannot_speak_of_another_site_or_at_length_in_its_error()
    {
        var liar = new Scripted((_, _, _, _) =>
        {
            var reply = Shareable.Reply(ReturnCode.ExecutionException);
            reply.Headers[HeaderNames.Error] = new FlareMap
            {
                ["site"] = "site-2", ["task"] = "other", ["round"] = 9, ["type"] = new string('t', 100_000),
                    ["message"] = new string('m', 100_000), ["stack"] = "",
            };
            return ValueTask.FromResult(reply);
        });
        var federation = await Sites.RunAsync(Sites.Training(), Initial, liar, Sites.Adding(1));
        var error = federation.Rounds[0].Sites[0].Error!;
        Assert.That((error.Site, error.Task, error.Round), Is.EqualTo(("site-1", TaskNames.Train, 1)));
        Assert.That(federation.Rounds[0].Sites[0].Reason, Has.Length.LessThan(6_000));
    }

    [Test]
    public async Task NaN_is_found_wherever_a_message_holds_tensors()
    {
        var hidden = new Scripted((_, input, _, _) => ValueTask.FromResult(
            Sites.Diff(Dxo.From(input).Tensors, 1) is var diff
            ? Dxo.From(diff).WithMeta(new MetaKey("momentum"), StateDict.Create(("v", [float.NaN]))).ToShareable()
            : diff));
        var federation = await Sites.RunAsync(Sites.Training(), Initial, hidden, Sites.Adding(1));
        Assert.That(federation.Rounds[0].Sites[0].Reason, Does.Contain("momentum").And.Contain("NaN"));
    }

    [TestCase("text"), TestCase("type"), TestCase("metric"), TestCase("tensor")]
    public async Task What_a_site_says_cannot_spoil_the_journal(string where)
    {
        const string half = "bad \ud83d text";
        var spoiler = new Scripted((_, input, _, _) =>
        {
            var model = Dxo.From(input).Tensors;
            var error = Shareable.Reply(ReturnCode.ExecutionException);
            error.Headers[HeaderNames.Error] = new FlareMap { ["site"] = "", ["task"] = "", ["round"] = 1,
                ["type"] = new string('t', 20_000_000), ["message"] = "", ["stack"] = "" };
            return ValueTask.FromResult(where switch
            {
                "text" => throw new InvalidDataException(half),
                "type" => error,
                "metric" => Dxo.From(Sites.Diff(model, 1))
                .WithMeta(MetaKey.InitialMetrics, new FlareMap { [half] = 1.0 }).ToShareable(),
                _ => Dxo.WeightDiff(StateDict.Create((new string('n', 1_000_000), [1f])))
                .WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable(),
            });
        });
        var federation = await Sites.RunAsync(
            Sites.Training(), Initial, f => f.UseJournal(new MemoryStorage()), spoiler, Sites.Adding(1));
        Assert.That(
            federation.Rounds[0].Sites[0].Status,
            Is.EqualTo(
                where switch { "metric" => SiteStatus.Accepted, "tensor" => SiteStatus.Rejected,
                    _ => SiteStatus.Failed }));
        Assert.That(federation.Rounds[0].Sites[0].Reason ?? "", Has.Length.LessThan(10_000));
    }

    [Test]
    public async Task Metrics_of_very_many_names_are_cut_to_those_that_most_sites_state()
    {
        var sites = Enumerable.Range(0, 300).Select(site => new Scripted((task, input, _, _) =>
        {
            if (task != TaskNames.Validate) return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
            return ValueTask.FromResult(
                Dxo.Metrics([("accuracy", 0.5), .. Enumerable.Range(0, 255).Select(i => ($"{site}/{i}", 1.0))])
                .ToShareable());
        })).ToArray();
        var federation = await Sites.RunAsync(
            new FedAvg { Rounds = 1, MinSites = 300 }, Initial, f => f.UseJournal(new MemoryStorage()), sites);
        Assert.That(federation.Rounds[0].Metrics, Has.Count.EqualTo(256));
        Assert.That(federation.Rounds[0].Metrics["accuracy"], Is.EqualTo(0.5));
    }

    [Test]
    public async Task The_first_model_is_nobodys_to_give_back()
    {
        var echo = new Scripted(
            (_, input, _, _) => ValueTask.FromResult(
                Dxo.Weights(Dxo.From(input).Tensors).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable()));
        var workflow = new FedAvg { Rounds = 2, MinSites = 3, Validation = ValidationMode.None,
            Aggregator = new ExactAggregator { Kind = DataKind.Weights } };
        var federation = await Sites.RunAsync(
            workflow, Sites.Model(1, 2).HandOver(), f => f.UseParallelism(1)
            .UseLimits(new() { MaxConcurrentUploads = 1 }), echo,
            Sites.Answering(m => Dxo.Weights(m).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable()),
            Sites.Answering(m => Dxo.Weights(m).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable()));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 1f, 2f }));
    }

    /// <summary>Takes the first contribution of a round and refuses the others.</summary>
    private sealed class FirstOnly : Aggregator
    {
        private StateDict? _model;

        public override bool NeedsSingleUpdates => true;

        public override void Begin(ControllerContext federation, int round) => _model = null;

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
        {
            if (_model is null) _model = contribution.ToWeights();
            else contribution.Reject("one is enough");
            return ValueTask.CompletedTask;
        }

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) => ValueTask.FromResult(_model!);
    }
}

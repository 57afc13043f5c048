using Flare.Workflows;
using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>
/// What goes wrong at a site: the operator reads site, tensor and remedy, and nothing of it reaches the model.
/// </summary>
public class ErrorTests
{
    private static StateDict Initial => StateDict.Create(("first", [1f, 2f, 3f]), ("second", [4f]));

    private static async Task<(SiteOutcome Outcome, string Sha)> WithBadSiteAsync(Executor bad, int rounds = 2)
    {
        var federation = await Sites.RunAsync(
            Sites.Training(rounds, minSites: 2), Initial, Sites.Adding(0.1f, 3), bad, Sites.Adding(0.7f, 5));
        Assert.That(federation.Rounds.Select(r => (r.Targets, r.Accepted)), Is.All.EqualTo((3, 2)));
        return (federation.Rounds[0].Sites.Single(s => s.Site == "site-2"), federation.Model.Sha256());
    }

    private static async Task<string> WithoutBadSiteAsync(int rounds = 2)
    {
        await using var federation = Federation.InProcess(f => f
            .AddSite("site-1", _ => Sites.Adding(0.1f, 3)).AddSite("site-3", _ => Sites.Adding(0.7f, 5))
            .UseController(Sites.Training(rounds, minSites: 2)));
        await federation.RunToEndAsync(Initial);
        return federation.Model.Sha256();
    }

    private static Shareable Poisoned(StateDict model, string tensor, float poison)
    {
        var diff = new StateDict(model.Layout);
        diff[tensor].AsSpan<float>()[^1] = poison;
        return Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable();
    }

    private static readonly TestCaseData[] Refused =
    [
        new TestCaseData(
            (StateDict m) => Poisoned(m, "second", float.NaN),
            new[] { "'second'", "NaN", "learning rate" }) { TestName = "NaN" },
        new TestCaseData(
            (StateDict m) => Poisoned(m, "first", float.NegativeInfinity),
            new[] { "'first'", "infinity", "learning rate" }) { TestName = "Infinity" },
        new TestCaseData(
            (StateDict _) => Dxo.WeightDiff(StateDict.Create(("first", [1f, 2f, 3f]), ("head", [4f])))
            .WithMeta(MetaKey.NumStepsCurrentRound, 1)
            .ToShareable(), new[] { "'second' is missing", "layout", "send the tensors that the task brought" }) {
            TestName = "Name" },
        new TestCaseData(
            (StateDict _) => Dxo.WeightDiff(StateDict.Create(("first", [1f, 2f]), ("second", [4f])))
            .WithMeta(MetaKey.NumStepsCurrentRound, 1)
            .ToShareable(), new[] { "first", "layout", "send the tensors that the task brought" }) {
            TestName = "Shape" },
        new TestCaseData(
            (StateDict m) => Dxo.Metrics(("a", 1)).WithMeta(MetaKey.NumStepsCurrentRound, 1)
            .ToShareable(),
            new[] { "kind Metrics", "WeightDiff or Weights is expected", "have the executor answer" }) {
            TestName = "Kind" },
        new TestCaseData(
            (StateDict m) => Dxo.WeightDiff(new StateDict(m.Layout))
            .ToShareable(), new[] { "no training steps", ".WithMeta(MetaKey.NumStepsCurrentRound, n)" }) {
            TestName = "No steps" },
        new TestCaseData(
            (StateDict m) => Sites.Diff(m, 1, steps: 0),
            new[] { "0 training steps", ".WithMeta(MetaKey.NumStepsCurrentRound, n)", "at least 1" }) {
            TestName = "Zero steps" },
        new TestCaseData(
            (StateDict m) => Sites.Diff(m, 1, steps: -5),
            new[] { "-5 training steps", "at least 1" }) { TestName = "Negative steps" },
        new TestCaseData(
            (StateDict m) => Dxo.WeightDiff(new StateDict(m.Layout)).WithMeta(MetaKey.NumStepsCurrentRound, "many")
            .ToShareable(), new[] { "num_steps_current_round", "Text", "integer" }) {
            TestName = "Steps of another kind" },
        new TestCaseData(
            (StateDict m) => Dxo.WeightDiff(new StateDict(m.Layout)).WithMeta(MetaKey.NumStepsCurrentRound, 1)
            .WithMeta(MetaKey.InitialMetrics, "good")
            .ToShareable(), new[] { "Map is expected" }) { TestName = "Metrics that are no map" },
        new TestCaseData(
            (StateDict m) => { var answer = Sites.Diff(m, 1); Dxo.From(answer).Tensors.Dispose(); return answer;
            }, new[] { "disposed" }) { TestName = "Disposed tensors" },
        new TestCaseData(
            (StateDict _) => new Shareable(), new[] { "carries no DXO", "Dxo.ToShareable()" }) { TestName = "No DXO" },
        new TestCaseData(
            (StateDict _) => new Dxo(DataKind.WeightDiff).WithMeta(MetaKey.NumStepsCurrentRound, 1)
            .ToShareable(), new[] { "no tensors" }) { TestName = "No tensors" },
    ];

    [TestCaseSource(nameof(Refused))]
    public async Task A_contribution_that_does_not_fit_is_refused_with_the_remedy_and_leaves_no_trace(
        Func<StateDict, Shareable> answer, string[] words)
    {
        var (outcome, sha) = await WithBadSiteAsync(Sites.Answering(answer));
        Assert.That(outcome.Status, Is.EqualTo(SiteStatus.Rejected));
        foreach (var word in words) Assert.That(outcome.Reason, Does.Contain(word));
        Assert.That(outcome.ToString(), Does.StartWith("site-2: Rejected: "));
        Assert.That(sha, Is.EqualTo(await WithoutBadSiteAsync()));
    }

    [Test]
    public async Task An_executors_exception_reaches_the_operator_with_its_stack_and_the_run_goes_on()
    {
        var (outcome, sha) = await WithBadSiteAsync(Sites.Throwing("the scanner is offline"));
        Assert.That(outcome.Status, Is.EqualTo(SiteStatus.Failed));
        Assert.That(
            outcome.Reason, Does.Contain("ExecutionException").And.Contain("InvalidDataException").And.Contain(
                "the scanner is offline"));
        Assert.That(outcome.Error, Is.Not.Null);
        Assert.That(
            (outcome.Error!.Site, outcome.Error.Task, outcome.Error.Round, outcome.Error.Message),
            Is.EqualTo(("site-2", TaskNames.Train, 1, "the scanner is offline")));
        Assert.That(outcome.Error.Stack, Does.Contain("at Flare.Tests.Federations."));
        Assert.That(
            outcome.Error.ToString(),
            Is.EqualTo("site-2, train, round 1: System.IO.InvalidDataException: the scanner is offline"));
        Assert.That(sha, Is.EqualTo(await WithoutBadSiteAsync()));
    }

    private static readonly TestCaseData[] Malformed =
    [
        new TestCaseData((Func<StateDict, Shareable>)(_ => null!), ReturnCode.EmptyResult) { TestName = "null" },
        new TestCaseData(
            (Func<StateDict, Shareable>)(_ => { var reply = Shareable.Reply(ReturnCode.Error);
            reply.Headers[HeaderNames.Error] = "oops"; return reply; }),
                ReturnCode.ExecutionResultError) { TestName = "Error header of another kind" },
        new TestCaseData(
            (Func<StateDict, Shareable>)(_ => { var reply = new Shareable();
            reply.Headers[HeaderNames.ReturnCode] = "fine"; return reply; }),
                ReturnCode.ExecutionResultError) { TestName = "Return code of another kind" },
    ];

    [TestCaseSource(nameof(Malformed))]
    public async Task An_answer_that_is_no_valid_message_is_a_failure_of_its_site(
        Func<StateDict, Shareable> answer, ReturnCode code)
    {
        var (outcome, sha) = await WithBadSiteAsync(Sites.Answering(answer));
        Assert.That(outcome.Status, Is.EqualTo(SiteStatus.Failed));
        Assert.That(outcome.Reason, Does.Contain(code.ToString()));
        Assert.That(sha, Is.EqualTo(await WithoutBadSiteAsync()));
    }

    [Test]
    public async Task A_site_that_hangs_is_left_behind_when_its_time_is_over()
    {
        var time = new ManualTime();
        var running = Sites.RunAsync(
            Sites.Training(minSites: 2, timeout: TimeSpan.FromSeconds(90)), Initial, f => f.UseTime(time)
            .UseParallelism(3), Sites.Adding(0.1f, 3), Sites.Hanging(), Sites.Adding(0.7f, 5));
        await time.TimerAsync(TimeSpan.FromMinutes(5)); // the grace period: two have answered
        time.Advance(TimeSpan.FromSeconds(90));
        var federation = await running;
        var outcome = federation.Rounds[0].Sites.Single(s => s.Site == "site-2");
        Assert.That((outcome.Status, outcome.Elapsed), Is.EqualTo((SiteStatus.TimedOut, TimeSpan.FromSeconds(90))));
        Assert.That(outcome.Reason, Does.Contain("00:01:30"));
        Assert.That(federation.Model.Sha256(), Is.EqualTo(await WithoutBadSiteAsync(rounds: 1)));
    }

    [Test]
    public async Task An_executor_that_ignores_its_abort_is_abandoned_and_gets_no_further_task()
    {
        var log = new LogRecorder();
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var calls = 0;
        var deaf = new Scripted(async (_, input, _, _) =>
        {
            Interlocked.Increment(ref calls);
            await release.Task; // no token
            return Sites.Diff(Dxo.From(input).Tensors, 100);
        });
        var secondRound = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var workflow = new Workflow(async (federation, abort) =>
        {
            var first = federation.BroadcastAsync(
                FlareTask.Train(1, federation.Model), new() { MinResponses = 1, Grace = TimeSpan.Zero }, abort);
            await foreach (var _ in first) { }
            Assert.That(first.Sites[1].Status, Is.EqualTo(SiteStatus.TimedOut));
            var second = federation.BroadcastAsync(
                FlareTask.Train(2, federation.Model), new() { MinResponses = 1 }, abort);
            await foreach (var _ in second) { }
            Assert.That(second.Sites[1].Status, Is.EqualTo(SiteStatus.Failed));
            Assert.That(
                second.Sites[1].Reason, Does.Contain("still busy with task 'train'").And.Contain("abort token"));
        });
        await Sites.RunAsync(
            workflow, Initial, f => f.UseLogging(log).UseParallelism(2)
            .UseLimits(new() { AbortGrace = TimeSpan.FromMilliseconds(30) }), Sites.Adding(1), deaf);
        release.SetResult();
        Assert.That(calls, Is.EqualTo(1));
        Assert.That(
            log.Entries.Select(e => e.Message),
            Has.One.Contains("site-2: the executor did not stop").And.One.Contains("Pass the abort token on"));
    }

    [Test]
    public async Task Fewer_answers_than_the_minimum_end_the_run_early_with_every_sites_reason()
    {
        var failure = Assert.ThrowsAsync<TooFewResponsesException>(
            () => Sites.RunAsync(Sites.Training(minSites: 2), Initial,
            Sites.Hanging(), Sites.Throwing("no data"), Sites.Answering(m => Poisoned(m, "second", float.NaN))))!;
        Assert.That(failure.ErrorId, Is.EqualTo(ErrorIds.TooFewResponses));
        Assert.That(
            failure.Message, Does.Contain("0 of the 2 responses").And.Contain("site-2: Failed").And.Contain("no data")
            .And.Contain("site-3: Rejected").And.Contain("'second'").And.Contain("lower the minimum").And.Contain(
                "; 1 more was cancelled"));
        Assert.That(
            failure.Sites.Select(s => s.Status),
            Is.EqualTo(new[] { SiteStatus.Cancelled, SiteStatus.Failed, SiteStatus.Rejected }));
        Assert.That(failure.IsTransient, Is.False, "the same sites would fail again");
        await Task.CompletedTask;
    }

    [Test]
    public void Sites_that_went_wrong_by_themselves_come_before_those_that_were_called_off()
    {
        SiteOutcome[] sites =
            [.. new[] { SiteStatus.Cancelled, SiteStatus.TimedOut, SiteStatus.Accepted, SiteStatus.Lost,
                SiteStatus.Cancelled, SiteStatus.Rejected, SiteStatus.Failed }
            .Select(
                (status, i) => new SiteOutcome { Site = $"site-{i + 1}", Task = TaskNames.Train, Status = status })];
        static string listed(IReadOnlyList<SiteOutcome> sites) =>
            new TooFewResponsesException(TaskNames.Train, 2, 5, CompletionStatus.Error, sites).Message.Split(
                "minimum. ")[1];
        Assert.That(
            listed(sites), Is.EqualTo(
                "site-7: Failed; site-6: Rejected; site-4: Lost; site-2: TimedOut; 2 more were cancelled [FLARE2001]"));
        Assert.That(listed([sites[0]]), Is.EqualTo("1 was cancelled [FLARE2001]"));
        Assert.That(
            listed([.. Enumerable.Repeat(sites[6], 12), sites[0]]),
            Does.EndWith("; site-7: Failed; 2 more went wrong; 1 more was cancelled [FLARE2001]"));
    }

    [Test]
    public async Task A_failed_run_keeps_the_model_of_its_last_committed_round()
    {
        var round = 0;
        await using var federation = Federation.InProcess(f => f
            .AddSites(
                1, _ => Sites.Answering(m => ++round == 3 ? throw new InvalidDataException("gone") : Sites.Diff(m, 1)))
            .UseController(Sites.Training(rounds: 5)));
        Assert.ThrowsAsync<TooFewResponsesException>(() => federation.RunToEndAsync(Sites.Model(10)));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 12f }));
        Assert.That(federation.Rounds, Has.Count.EqualTo(2));
    }

    [Test]
    public void A_model_that_is_not_finite_is_not_committed()
    {
        var workflow = new Workflow(
            (federation, abort) => federation.CommitAsync(1, StateDict.Create(("a", [1f]), ("b", [float.NaN])), abort));
        var failure = Assert.ThrowsAsync<FlareException>(() => Sites.RunAsync(
            workflow, StateDict.Create(("a", [1f]), ("b", [2f])), Sites.Hanging()))!;
        Assert.That(failure.ErrorId, Is.EqualTo(ErrorIds.Aggregation));
        Assert.That(failure.Message, Does.Contain("'b'").And.Contain("learning rate"));
    }

    [Test]
    public async Task A_site_cannot_fill_the_report_with_its_error_text()
    {
        var federation = await Sites.RunAsync(
            Sites.Training(), Initial, Sites.Adding(1), Sites.Throwing(new string('x', 3_000_000)));
        var outcome = federation.Rounds[0].Sites[1];
        Assert.That(outcome.Error!.Message, Has.Length.LessThan(20_000).And.EndsWith("(3,000,000 characters)"));
        Assert.That(outcome.Reason, Has.Length.LessThan(20_000));
    }

    [Test]
    public async Task Metrics_are_numbers_and_few()
    {
        var text = Sites.Answering(
            m => Sites.Diff(m, 1).Body is var body
            ? WithMetrics(body, new() { ["accuracy"] = 0.5, ["note"] = "fine", ["model"] = m }) : null!);
        var many = Sites.Answering(m =>
        {
            var metrics = new FlareMap();
            for (var i = 0; i < 300; i++) metrics[$"metric {i}"] = i;
            return WithMetrics(Sites.Diff(m, 1).Body, metrics);
        });
        var federation = await Sites.RunAsync(Sites.Training(), Initial, text, many);
        Assert.That(federation.Rounds[0].Sites[0].Metrics!.Select(m => m.Key), Is.EqualTo(new[] { "accuracy" }));
        Assert.That(federation.Rounds[0].Sites[1].Status, Is.EqualTo(SiteStatus.Rejected));
        Assert.That(federation.Rounds[0].Sites[1].Reason, Does.Contain("300 metrics"));

        static Shareable WithMetrics(FlareMap body, FlareMap metrics) =>
            Dxo.From(new Shareable(body) { ContentType = ContentTypes.Dxo }).WithMeta(MetaKey.InitialMetrics, metrics)
            .ToShareable();
    }

    [Test]
    public async Task Everything_wrong_with_a_configuration_is_listed_at_once()
    {
        var failure = Assert.Throws<FlareException>(() => Federation.InProcess(f => f
            .UseController(
                new FedAvg { Rounds = 0, SitesPerRound = 0, MinSites = 0, Grace = TimeSpan.FromSeconds(-1),
                    TrainTimeout = TimeSpan.Zero, ValidationTimeout = TimeSpan.Zero })
            .UseLimits(
                new RuntimeLimits { MaxConcurrentUploads = 0, SmallResultBytes = -1, AbortGrace = TimeSpan.Zero,
                    SiteLease = TimeSpan.FromSeconds(1) })
            .AddCheck(_ => ["the key file is missing"])))!;
        Assert.That(failure.ErrorId, Is.EqualTo(ErrorIds.Configuration));
        foreach (var part in new[] { "no sites", "Rounds is 0", "SitesPerRound is 0", "MinSites is 0", "Grace is",
            "TrainTimeout is", "ValidationTimeout is", "MaxConcurrentUploads is 0", "SmallResultBytes is -1",
            "AbortGrace is", "SiteLease", "the key file is missing", "FedAvg: " })
            Assert.That(failure.Message, Does.Contain(part));
        Assert.That(
            Assert.Throws<FlareException>(
                () => Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1))))!.Message,
                Does.Contain("no workflow").And.Contain("UseController"));
        Assert.That(
            Assert.Throws<FlareException>(
                () => Federation.InProcess(
                    f => f.AddSites(3, _ => Sites.Adding(1))
                    .UseController(new FedAvg { SitesPerRound = 4, MinSites = 4 })))!.Message,
            Does.Contain("SitesPerRound is 4, and there are 3 sites").And.Contain(
                "MinSites is 4; it must be from 1 to the 3 sites"));
        await Task.CompletedTask;
    }

    [Test]
    public void Misuse_throws_the_usual_exceptions()
    {
        Assert.That(
            () => Federation.InProcess(f => f.AddSite("a", _ => Sites.Adding(1)).AddSite("a", _ => Sites.Adding(1))),
            Throws.ArgumentException.With.Message.Contains("'a' is taken"));
        Assert.That(
            () => Federation.InProcess(f => f.AddSite("server", _ => Sites.Adding(1))), Throws.ArgumentException);
        Assert.That(
            () => Federation.InProcess(f => f.AddServerFilter(FilterPlace.SiteIn, new LambdaFilter((m, _) => m))),
            Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("ConfigureSites"));
        Assert.That(
            () => new SiteDefinition("a", Sites.Adding(1)).AddFilter(
                FilterPlace.ServerOut, new LambdaFilter((m, _) => m)),
                Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(
            () => Federation.InProcess(f => f.AddSites(1, _ => null!).UseController(Sites.Training())),
            Throws.InvalidOperationException.With.Message.Contains("site-1"));
    }
}

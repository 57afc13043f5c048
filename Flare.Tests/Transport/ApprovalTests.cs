using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>A site's operator sees a job before it runs, once, and whenever it is another one.</summary>
public class ApprovalTests
{
    private static readonly LinkLimits Quick = LeavingTests.Quick;
    private static readonly SitePolicy Careful = new() { RequiresApproval = true };

    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("flare-approval").FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    private static SocketTransport To(FederationServer server) =>
        SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server));

    private static FederationServer Server() => FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));

    private static ServerBuilder Job(params float[] model) => new ServerBuilder().UseJobId("job").AddSites("a")
        .UseController(Sites.Training()).UseInitialModel(Sites.Model(model));

    private static SiteBuilder Site() => new SiteBuilder("a").UseJobId("job").UsePolicy(Careful);

    /// <summary>Runs a job with one site that approves; what it was asked.</summary>
    private async Task<JobToApprove?> RunAsync(
        ServerBuilder? job = null, Func<SiteBuilder, SiteBuilder>? configure = null, Func<Executor>? executor = null)
    {
        JobToApprove? asked = null;
        await using var server = Server();
        await using var plan = (job ?? Job(0)).Build();
        var served = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        var builder = Site().UseSiteState(_folder).UseExecutor(executor ?? (() => Sites.Adding(1)))
            .UseApproval((what, _) =>
            {
                asked = what;
                return ValueTask.FromResult(JobDecision.Approve);
            });
        await using var sitePlan = (configure?.Invoke(builder) ?? builder).Build();
        var joined = site.Join(sitePlan);
        await served.Ended.WaitAsync(Patience.Long);
        Assert.That(await joined.Ended.WaitAsync(Patience.Long), Is.Not.Empty);
        return asked;
    }

    [Test]
    public async Task A_site_waits_for_its_operator_and_the_server_says_so()
    {
        var (asked, decision) = (new TaskCompletionSource<JobToApprove>(), new TaskCompletionSource<JobDecision>());
        var begun = 0;
        await using var server = Server();
        await using var plan = Job(1, 2).Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = Site()
            .UseExecutor(() => new Scripted((_, input, _, _) =>
            {
                begun++;
                return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
            }))
            .AddExecutor("statistics", () => Sites.Adding(1))
            .UseApproval(async (what, cancel) =>
            {
                asked.SetResult(what);
                return await decision.Task.WaitAsync(cancel);
            }).Build();
        _ = site.Join(sitePlan);
        var what = await asked.Task.WaitAsync(Patience.Long);
        Assert.That((what.Site, what.JobId, what.AnswersAnyTask), Is.EqualTo(("a", "job", true)));
        Assert.That(what.Workflows, Is.EqualTo(new[] { "FedAvg" }));
        Assert.That(what.Tasks, Is.EqualTo(new[] { "statistics" }));
        Assert.That(what.Layout, Is.EqualTo(Sites.Model(1, 2).Layout.Fingerprint));
        Assert.That(what.Policy, Is.SameAs(Careful));
        var standing = await OperatingTests.StandingAsync(job, "a", s => s.Pause is not null);
        Assert.That(standing.Pause, Is.EqualTo("its operator has not approved the job yet"));
        Assert.That(begun, Is.Zero);
        decision.SetResult(JobDecision.Approve);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(begun, Is.EqualTo(1));
    }

    [Test]
    public async Task A_refusal_is_heard_in_words_and_nobody_waits()
    {
        var log = new LogRecorder();
        await using var server = Server();
        await using var plan = Job(0).UseLogging(log).Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        var begun = false;
        await using var sitePlan = Site().UseExecutor(() => Sites.Answering(m =>
        {
            begun = true;
            return Sites.Diff(m, 1);
        })).UseApproval((_, _) => ValueTask.FromResult(JobDecision.Refuse("no contract with this hospital"))).Build();
        var joined = site.Join(sitePlan);
        var here = Assert.CatchAsync<FlareException>(() => joined.Ended.WaitAsync(Patience.Long));
        Assert.That(here!.ErrorId, Is.EqualTo(ErrorIds.JobNotApproved));
        Assert.That(here.Message, Does.Contain("no contract with this hospital"));
        var there = Assert.CatchAsync<FlareException>(() => job.Ended.WaitAsync(Patience.Long));
        Assert.That(there!.Message, Does.Contain("takes no part in the job: no contract with this hospital"));
        Assert.That(log.Entries.Select(e => e.Message), Has.Some.Contains("a takes no part in the job: no contract"));
        Assert.That(begun, Is.False);
    }

    [Test]
    public async Task A_site_that_refused_is_not_asked_in_later_rounds_and_may_change_its_mind()
    {
        var said = JobDecision.Refuse("not today");
        var gate = new TaskCompletionSource();
        await using var server = Server();
        await using var plan = new ServerBuilder().UseJobId("job").AddSites("a", "b").UseController(Sites.Training(3))
            .UseInitialModel(Sites.Model(0)).Build();
        var job = server.Run(plan);
        await using var b = FederationSite.Connect(To(server), "b", limits: Quick);
        await using var planB = new SiteBuilder("b").UseJobId("job").UseExecutor(() => new Scripted(
            async (_, input, context, abort) =>
            {
                if (context.Round == 3) await gate.Task.WaitAsync(abort);
                return Sites.Diff(Dxo.From(input).Tensors, 1);
            })).Build();
        await using var a = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var planA = Site().UseExecutor(() => Sites.Adding(3))
            .UseApproval((_, _) => ValueTask.FromResult(said)).Build();
        Assert.CatchAsync<FlareException>(() => a.Join(planA).Ended.WaitAsync(Patience.Long));
        await OperatingTests.StandingAsync(job, "a", s => s.Declined is not null);
        _ = b.Join(planB);
        await using var reports = job.ReadRoundsAsync().GetAsyncEnumerator();
        for (var round = 1; round <= 2; round++)
        {
            Assert.That(await reports.MoveNextAsync().AsTask().WaitAsync(Patience.Long));
            var outcome = reports.Current.Sites.Single(s => s.Site == "a");
            Assert.That((outcome.Status, outcome.Reason!.Contains("not today")), Is.EqualTo((SiteStatus.Failed, true)));
        }
        said = JobDecision.Approve;
        await using var again = Site().UseExecutor(() => Sites.Adding(3))
            .UseApproval((_, _) => ValueTask.FromResult(said)).Build();
        _ = a.Join(again); // over the same connection
        await OperatingTests.StandingAsync(job, "a", s => s is { IsConnected: true, Declined: null });
        gate.SetResult();
        await job.Ended.WaitAsync(Patience.Long);
    }

    [Test]
    public async Task What_was_approved_is_remembered_in_the_sites_folder_and_nothing_else()
    {
        Assert.That(await RunAsync(), Is.Not.Null);
        Assert.That(await RunAsync(), Is.Null, "the same again");
        Assert.That(await RunAsync(Job(0, 0)), Is.Not.Null, "another layout");
        Assert.That(await RunAsync(Job(0, 0)), Is.Null);
        Assert.That(await RunAsync(), Is.Null, "the first is approved still");
        Assert.That(await RunAsync(configure: s => s.AddExecutor("more", () => Sites.Adding(1))), Is.Not.Null, "tasks");
        Assert.That(
            await RunAsync(configure: s => s.UsePolicy(Careful with { MayFireEvents = false })), Is.Not.Null, "policy");
        Assert.That(
            await RunAsync(new ServerBuilder().UseJobId("job").AddSites("a").UseController(new Other())
                .UseInitialModel(Sites.Model(0))), Is.Not.Null, "workflows");
        Assert.That(
            await RunAsync(Job(0).UseJobId("other"), s => s.UseJobId("other")), Is.Not.Null, "another job");
    }

    private sealed class Other : Controller
    {
        protected override async Task RunAsync(ControllerContext context, CancellationToken abort)
        {
            var task = new FlareTask("train", 1, Dxo.Weights(context.Model).ToShareable());
            await foreach (var _ in context.BroadcastAsync(task, new() { MinResponses = 1 }, abort)) { }
        }
    }

    [Test]
    public async Task Without_a_folder_it_is_asked_for_in_each_run()
    {
        var asked = 0;
        for (var run = 1; run <= 2; run++)
        {
            await using var server = Server();
            await using var plan = Job(0).Build();
            var job = server.Run(plan);
            await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
            await using var sitePlan = new SiteBuilder("a").UseJobId("job").UseExecutor(() => Sites.Adding(1))
                .UseApproval((_, _) =>
                {
                    asked++;
                    return ValueTask.FromResult(JobDecision.Approve);
                }).Build();
            _ = site.Join(sitePlan);
            await job.Ended.WaitAsync(Patience.Long);
            Assert.That(asked, Is.EqualTo(run));
        }
    }

    [Test]
    public async Task Where_asking_fails_the_site_takes_no_part_and_the_failures_words_stay_at_it()
    {
        var (serverLog, siteLog) = (new LogRecorder(), new LogRecorder());
        await using var server = Server();
        await using var plan = Job(0).UseLogging(serverLog).Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = Site().UseLogging(siteLog).UseExecutor(() => Sites.Adding(1))
            .UseApproval((_, _) => throw new InvalidDataException("no window for Erika Mustermann")).Build();
        var joined = site.Join(sitePlan);
        Assert.CatchAsync<FlareException>(() => joined.Ended.WaitAsync(Patience.Long));
        var e = Assert.CatchAsync<FlareException>(() => job.Ended.WaitAsync(Patience.Long));
        Assert.That(e!.ToString(), Does.Contain("could not be asked (InvalidDataException)"));
        Assert.That(e.ToString() + string.Concat(serverLog.Entries), Does.Not.Contain("Mustermann"));
        Assert.That(
            siteLog.Entries.Select(l => l.Exception?.Message), Has.Some.EqualTo("no window for Erika Mustermann"));
    }

    [Test]
    public async Task A_site_that_leaves_asks_no_longer()
    {
        var (asked, cancelled) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var server = Server();
        await using var plan = Job(0).Build();
        _ = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = Site().UseExecutor(() => Sites.Adding(1)).UseApproval(async (_, cancel) =>
        {
            asked.SetResult();
            await using var told = cancel.Register(cancelled.SetResult);
            await Task.Delay(Timeout.Infinite, cancel);
            return JobDecision.Approve;
        }).Build();
        var joined = site.Join(sitePlan);
        await asked.Task.WaitAsync(Patience.Long);
        await joined.LeaveAsync().WaitAsync(Patience.Long);
        await cancelled.Task.WaitAsync(Patience.Long);
        Assert.CatchAsync<OperationCanceledException>(() => joined.Ended);
    }

    [Test]
    public void A_policy_that_asks_for_approval_needs_somebody_to_ask()
    {
        var e = Assert.Throws<FlareException>(() => Site().UseExecutor(() => Sites.Adding(1)).Build());
        Assert.That((e!.ErrorId, e.Message.Contains("UseApproval")), Is.EqualTo((ErrorIds.Configuration, true)));
        e = Assert.Throws<FlareException>(() => Federation.InProcess(f => f.AddSite("a", _ => Sites.Adding(1))
            .ConfigureSites((site, _) => site.UsePolicy(Careful)).UseController(Sites.Training())));
        Assert.That(e!.ErrorId, Is.EqualTo(ErrorIds.Configuration));
        Assert.That(e.Message, Does.Contain("nobody can be asked"));
    }
}

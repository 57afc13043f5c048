using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Tests.Transport;

/// <summary>Who may come, who may not, and what is kept of what was cut.</summary>
public class LinkTests
{
    private static readonly LinkLimits Quick = new() { FirstPause = TimeSpan.FromMilliseconds(20) };

    private static SocketTransport Loopback => SocketTransport.PlainTcp("127.0.0.1", 0);

    private static SocketTransport To(FederationServer server) =>
        SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server));

    private static ServerPlan Plan(string job, int rounds = 1, params string[] sites) =>
        new ServerBuilder().UseJobId(job).AddSites(sites).UseController(Sites.Training(rounds, minSites: sites.Length))
            .UseInitialModel(Sites.Model(0)).Build();

    private static SitePlan SitePlan(string name, string job, Func<Executor>? executor = null) =>
        new SiteBuilder(name).UseJobId(job).UseExecutor(executor ?? (() => Sites.Adding(1))).Build();

    [Test]
    public async Task Several_jobs_share_a_server_and_a_sites_connection()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        var plans = Enumerable.Range(1, 3).Select(i => (Plan($"job-{i}", i, "a"), SitePlan("a", $"job-{i}"))).ToArray();
        var joined = plans.Select(p => site.Join(p.Item2)).ToArray(); // before the server has them
        var jobs = plans.Select(p => server.Run(p.Item1)).ToArray();
        for (var i = 0; i < 3; i++)
        {
            await jobs[i].Ended.WaitAsync(Patience.Long);
            Assert.That(jobs[i].Model.Values(), Is.EqualTo(new[] { i + 1f }));
            Assert.That(await joined[i].Ended.WaitAsync(Patience.Long), Is.Not.Empty);
            await plans[i].Item1.DisposeAsync();
            await plans[i].Item2.DisposeAsync();
        }
    }

    [Test]
    public async Task A_second_process_of_a_site_is_refused_unless_it_has_started_later()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var plan = Plan("job", 1, "a", "b");
        var job = server.Run(plan);
        await using var planA = SitePlan("a", "job");
        await using var a = FederationSite.Connect(To(server), "a", incarnation: 5, Quick);
        var first = a.Join(planA);
        await FrameConnectionTests.WaitFor(() => Attached(server) == 1);
        await using var older = FederationSite.Connect(To(server), "a", incarnation: 4, Quick);
        await using var planOlder = SitePlan("a", "job");
        var e = Assert.CatchAsync<FlareException>(() => older.Join(planOlder).Ended.WaitAsync(Patience.Long));
        Assert.That(e!.ErrorId, Is.EqualTo(ErrorIds.SiteRefused));
        Assert.That(e.Message, Does.Contain("another process is a already").And.Contain("5").And.Contain("4"));
        await using var planB = SitePlan("b", "job");
        await using var b = FederationSite.Connect(To(server), "b", limits: Quick);
        _ = b.Join(planB);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(await first.Ended.WaitAsync(Patience.Long), Is.Not.Empty);
    }

    [Test]
    public async Task A_site_that_leaves_and_comes_back_within_the_round_takes_part_in_it()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var plan = Plan("job", 1, "a", "b");
        var job = server.Run(plan);
        var started = new TaskCompletionSource();
        await using var planB = SitePlan("b", "job");
        await using var b = FederationSite.Connect(To(server), "b", limits: Quick);
        _ = b.Join(planB);
        await using (var planA = SitePlan("a", "job", () => Sites.Hanging(() => started.TrySetResult())))
        await using (var a = FederationSite.Connect(To(server), "a", limits: Quick))
        {
            var left = a.Join(planA);
            await started.Task.WaitAsync(Patience.Long);
            await a.DisposeAsync();
            Assert.CatchAsync<OperationCanceledException>(() => left.Ended.WaitAsync(Patience.Long));
        }
        await using var planAgain = SitePlan("a", "job", () => Sites.Adding(3));
        await using var again = FederationSite.Connect(To(server), "a", limits: Quick);
        _ = again.Join(planAgain);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values(), Is.EqualTo(new[] { 2f }));
    }

    [Test]
    public async Task Jobs_of_one_connection_share_its_streams()
    {
        var limits = new LinkLimits { Frames = new() { MaxStreams = 1 }, FirstPause = TimeSpan.FromMilliseconds(20) };
        await using var server = FederationServer.Start(Loopback, limits);
        await using var site = FederationSite.Connect(To(server), "a", limits: limits);
        var model = new float[300_000];
        var jobs = new List<ServedJob>();
        var owned = new List<IAsyncDisposable>();
        foreach (var id in Enumerable.Range(1, 6).Select(i => $"job-{i}"))
        {
            var plan = new ServerBuilder().UseJobId(id).AddSites("a").UseController(Sites.Training(rounds: 3))
                .UseInitialModel(Sites.Model(model)).Build();
            var sitePlan = SitePlan("a", id);
            owned.AddRange([plan, sitePlan]);
            jobs.Add(server.Run(plan));
            _ = site.Join(sitePlan);
        }
        foreach (var job in jobs)
        {
            await job.Ended.WaitAsync(Patience.Long);
            Assert.That(job.Model.Values()[^1], Is.EqualTo(3));
        }
        foreach (var plan in owned) await plan.DisposeAsync();
    }

    [Test]
    public async Task Events_keep_their_order_however_long_one_of_them_is()
    {
        var heard = new List<int>();
        var all = new TaskCompletionSource();
        await using var server = FederationServer.Start(Loopback);
        await using var plan = new ServerBuilder().UseJobId("job").AddSites("a").UseController(Sites.Training())
            .UseInitialModel(Sites.Model(0)).AddServerComponent(new Listener(heard, all)).Build();
        var job = server.Run(plan);
        await using var sitePlan = SitePlan("a", "job", () => new Scripted(async (_, input, context, abort) =>
        {
            for (var i = 1; i <= 6; i++)
                context.FireFederated(
                    "mine", new Shareable(new() { ["n"] = i, ["b"] = new byte[i % 3 == 1 ? 3_000_000 : 10] }));
            await all.Task.WaitAsync(abort); // a job that is over hears nothing more
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        }));
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        _ = site.Join(sitePlan);
        await all.Task.WaitAsync(Patience.Long);
        Assert.That(heard, Is.EqualTo(new[] { 1, 2, 3, 4, 5, 6 }));
        await job.Ended.WaitAsync(Patience.Long);
    }

    private sealed class Listener(List<int> heard, TaskCompletionSource all) : FLComponent
    {
        protected internal override void HandleEvent(string eventType, FLContext context)
        {
            if (eventType != "mine") return;
            heard.Add((int)context.Get(ContextKeys.EventData).Body["n"].AsInteger());
            if (heard.Count == 6) all.TrySetResult();
        }
    }

    [Test]
    public async Task What_a_connector_throws_is_tried_again()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var plan = Plan("job", 1, "a");
        var job = server.Run(plan);
        await using var sitePlan = SitePlan("a", "job");
        await using var site = FederationSite.Connect(new Failing(To(server)), "a", limits: Quick);
        _ = site.Join(sitePlan);
        await job.Ended.WaitAsync(Patience.Long);
    }

    private sealed class Failing(IFlareConnector inner) : IFlareConnector
    {
        private int _calls;

        public ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken) =>
            ++_calls < 3 ? throw new IOException("the tunnel is down") : inner.ConnectAsync(cancellationToken);
    }

    [Test]
    public async Task A_job_is_joined_once_until_it_is_left()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var first = SitePlan("a", "job");
        await using var second = SitePlan("a", "job");
        var joined = site.Join(first);
        Assert.Throws<InvalidOperationException>(() => site.Join(second));
        await joined.LeaveAsync();
        Assert.CatchAsync<OperationCanceledException>(() => joined.Ended);
        var again = site.Join(second);
        await using var plan = Plan("job", 1, "a");
        await server.Run(plan).Ended.WaitAsync(Patience.Long);
        Assert.That(await again.Ended.WaitAsync(Patience.Long), Is.Not.Empty);
    }

    [Test]
    public async Task A_job_that_was_left_in_mid_task_is_joined_again_over_the_same_connection()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var plan = Plan("job", 1, "a");
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", incarnation: 1, Quick);
        for (var times = 0; times < 3; times++)
        {
            var started = new TaskCompletionSource();
            await using var left = SitePlan("a", "job", () => Sites.Hanging(() => started.TrySetResult()));
            var joined = site.Join(left);
            await started.Task.WaitAsync(Patience.Long);
            await joined.LeaveAsync();
        }
        await using var again = SitePlan("a", "job");
        Assert.That(await site.Join(again).Ended.WaitAsync(Patience.Long), Is.Not.Empty);
        await job.Ended.WaitAsync(Patience.Long);
        // The next start of the process counts on by one, however often the one before has joined.
        await using var next = FederationSite.Connect(To(server), "a", incarnation: 2, Quick);
        await using var another = Plan("job", 1, "a");
        var second = server.Run(another);
        await using var nextPlan = SitePlan("a", "job");
        Assert.That(await next.Join(nextPlan).Ended.WaitAsync(Patience.Long), Is.Not.Empty);
        await second.Ended.WaitAsync(Patience.Long);
    }

    [TestCase(0)]
    [TestCase((1L << 42) + 1)]
    public void An_incarnation_out_of_range_is_refused(long incarnation) =>
        Assert.Throws<ArgumentOutOfRangeException>(
            () => FederationSite.Connect(SocketTransport.PlainTcp("127.0.0.1", 1), "a", incarnation));

    [Test]
    public async Task A_job_that_was_left_can_be_joined_at_once_each_time()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        for (var i = 0; i < 300; i++)
        {
            await using var plan = SitePlan("a", "job");
            await site.Join(plan).LeaveAsync();
        }
    }

    [Test]
    public async Task A_job_of_the_same_id_runs_as_soon_as_one_has_ended()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        for (var i = 0; i < 50; i++)
        {
            await using var plan = Plan("job", 1, "a");
            await using var sitePlan = SitePlan("a", "job");
            var joined = site.Join(sitePlan);
            await server.Run(plan).Ended.WaitAsync(Patience.Long);
            await joined.Ended.WaitAsync(Patience.Long);
        }
    }

    [Test]
    public async Task The_end_of_a_served_job_is_the_jobs_own()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var failing = new ServerBuilder().UseJobId("fails").AddSites("a")
            .UseController(new Workflow((_, _) => throw new InvalidDataException("the workflow is broken")))
            .UseInitialModel(Sites.Model(0)).Build();
        var e = Assert.CatchAsync(() => server.Run(failing).Ended.WaitAsync(Patience.Long));
        Assert.That(e!.ToString(), Does.Contain("the workflow is broken"));
        using var abort = new CancellationTokenSource();
        await using var waiting = Plan("aborted", 1, "a");
        var aborted = server.Run(waiting, abort.Token);
        await abort.CancelAsync();
        Assert.CatchAsync<OperationCanceledException>(() => aborted.Ended.WaitAsync(Patience.Long));
    }

    [Test]
    public async Task A_site_that_is_attached_to_a_job_that_has_ended_gets_the_next_of_its_id()
    {
        await using var server = FederationServer.Start(Loopback);
        await using var wire = await RawSite.ConnectAsync(To(server));
        await using var first = Plan("job", 1, "a", "b");
        using var abort = new CancellationTokenSource();
        var job = server.Run(first, abort.Token);
        await wire.AttachAsync(7, "a", "job");
        Assert.That((await wire.HearAsync("attached"))["channel"].AsInteger(), Is.EqualTo(7));
        await abort.CancelAsync(); // the site is deaf to the job's end
        Assert.CatchAsync<OperationCanceledException>(() => job.Ended.WaitAsync(Patience.Long));
        Assert.That((await wire.HearAsync("refused"))["comeBack"].AsBoolean());
        await using var second = Plan("job", 1, "a");
        _ = server.Run(second);
        await wire.AttachAsync(7, "a", "job");
        await wire.HearAsync("attached");
    }

    [TestCase("a\nsite 'b' is connected to job job"), TestCase("\u001b[2Ja"), TestCase(" \u001b[31ma")]
    [TestCase("a\u202eb"), TestCase(""), TestCase("   "), TestCase("a\r\n")]
    public async Task A_name_that_cannot_be_a_sites_is_refused_in_words_and_stands_in_no_log_as_it_came(string name)
    {
        var logged = new LogRecorder();
        await using var server = FederationServer.Start(Loopback, logging: logged);
        await using var plan = Plan("job", 1, "a");
        _ = server.Run(plan);
        await using var wire = await RawSite.ConnectAsync(To(server));
        wire.Ask(7, name, "job");
        var refused = await wire.HearAsync("refused");
        Assert.That(refused["reason"].AsText(), Does.Contain("cannot be the name of a site").And.Contain("by another"));
        Assert.That(refused["comeBack"].AsBoolean(), Is.False);
        Assert.That(server.ConnectedSites, Is.Empty);
        await wire.DisposeAsync();
        await FrameConnectionTests.WaitFor(() => logged.Entries.Any(e => e.Message.Contains("has ended")));
        Assert.That(logged.Entries, Has.Some.Matches<(Microsoft.Extensions.Logging.LogLevel, int Id, string Message,
            Exception?)>(e => e.Id == 5004 && e.Message.Contains("cannot be the name of a site")));
        foreach (var text in logged.Entries.Select(e => e.Message).Append(refused["reason"].AsText()))
            Assert.That(text.All(c => !char.IsControl(c) && c != '\u202e'), text);
        if (name.Length == 0) return;
        Assert.That(() => FederationSite.Connect(To(server), name), Throws.ArgumentException, "nor does a site say it");
    }

    private static int Attached(FederationServer server) => server.ConnectedSites.Count;
}

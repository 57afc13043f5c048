using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Transport;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Transport;

/// <summary>What a site's operator decides: pause and go on, leave and come back, and that the server knows.</summary>
public class OperatingTests
{
    private static readonly LinkLimits Quick = LeavingTests.Quick;

    private static SocketTransport To(FederationServer server) =>
        SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server));

    private static FederationServer Server() => FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));

    private static ServerBuilder Job(int rounds, params string[] sites) => new ServerBuilder().AddSites(sites)
        .UseController(Sites.Training(rounds, minSites: sites.Length)).UseInitialModel(Sites.Model(0));

    private static SitePlan Plan(string name, Func<Executor> executor, string job = "job") =>
        new SiteBuilder(name).UseJobId(job).UseExecutor(executor).Build();

    internal static async Task<SiteStanding> StandingAsync(ServedJob job, string site, Func<SiteStanding, bool> until)
    {
        using var patience = new CancellationTokenSource(Patience.Long);
        while (true)
        {
            if ((await job.GetSitesAsync()).SingleOrDefault(s => s.Site == site) is { } standing && until(standing))
                return standing;
            await Task.Delay(1, patience.Token);
        }
    }

    [Test]
    public async Task A_paused_site_begins_no_task_is_not_lost_and_is_named_by_the_server_that_waits()
    {
        var (time, log) = (new ManualTime(), new LogRecorder());
        await using var server = Server();
        await using var plan = Job(1, "a").UseTime(time).UseLogging(log).Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await site.PauseAsync("the scanner is in use").WaitAsync(Patience.Long);
        var begun = 0;
        await using var sitePlan = Plan("a", () => new Scripted((_, input, _, _) =>
        {
            Interlocked.Increment(ref begun);
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        }));
        var joined = site.Join(sitePlan);
        var standing = await StandingAsync(job, "a", s => s.Pause is not null);
        Assert.That(standing.ToString(), Is.EqualTo("a (paused: the scanner is in use)"));
        await time.TimerAsync(plan.Limits.ReminderInterval);
        time.Advance(TimeSpan.FromHours(1)); // many leases
        var waits = await EntryAsync(log, "and waits since");
        Assert.That(waits, Does.Contain("a (paused: the scanner is in use)"));
        Assert.That(begun, Is.Zero);
        Assert.That(site.IsPaused);
        site.Resume();
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That((begun, job.Model.Values()[0], site.IsPaused), Is.EqualTo((1, 1f, false)));
        Assert.That(await joined.Ended.WaitAsync(Patience.Long), Is.Not.Empty);
    }

    private static async Task<string> EntryAsync(LogRecorder log, string part)
    {
        using var patience = new CancellationTokenSource(Patience.Long);
        while (true)
        {
            if (log.Entries.Select(e => e.Message).FirstOrDefault(m => m.Contains(part)) is { } found) return found;
            await Task.Delay(1, patience.Token);
        }
    }

    [Test]
    public async Task A_task_that_runs_ends_in_the_pause_and_the_next_begins_after_it()
    {
        var gate = new TaskCompletionSource();
        var (started, rounds) = (new TaskCompletionSource(), new List<int>());
        await using var server = Server();
        await using var plan = Job(2, "a").Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = Plan("a", () => new Scripted(async (_, input, context, abort) =>
        {
            lock (rounds) rounds.Add(context.Round);
            started.TrySetResult();
            await gate.Task.WaitAsync(abort);
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        }));
        _ = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        var quiet = site.PauseAsync();
        await StandingAsync(job, "a", s => s.Pause is not null);
        Assert.That(quiet.IsCompleted, Is.False);
        gate.SetResult();
        await quiet.WaitAsync(Patience.Long);
        await using var reports = job.ReadRoundsAsync().GetAsyncEnumerator();
        Assert.That(await reports.MoveNextAsync().AsTask().WaitAsync(Patience.Long), "its answer was used");
        Assert.That(job.Ended.IsCompleted, Is.False);
        lock (rounds) Assert.That(rounds, Is.EqualTo(new[] { 1 }));
        site.Resume();
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(rounds, Is.EqualTo(new[] { 1, 2 }));
    }

    [Test]
    public async Task A_task_that_a_pause_stops_begins_anew_after_it()
    {
        var starts = 0;
        var started = new TaskCompletionSource();
        await using var server = Server();
        await using var plan = Job(1, "a").Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = Plan("a", () => new Scripted(async (_, input, context, abort) =>
        {
            context.SiteState.Values["starts"] = ++starts; // of the one that is stopped nothing is kept
            started.TrySetResult();
            if (starts == 1) await Task.Delay(Timeout.Infinite, abort);
            return Sites.Diff(Dxo.From(input).Tensors, starts);
        }));
        var joined = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        await joined.PauseAsync("a backup", stopsRunningTasks: true).WaitAsync(Patience.Long);
        Assert.That((joined.IsPaused, site.IsPaused, starts), Is.EqualTo((true, false, 1)));
        Assert.That((await StandingAsync(job, "a", s => s.Pause is not null)).Pause, Is.EqualTo("a backup"));
        joined.Resume();
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values()[0], Is.EqualTo(2));
    }

    [Test]
    public async Task One_job_pauses_while_another_of_the_same_site_goes_on()
    {
        await using var server = Server();
        await using var plan1 = Job(2, "a").UseJobId("one").Build();
        await using var plan2 = Job(2, "a").UseJobId("two").Build();
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan1 = Plan("a", () => Sites.Adding(1), "one");
        await using var sitePlan2 = Plan("a", () => Sites.Adding(1), "two");
        var joined = site.Join(sitePlan1);
        await joined.PauseAsync().WaitAsync(Patience.Long);
        _ = site.Join(sitePlan2);
        var paused = server.Run(plan1);
        await server.Run(plan2).Ended.WaitAsync(Patience.Long);
        await StandingAsync(paused, "a", s => s.Pause is not null);
        joined.Resume();
        await paused.Ended.WaitAsync(Patience.Long);
        Assert.That(paused.Model.Values()[0], Is.EqualTo(2));
    }

    [Test]
    public async Task A_pause_outlives_the_connection()
    {
        await using var server = Server();
        await using var plan = Job(1, "a").Build();
        var job = server.Run(plan);
        var way = new Cuttable(To(server));
        await using var site = FederationSite.Connect(way, "a", limits: Quick);
        await using var sitePlan = Plan("a", () => Sites.Adding(1));
        await site.PauseAsync("one").WaitAsync(Patience.Long);
        _ = site.Join(sitePlan);
        await StandingAsync(job, "a", s => s.Pause == "one");
        await way.CutAsync();
        await StandingAsync(job, "a", s => !s.IsConnected);
        await StandingAsync(job, "a", s => s is { IsConnected: true, Pause: "one" });
        await way.CutAsync();
        site.Resume(); // while there is no connection
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values()[0], Is.EqualTo(1));
    }

    private sealed class Cuttable(IFlareConnector inner) : IFlareConnector
    {
        private volatile FlareConnection? _now;

        public async ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken) =>
            _now = await inner.ConnectAsync(cancellationToken);

        public ValueTask CutAsync() => _now!.DisposeAsync();
    }

    [Test]
    public async Task A_site_that_leaves_and_joins_again_over_its_connection_takes_up_its_task()
    {
        await using var server = Server();
        await using var plan = Job(1, "a", "b").Build();
        var job = server.Run(plan);
        await using var a = FederationSite.Connect(To(server), "a", incarnation: 7, Quick);
        await using var b = FederationSite.Connect(To(server), "b", limits: Quick);
        await using var planB = Plan("b", () => Sites.Adding(1));
        _ = b.Join(planB);
        for (var i = 0; i < 3; i++)
        {
            var started = new TaskCompletionSource();
            await using var planA = Plan("a", () => Sites.Hanging(() => started.TrySetResult()));
            var joined = a.Join(planA);
            await started.Task.WaitAsync(Patience.Long);
            await joined.LeaveAsync(reason: "a new version").WaitAsync(Patience.Long);
            var standing = await StandingAsync(job, "a", s => s.Left is not null);
            Assert.That(standing.ToString(), Is.EqualTo("a (has left: a new version)"));
        }
        await using var again = Plan("a", () => Sites.Adding(3));
        _ = a.Join(again);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values(), Is.EqualTo(new[] { 2f }));
    }

    [Test]
    public async Task A_site_that_has_left_is_given_up_after_its_lease_with_its_words_and_holds_up_no_end()
    {
        var time = new ManualTime(); // on which nobody waits for anything
        await using var server = Server();
        await using var plan = Job(1, "a").UseTime(time).Build();
        var job = server.Run(plan);
        var started = new TaskCompletionSource();
        await using var sitePlan = Plan("a", () => Sites.Hanging(() => started.TrySetResult()));
        var site = FederationSite.Connect(To(server), "a", limits: Quick);
        _ = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        await site.StopAsync(reason: "the ward moves").WaitAsync(Patience.Long);
        await StandingAsync(job, "a", s => s.Left is not null);
        await time.TimerAsync(plan.Limits.SiteLease);
        time.Advance(plan.Limits.SiteLease);
        var e = Assert.CatchAsync<FlareException>(() => job.Ended.WaitAsync(Patience.Long));
        Assert.That(e!.Message, Does.Contain("the ward moves").And.Contain("did not come back"));
    }

    [Test]
    public async Task Whoever_leaves_with_a_drain_has_the_running_task_end_and_its_answer_taken()
    {
        var (gate, started) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var server = Server();
        await using var plan = Job(1, "a").Build();
        var job = server.Run(plan);
        await using var sitePlan = Plan("a", () => Sites.Gated(gate.Task, 1, started: () => started.TrySetResult()));
        var site = FederationSite.Connect(To(server), "a", limits: Quick);
        _ = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        var stopping = site.StopAsync(Patience.Long, "an update");
        Assert.That(
            (await StandingAsync(job, "a", s => s.Pause is not null)).Pause, Is.EqualTo("it leaves: an update"));
        gate.SetResult();
        await stopping.WaitAsync(Patience.Long);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values()[0], Is.EqualTo(1));
        Assert.Throws<ObjectDisposedException>(() => site.Join(sitePlan));
    }

    [Test]
    public async Task A_drain_ends_with_its_time_or_when_somebody_is_in_a_hurry([Values] bool hurry)
    {
        var started = new TaskCompletionSource();
        var time = new ManualTime();
        await using var server = Server();
        await using var plan = Job(1, "a").Build();
        _ = server.Run(plan);
        await using var sitePlan = new SiteBuilder("a").UseTime(time)
            .UseExecutor(() => Sites.Hanging(() => started.TrySetResult())).Build();
        var site = FederationSite.Connect(To(server), "a", limits: Quick);
        _ = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        var stopping = site.StopAsync(TimeSpan.FromHours(1));
        await time.TimerAsync(TimeSpan.FromHours(1));
        if (hurry) await site.DisposeAsync().AsTask().WaitAsync(Patience.Long);
        else time.Advance(TimeSpan.FromHours(1));
        await stopping.WaitAsync(Patience.Long);
    }

    [Test]
    public async Task A_site_that_joins_in_round_3_takes_part_from_then_on()
    {
        var (joined, log) = (new TaskCompletionSource(), new LogRecorder());
        await using var server = Server();
        await using var plan = new ServerBuilder().AddSites("a").UseController(Sites.Training(4))
            .UseInitialModel(Sites.Model(0)).UseLogging(log).Build();
        var job = server.Run(plan);
        var reached = new TaskCompletionSource();
        await using var a = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var planA = Plan("a", () => new Scripted(async (_, input, context, abort) =>
        {
            if (context.Round == 3)
            {
                reached.SetResult();
                await joined.Task.WaitAsync(abort);
            }
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        }));
        _ = a.Join(planA);
        await reached.Task.WaitAsync(Patience.Long);
        await using var late = FederationSite.Connect(To(server), "late", limits: Quick);
        await using var planLate = Plan("late", () => Sites.Adding(3));
        _ = late.Join(planLate);
        await StandingAsync(job, "late", s => s.IsConnected);
        joined.SetResult();
        var targets = new List<int>();
        await foreach (var round in job.ReadRoundsAsync()) targets.Add(round.Accepted);
        Assert.That(targets, Is.EqualTo(new[] { 1, 1, 1, 2 }));
        Assert.That(job.Model.Values()[0], Is.EqualTo(5));
        // It may be a name that is misspelt, while the job waits for the right one.
        Assert.That(
            log.Entries.Where(e => e.Level == LogLevel.Warning).Select(e => e.Message),
            Has.One.StartsWith("late joined, which the job does not name").And.None.StartsWith("a joined, which"));
    }

    private static readonly object[] Starts = [new object[] { 5, 5 }, new object[] { 5, 4 }];

    [TestCaseSource(nameof(Starts))]
    public async Task A_second_process_of_a_name_is_refused_in_words_at_both_ends(int first, int second)
    {
        var (serverLog, siteLog) = (new LogRecorder(), new LogRecorder());
        await using var server = FederationServer.Start(
            SocketTransport.PlainTcp("127.0.0.1", 0), logging: serverLog);
        await using var plan = Job(1, "a", "b").Build();
        var job = server.Run(plan);
        await using var a = FederationSite.Connect(To(server), "a", first, Quick);
        await using var planA = Plan("a", () => Sites.Adding(1));
        var stays = a.Join(planA);
        await StandingAsync(job, "a", s => s.IsConnected);
        await using var twin = FederationSite.Connect(To(server), "a", second, Quick, siteLog);
        await using var planTwin = Plan("a", () => Sites.Adding(1));
        var refused = twin.Join(planTwin);
        var e = Assert.CatchAsync<FlareException>(() => refused.Ended.WaitAsync(Patience.Long));
        Assert.That(e!.ErrorId, Is.EqualTo(ErrorIds.SiteRefused));
        Assert.That(e.Message, Does.Contain("another process is a already").And.Contain(
            second < first ? $"its start {first}, this one's {second}" : $"with the same start {first}"));
        Assert.That(await EntryAsync(serverLog, "may not take part"), Does.Contain("another process is a already"));
        Assert.That(await EntryAsync(siteLog, "does not try again"), Does.Contain("another process is a already"));
        Assert.That(stays.Ended.IsCompleted, Is.False);
    }

    [Test]
    public async Task A_later_start_of_a_site_takes_its_place_and_the_earlier_one_hears_so()
    {
        var (serverLog, siteLog) = (new LogRecorder(), new LogRecorder());
        await using var server = FederationServer.Start(
            SocketTransport.PlainTcp("127.0.0.1", 0), logging: serverLog);
        await using var plan = Job(1, "a", "b").Build();
        var job = server.Run(plan);
        await using var old = FederationSite.Connect(To(server), "a", 5, Quick, siteLog);
        await using var planOld = Plan("a", () => Sites.Hanging());
        var stale = old.Join(planOld);
        await StandingAsync(job, "a", s => s.IsConnected);
        await using var a = FederationSite.Connect(To(server), "a", 6, Quick);
        await using var planA = Plan("a", () => Sites.Adding(1));
        _ = a.Join(planA);
        var e = Assert.CatchAsync<FlareException>(() => stale.Ended.WaitAsync(Patience.Long));
        Assert.That(e!.ErrorId, Is.EqualTo(ErrorIds.SiteRefused));
        Assert.That(e.Message, Does.Contain("has started later (its start 6, this one's 5)"));
        Assert.That(await EntryAsync(serverLog, "may not take part"), Does.Contain("its start 6"));
        Assert.That(await EntryAsync(siteLog, "does not try again"), Does.Contain("its start 6"));
        await using var b = FederationSite.Connect(To(server), "b", limits: Quick);
        await using var planB = Plan("b", () => Sites.Adding(1));
        _ = b.Join(planB);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values()[0], Is.EqualTo(1));
    }
}

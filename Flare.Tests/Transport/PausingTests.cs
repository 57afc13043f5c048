using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>Whoever pauses a site hears when it is quiet, whatever follows, and in whatever words.</summary>
public class PausingTests
{
    private const string Half = "a half \ud800 of a character"; // which no UTF-8 has

    private static SocketTransport To(FederationServer server) =>
        SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server));

    private static FederationServer Server() => FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));

    private static ServerPlan Plan(int rounds = 1) => new ServerBuilder().AddSites("a")
        .UseController(Sites.Training(rounds)).UseInitialModel(Sites.Model(0)).Build();

    private static Task Pause(FederationSite site, JoinedJob? job, string reason) =>
        job?.PauseAsync(reason) ?? site.PauseAsync(reason);

    [Test]
    public async Task A_pause_that_ends_while_an_executor_works_keeps_nobody_waiting([Values] bool ofTheJob)
    {
        var (gate, started) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var server = Server();
        await using var plan = Plan();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: LeavingTests.Quick);
        await using var sitePlan = new SiteBuilder("a")
            .UseExecutor(() => Sites.Gated(gate.Task, 1, started: () => started.TrySetResult())).Build();
        var joined = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        var quiet = Pause(site, ofTheJob ? joined : null, "a backup");
        if (ofTheJob) joined.Resume();
        else site.Resume();
        await quiet.WaitAsync(Patience.Long);
        Assert.That(job.Ended.IsCompleted, Is.False);
        gate.SetResult();
        await job.Ended.WaitAsync(Patience.Long);
    }

    [Test]
    public async Task Another_reason_takes_the_place_of_the_first_and_both_hear_when_it_is_quiet([Values] bool ofTheJob)
    {
        var (gate, started) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var server = Server();
        await using var plan = Plan(rounds: 2);
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: LeavingTests.Quick);
        await using var sitePlan = new SiteBuilder("a")
            .UseExecutor(() => Sites.Gated(gate.Task, 1, started: () => started.TrySetResult())).Build();
        var joined = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        var first = Pause(site, ofTheJob ? joined : null, "a backup");
        var second = Pause(site, ofTheJob ? joined : null, "a repair");
        var standing = await OperatingTests.StandingAsync(job, "a", s => s.Pause == "a repair");
        Assert.That((standing.Pause, first.IsCompleted, second.IsCompleted), Is.EqualTo(("a repair", false, false)));
        gate.SetResult();
        await Task.WhenAll(first, second).WaitAsync(Patience.Long);
        Assert.That(job.Ended.IsCompleted, Is.False);
        if (ofTheJob) joined.Resume();
        else site.Resume();
        await job.Ended.WaitAsync(Patience.Long);
    }

    [Test]
    public async Task An_operators_words_may_be_whatever_they_are([Values("pause", "leave", "stop")] string verb)
    {
        var started = new TaskCompletionSource();
        await using var server = Server();
        await using var plan = Plan();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: LeavingTests.Quick);
        await using var sitePlan = new SiteBuilder("a")
            .UseExecutor(() => Sites.Hanging(() => started.TrySetResult())).Build();
        var joined = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        var said = verb switch
        {
            "pause" => site.PauseAsync(Half, stopsRunningTasks: true),
            "leave" => joined.LeaveAsync(reason: Half),
            _ => site.StopAsync(reason: Half),
        };
        await said.WaitAsync(Patience.Long);
        var standing = await OperatingTests.StandingAsync(
            job, "a", s => verb == "pause" ? s.Pause is not null : s.Left is not null);
        Assert.That(verb == "pause" ? standing.Pause : standing.Left, Is.EqualTo("a half \ufffd of a character"));
        await site.DisposeAsync().AsTask().WaitAsync(Patience.Long);
    }

    [Test]
    public async Task So_may_those_of_the_servers_operator()
    {
        var started = new TaskCompletionSource();
        await using var server = Server();
        await using var plan = Plan();
        server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: LeavingTests.Quick);
        await using var sitePlan = new SiteBuilder("a")
            .UseExecutor(() => Sites.Hanging(() => started.TrySetResult())).Build();
        var joined = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        await server.StopAsync(reason: Half).WaitAsync(Patience.Long);
        Assert.That(await joined.Ended.WaitAsync(Patience.Long), Does.EndWith("a half \ufffd of a character"));
    }

    [Test]
    public async Task A_site_without_a_job_says_that_it_has_given_up_and_why()
    {
        await using var site = FederationSite.Connect(new Refused(), "a", limits: LeavingTests.Quick);
        var e = Assert.CatchAsync<FrameException>(() => site.Ended.WaitAsync(Patience.Long))!;
        Assert.That(e.Message, Does.Contain("no member"));
        await using var sitePlan = new SiteBuilder("a").UseExecutor(() => Sites.Adding(1)).Build();
        var joined = site.Join(sitePlan);
        Assert.That(
            Assert.CatchAsync<FrameException>(() => joined.Ended.WaitAsync(Patience.Long)), Is.SameAs(e));
    }

    [Test]
    public async Task A_site_that_stops_has_ended_well()
    {
        await using var server = Server();
        var site = FederationSite.Connect(To(server), "a", limits: LeavingTests.Quick);
        Assert.That(site.Ended.IsCompleted, Is.False);
        await site.StopAsync();
        await site.Ended.WaitAsync(Patience.Long);
    }

    private sealed class Refused : IFlareConnector
    {
        public ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken) =>
            throw new FrameException(ErrorIds.Connection, "a is no member of this federation.", isTransient: false);
    }
}

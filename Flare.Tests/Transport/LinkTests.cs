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

    private static int Attached(FederationServer server) => server.ConnectedSites.Count;
}

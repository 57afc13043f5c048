using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Tests.Transport.Proxies;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Tests.Transport;

/// <summary>What a server has on its way over sockets, in bytes.</summary>
public class ByteBudgetTests
{
    private const int Megabyte = 1 << 20;

    private static FederationServer Serve() => FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));

    [Test]
    public async Task Models_wait_for_the_budget_and_small_messages_pass_them()
    {
        const int count = 10;
        string[] names = [.. Enumerable.Range(1, count).Select(i => $"site-{i}")];
        var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = Serve();
        // Sites that have had 200 KB stand still: none has its model before the gate opens.
        await using var proxy = new ShapedProxy(
            FederationOverSocketsTests.PortOf(server), _ => new() { Free = 200_000, Held = open.Task });
        await using var plan = new ServerBuilder().AddSites(names).UseController(Sites.Training(1, minSites: count))
            .UseInitialModel(StateDict.Create(("w", new float[Megabyte / 4])))
            .UseLimits(new() { MaxConcurrentDownloads = count, DownloadBudgetBytes = 3 * Megabyte + Megabyte / 2 })
            .Build();
        var job = server.Run(plan);
        var connector = SocketTransport.PlainTcp("127.0.0.1", proxy.Port);
        var sites = names.Select(n => FederationSite.Connect(connector, n)).ToArray();
        var plans = names.Select(n => new SiteBuilder(n).UseExecutor(() => Sites.Adding(1)).Build()).ToArray();
        foreach (var (site, sitePlan) in sites.Zip(plans)) _ = site.Join(sitePlan);
        int Begun() => proxy.Down.Count(d => d >= 200_000);
        await FrameConnectionTests.WaitFor(() => Begun() == 3);
        // Offers have passed to all, models to three: the others have been said a few hundred bytes.
        await FrameConnectionTests.WaitFor(() => proxy.Down.Count(d => d > 300) == count);
        Assert.That(Begun(), Is.EqualTo(3));
        Assert.That(proxy.Down.Count(d => d < 20_000), Is.EqualTo(count - 3));
        open.SetResult();
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values(), Has.All.EqualTo(1f));
        foreach (var site in sites) await site.DisposeAsync();
        foreach (var sitePlan in plans) await sitePlan.DisposeAsync();
    }

    [Test]
    public async Task Results_wait_for_the_budget_and_all_arrive()
    {
        const int count = 6;
        string[] names = [.. Enumerable.Range(1, count).Select(i => $"site-{i}")];
        await using var server = Serve();
        await using var plan = new ServerBuilder().AddSites(names).UseController(Sites.Training(2, minSites: count))
            .UseInitialModel(StateDict.Create(("w", new float[Megabyte / 4])))
            .UseLimits(new() { UploadBudgetBytes = Megabyte, DownloadBudgetBytes = 1 }).Build();
        var job = server.Run(plan);
        var connector = SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server));
        var sites = names.Select(n => FederationSite.Connect(connector, n)).ToArray();
        var plans = names.Select(n => new SiteBuilder(n).UseExecutor(() => Sites.Adding(1)).Build()).ToArray();
        foreach (var (site, sitePlan) in sites.Zip(plans)) _ = site.Join(sitePlan);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values(), Has.All.EqualTo(2f));
        foreach (var site in sites) await site.DisposeAsync();
        foreach (var sitePlan in plans) await sitePlan.DisposeAsync();
    }

    [Test]
    public async Task A_site_that_sends_more_than_it_has_asked_for_is_refused()
    {
        await using var server = Serve();
        await using var plan = new ServerBuilder().UseJobId("job").UseSeed(42).AddSites("a")
            .UseController(Sites.Training()).UseInitialModel(Sites.Model(0)).Build();
        var job = server.Run(plan);
        await using var site = await LyingSite.ConnectAsync(
            SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server)), "a", 100_000, 200_000);
        Assert.That(await site.Refused.WaitAsync(Patience.Long), Is.Not.Empty);
        var e = Assert.CatchAsync<FlareException>(() => job.Ended.WaitAsync(Patience.Long));
        Assert.That(e!.ToString(), Does.Contain("malformed"));
    }

    [Test]
    public async Task A_streamed_result_that_is_no_message_ends_its_task_and_not_the_connection()
    {
        await using var server = Serve();
        await using var plan = new ServerBuilder().UseJobId("job").UseSeed(42).AddSites("a")
            .UseController(Sites.Training()).UseInitialModel(Sites.Model(0)).Build();
        var job = server.Run(plan);
        await using var site = await LyingSite.ConnectAsync(
            SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server)), "a", 200_000, 200_000);
        var e = Assert.CatchAsync<FlareException>(() => job.Ended.WaitAsync(Patience.Long));
        Assert.That(e!.ToString(), Does.Contain("malformed"));
        Assert.That(await site.Refused.WaitAsync(Patience.Long), Is.Not.Empty); // over the same connection
    }

    [Test]
    public async Task A_result_may_be_larger_than_what_may_wait_unasked()
    {
        var limits = new LinkLimits { MaxMessageBytes = Megabyte, MaxUnheardBytes = Megabyte };
        await using var server = FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0), limits);
        await using var plan = new ServerBuilder().AddSites("a").UseController(Sites.Training(2))
            .UseInitialModel(StateDict.Create(("w", new float[Megabyte]))).Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(
            SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server)), "a");
        await using var sitePlan = new SiteBuilder("a").UseExecutor(() => Sites.Adding(1)).Build();
        _ = site.Join(sitePlan);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values(), Has.All.EqualTo(2f));
        await site.DisposeAsync();
    }
}

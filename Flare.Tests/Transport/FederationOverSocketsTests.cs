using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Proxies;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Tests.Transport;

/// <summary>What ran in one process runs over connections, to the same bits.</summary>
public class FederationOverSocketsTests
{
    private const int Count = 500_000; // two megabytes: streams of many chunks
    private static readonly string[] Names = ["hospital-1", "hospital-2", "hospital-3"];

    private static StateDict Initial()
    {
        var values = new float[Count];
        for (var i = 0; i < Count; i++) values[i] = MathF.Sin(i);
        return StateDict.Create(("w", values));
    }

    private static FedAvg Workflow(int rounds = 3) =>
        new() { Rounds = rounds, Validation = ValidationMode.AfterAggregation, Grace = TimeSpan.FromMinutes(5) };

    /// <summary>Trains to what depends on site, round and model.</summary>
    private static Scripted Trainer(string site) => new Scripted((task, input, context, _) =>
    {
        var model = Dxo.From(input).Tensors;
        var weights = model[0].AsReadOnlySpan<float>();
        if (task == TaskNames.Validate)
            return ValueTask.FromResult(Dxo.Metrics(("accuracy", weights[17] + site.Length)).ToShareable());
        var diff = new StateDict(model.Layout);
        var to = diff[0].AsSpan<float>();
        var round = context.Round;
        for (var i = 0; i < to.Length; i++) to[i] = weights[i] * 0.1f + MathF.Cos(i + site[^1] + round);
        return ValueTask.FromResult(
            Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, site[^1]).ToShareable());
    });

    private static async Task<string> InProcessAsync(int rounds = 3)
    {
        await using var federation = Federation.InProcess(f =>
        {
            foreach (var name in Names) f.AddSite(name, _ => Trainer(name));
            f.UseController(Workflow(rounds));
        });
        await federation.RunToEndAsync(Initial());
        return federation.Model.Sha256();
    }

    private static IEnumerable<TestCaseData> Transports()
    {
        yield return new TestCaseData(() => SocketTransport.PlainTcp("127.0.0.1", 0)).SetArgDisplayNames("TCP");
        yield return new TestCaseData(() => SocketTransport.Unix(
            Path.Combine(Path.GetTempPath(), $"flare-{Guid.NewGuid():N}.sock"))).SetArgDisplayNames("a Unix socket");
    }

    [TestCaseSource(nameof(Transports))]
    public async Task The_same_federation_gives_the_same_model(Func<SocketTransport> make)
    {
        var transport = make();
        await using var server = FederationServer.Start(transport);
        Assert.That(await RunAsync(server, _ => Connector(transport, server)), Is.EqualTo(await InProcessAsync()));
    }

    [Test]
    public async Task A_connection_that_is_cut_again_and_again_gives_the_same_model()
    {
        await using var server = FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));
        // Each connection lives for a megabyte or so: no result or model arrives in one.
        await using var proxy = new CuttingProxy(PortOf(server), cutAfter: 1_300_000);
        var pause = TimeSpan.FromMilliseconds(20);
        var limits = new LinkLimits { FirstPause = pause, LongestPause = pause }; // it is cut by bytes, not by time
        var sha = await RunAsync(server, _ => SocketTransport.PlainTcp("127.0.0.1", proxy.Port), limits);
        Assert.That(sha, Is.EqualTo(await InProcessAsync()));
        Assert.That(proxy.Cuts, Is.GreaterThan(10));
    }

    [Test]
    public async Task A_connection_that_is_cut_again_and_again_is_made_again_soon_each_time()
    {
        await using var server = FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));
        // Each site is cut some dozens of times: pauses that doubled would be minutes.
        await using var proxy = new CuttingProxy(PortOf(server), cutAfter: 300_000);
        var pause = TimeSpan.FromMilliseconds(20);
        var limits = new LinkLimits { FirstPause = pause, LongestPause = TimeSpan.FromHours(1) };
        var running = RunAsync(server, _ => SocketTransport.PlainTcp("127.0.0.1", proxy.Port), limits);
        Assert.That(await running.WaitAsync(Patience.Long), Is.EqualTo(await InProcessAsync()));
        Assert.That(proxy.Cuts, Is.GreaterThan(60));
    }

    private static IEnumerable<TestCaseData> Loopbacks()
    {
        yield return new TestCaseData(Loopback.Tcp).SetArgDisplayNames("TCP");
        yield return new TestCaseData(Loopback.Tls).SetArgDisplayNames("TLS");
        yield return new TestCaseData(Loopback.Unix).SetArgDisplayNames("a Unix socket");
    }

    [TestCaseSource(nameof(Loopbacks))]
    public async Task One_line_puts_a_federation_of_one_process_on_a_transport(Loopback loopback)
    {
        await using var federation = Federation.InProcess(f =>
        {
            foreach (var name in Names) f.AddSite(name, _ => Trainer(name));
            f.UseController(Workflow()).UseTransport(loopback);
        });
        await federation.RunToEndAsync(Initial()).WaitAsync(Patience.Long);
        Assert.That(federation.Model.Sha256(), Is.EqualTo(await InProcessAsync()));
    }

    internal static int PortOf(FederationServer server) => new Uri(server.Address).Port;

    private static SocketTransport Connector(SocketTransport transport, FederationServer server) =>
        server.Address.StartsWith("unix:", StringComparison.Ordinal)
        ? transport : SocketTransport.PlainTcp("127.0.0.1", PortOf(server));

    private static async Task<string> RunAsync(
        FederationServer server, Func<string, IFlareConnector> connector, LinkLimits? limits = null)
    {
        await using var plan = new ServerBuilder().AddSites(Names).UseController(Workflow())
            .UseInitialModel(Initial()).Build();
        var job = server.Run(plan);
        var sites = new List<(FederationSite Site, SitePlan Plan, JoinedJob Job)>();
        foreach (var name in Names)
        {
            var site = FederationSite.Connect(connector(name), name, limits: limits);
            var sitePlan = new SiteBuilder(name).UseExecutor(() => Trainer(name)).Build();
            sites.Add((site, sitePlan, site.Join(sitePlan)));
        }
        var rounds = 0;
        await foreach (var round in job.ReadRoundsAsync())
        {
            Assert.That(round.Accepted, Is.EqualTo(3), round.ToString());
            rounds++;
        }
        Assert.That(rounds, Is.EqualTo(3));
        foreach (var (site, sitePlan, joined) in sites)
        {
            Assert.That(await joined.Ended.WaitAsync(Patience.Long), Is.Not.Empty);
            await site.DisposeAsync();
            await sitePlan.DisposeAsync();
        }
        return job.Model.Sha256();
    }

    [Test]
    public async Task A_loopback_keeps_the_federations_time_and_log()
    {
        var (time, log) = (new PeriodicTimers(), new LogRecorder());
        await using var federation = Federation.InProcess(f => f
            .AddSites(2, _ => Sites.Adding(1)).UseController(Sites.Training(minSites: 2))
            .UseTransport(Loopback.Tcp).UseTime(time).UseLogging(log));
        await federation.RunToEndAsync(Sites.Model(0)).WaitAsync(Patience.Long);
        Assert.That(
            log.Entries.Where(e => e.Id == 5003).Select(e => e.Message.Split(' ')[0]),
            Is.SupersetOf(new[] { "site-1", "site-2" }), "who has connected");
        Assert.That(time.Count, Is.AtLeast(4), "each end of each connection looks at its times");
    }

    /// <summary>The system's clock, which counts the timers that ring again and again: connections have them.</summary>
    private sealed class PeriodicTimers : TimeProvider
    {
        private int _count;

        public int Count => Volatile.Read(ref _count);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            if (period > TimeSpan.Zero) Interlocked.Increment(ref _count);
            return base.CreateTimer(callback, state, dueTime, period);
        }
    }
}

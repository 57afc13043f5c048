using System.Diagnostics;
using System.Globalization;
using Flare.Benchmarks.Rounds;
using Flare.Tests.Transport;
using Flare.Tests.Transport.Proxies;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Benchmarks.Transport;

/// <summary>
/// <c>transport slow [--sites 200] [--rounds 7] [--parameters 250000]</c>: rounds of the other sites over TLS with and
/// without one that takes a byte of its model a second, side by side, and the most memory that the process had.
/// </summary>
internal static class SlowSite
{
    /// <summary>What was measured.</summary>
    /// <param name="Without">Seconds of a round while all sites are quick, the middle of all.</param>
    /// <param name="With">The same while one takes a byte a second.</param>
    /// <param name="MemoryWithout">The most bytes of the process while all were quick.</param>
    /// <param name="MemoryWith">The same while one was slow.</param>
    /// <param name="Carried">Bytes that the slow site was given.</param>
    internal sealed record Figures(
        double Without, double With, long MemoryWithout, long MemoryWith, long Carried);

    public static async Task<int> RunAsync(Options options)
    {
        var (sites, parameters) = (options.Number("--sites", 200), options.Number("--parameters", 250_000));
        var figures = await MeasureAsync(sites, options.Number("--rounds", 7), parameters);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{sites} sites over TLS, a model of {parameters * 4 / 1e6:F1} MB: a round of the other {sites - 1} takes "
            + $"{figures.Without:F2} s, and {figures.With:F2} s with one that takes a byte a second (it has had "
            + $"{figures.Carried} bytes); the process had {figures.MemoryWithout / 1e6:F0} and "
            + $"{figures.MemoryWith / 1e6:F0} MB at most"));
        return 0;
    }

    public static async Task<Figures> MeasureAsync(int sites, int rounds, int parameters)
    {
        using var kits = new Kits(sites);
        var quick = new List<double>();
        var slow = new List<double>();
        var (memoryQuick, memorySlow, carried) = (0L, 0L, 0L);
        // In turns, since the machine's speed varies; the first warms up.
        for (var turn = -1; turn < 3; turn++)
        {
            var (seconds, memory, _) = await TurnAsync(kits, rounds, parameters, isSlow: false);
            var (others, more, bytes) = await TurnAsync(kits, rounds, parameters, isSlow: true);
            if (turn < 0) continue;
            quick.AddRange(seconds);
            slow.AddRange(others);
            (memoryQuick, memorySlow) = (Math.Max(memoryQuick, memory), Math.Max(memorySlow, more));
            carried = Math.Max(carried, bytes);
        }
        return new(Middle(quick), Middle(slow), memoryQuick, memorySlow, carried);
    }

    private static async Task<(List<double> Seconds, long Memory, long Carried)> TurnAsync(
        Kits kits, int rounds, int parameters, bool isSlow)
    {
        var model = NoOpFederation.Model(parameters);
        var count = kits.Sites.Count;
        await using var server = FederationServer.Start(SocketTransport.Tls("127.0.0.1", 0, kits.Server));
        var port = new Uri(server.Address).Port;
        // It proves who it is and joins, and then takes a byte a second.
        await using var proxy = new ShapedProxy(
            port, _ => isSlow ? new() { Free = 20_000, Down = 1 } : new(), bufferBytes: 16 * 1024);
        await using var plan = new ServerBuilder().UseJobId("slow").UseSeed(1)
            .AddSites([.. kits.Sites.Select(s => s.Name)])
            .UseController(new FedAvg
            {
                Rounds = rounds, MinSites = count - 1, Grace = TimeSpan.FromMilliseconds(1),
                Validation = ValidationMode.None,
            })
            .UseInitialModel(model).Build();
        var sites = new List<FederationSite>();
        var plans = new List<SitePlan>();
        foreach (var identity in kits.Sites)
        {
            var isLast = identity == kits.Sites[^1];
            var site = FederationSite.Connect(
                SocketTransport.Tls("127.0.0.1", isLast ? proxy.Port : port, identity), identity.Name);
            sites.Add(site);
            plans.Add(new SiteBuilder(identity.Name).UseJobId("slow").UseSeed(1)
                .UseExecutor(() => NoOpFederation.Executor(model.Layout)).Build());
            _ = site.Join(plans[^1]);
        }
        var seconds = new List<double>();
        var memory = 0L;
        var clock = Stopwatch.StartNew();
        var job = server.Run(plan);
        await foreach (var round in job.ReadRoundsAsync())
        {
            // The first waits for all to join; of two turns it is that of other sites.
            if (round.Number > 1) seconds.Add(clock.Elapsed.TotalSeconds);
            memory = Math.Max(memory, Environment.WorkingSet);
            clock.Restart();
        }
        var carried = proxy.Down.Sum();
        await proxy.DisposeAsync(); // or its goodbye would take hours
        await Task.WhenAll(sites.Select(s => s.DisposeAsync().AsTask()));
        foreach (var sitePlan in plans) await sitePlan.DisposeAsync();
        return (seconds, memory, carried);
    }

    private static double Middle(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Flare.Tests.Transport.Proof;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Benchmarks.Transport;

/// <summary>
/// <c>transport --half-open N [--json]</c>: N connections of another process that never prove who they are, against one
/// listener with its default limits, while a site joins and does a round over TLS.
/// </summary>
internal static class HalfOpenCommand
{
    private const string Flood = "--flood";

    public static async Task<int> RunAsync(string[] args)
    {
        if (args is [Flood, var port, var many]) return await FloodAsync(Number(port), Number(many));
        if (args is not ["--half-open", var wanted, ..] || !int.TryParse(wanted, out var count) || count < 1)
        {
            Console.Error.WriteLine("usage: transport --half-open N [--json]");
            return 2;
        }
        var figures = await MeasureAsync(count);
        foreach (var (key, value) in figures)
            Console.WriteLine($"  {key,-40} {value.ToString("G4", CultureInfo.InvariantCulture),12}");
        if (args.Contains("--json")) Console.WriteLine(JsonSerializer.Serialize(figures));
        return 0;
    }

    private static async Task<Dictionary<string, double>> MeasureAsync(int count)
    {
        using var authority = new LoopbackAuthority();
        var watched = new Watched(SocketTransport.Tls("127.0.0.1", 0, authority.ServerEnd()));
        await using var server = FederationServer.Start(watched);
        var port = new Uri(server.Address).Port;
        for (var i = 0; i < 5; i++) await JoinAsync(server, authority, port); // code is compiled in tiers
        var quiet = await JoinAsync(server, authority, port);
        GC.Collect();
        var before = (Process: Environment.WorkingSet, Managed: GC.GetTotalMemory(true));

        var info = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(info.FileName) == "dotnet")
            info.ArgumentList.Add(typeof(HalfOpenCommand).Assembly.Location);
        foreach (var arg in new[] { "transport", Flood, $"{port}", $"{count}" }) info.ArgumentList.Add(arg);
        using var flood = Process.Start(info)!;
        long most = 0, managed = 0;
        using var ended = new CancellationTokenSource();
        var watching = Task.Run(async () =>
        {
            while (!ended.IsCancellationRequested)
            {
                most = Math.Max(most, Environment.WorkingSet);
                managed = Math.Max(managed, GC.GetTotalMemory(false));
                await Task.Delay(10);
            }
        });
        var clock = Stopwatch.StartNew();
        await flood.StandardOutput.ReadLineAsync(); // half of them are open
        var during = await JoinAsync(server, authority, port);
        var opened = Number((await flood.StandardOutput.ReadLineAsync())!);
        var took = clock.Elapsed.TotalSeconds;
        var after = await JoinAsync(server, authority, port);
        await ended.CancelAsync();
        await watching;
        flood.Kill();
        return new()
        {
            ["half_open.tried"] = count,
            ["half_open.came_through"] = opened,
            ["half_open.seconds"] = took,
            ["half_open.most_handshakes_at_once"] = watched.Listener.MostPending,
            ["half_open.join_and_round_quiet_ms"] = quiet,
            ["half_open.join_and_round_in_the_flood_ms"] = during,
            ["half_open.join_and_round_beside_them_ms"] = after,
            ["half_open.process_grew_mb"] = (most - before.Process) / 1e6,
            ["half_open.managed_grew_mb"] = (managed - before.Managed) / 1e6,
        };
    }

    /// <returns>Milliseconds from the site's start to the end of its round and its job.</returns>
    private static async Task<double> JoinAsync(FederationServer server, LoopbackAuthority authority, int port)
    {
        var model = new StateDict(new TensorLayout(new TensorSpec("w", DType.Float32, [64])));
        await using var plan = new ServerBuilder().AddSites("site-1").UseInitialModel(model).UseController(
            new FedAvg { Rounds = 1, MinSites = 1, Validation = ValidationMode.None }).Build();
        var job = server.Run(plan);
        var clock = Stopwatch.StartNew();
        await using var sitePlan = new SiteBuilder("site-1").UseExecutor(() => new Answering(model.Layout)).Build();
        await using var site = FederationSite.Connect(
            SocketTransport.Tls("127.0.0.1", port, authority.SiteEnd("site-1")), "site-1");
        await site.Join(sitePlan).Ended;
        await job.Ended;
        return clock.Elapsed.TotalMilliseconds;
    }

    private static async Task<int> FloodAsync(int port, int count)
    {
        using var flood = new HalfOpenFlood(port, count);
        var flooding = flood.RunAsync();
        while (flood.Opened + flood.Failed < count / 2) await Task.Delay(1);
        Console.WriteLine("half");
        await flooding;
        Console.WriteLine(flood.Opened.ToString(CultureInfo.InvariantCulture));
        await Task.Delay(Timeout.Infinite); // they stay open until this process is ended
        return 0;
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private sealed class Watched(SocketTransport inner) : IFlareTransport
    {
        public SocketListener Listener { get; private set; } = null!;

        public IFlareListener Listen() => Listener = (SocketListener)inner.Listen();

        public ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken) =>
            inner.ConnectAsync(cancellationToken);
    }

    private sealed class Answering(TensorLayout layout) : Executor
    {
        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort) => ValueTask.FromResult(
                Dxo.WeightDiff(new StateDict(layout)).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
    }
}

using System.Diagnostics;
using System.Globalization;
using Flare.Benchmarks.Rounds;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Benchmarks.Transport;

/// <summary>
/// <c>transport scale [--sites 1000] [--rounds 2] [--parameters 10000]</c>: so many sites over TLS in this process to
/// one server: how long they take to join, how long a round takes, and what a site costs in memory, both of its ends.
/// </summary>
internal static class ManySites
{
    /// <summary>What was measured.</summary>
    /// <param name="Join">Seconds until the last site has its first task.</param>
    /// <param name="Rounds">Seconds of each round; the first with the joining.</param>
    /// <param name="ManagedPerSite">Bytes of managed memory for a site, both ends, once all are there.</param>
    /// <param name="ProcessPerSite">The same of the process's memory.</param>
    internal sealed record Figures(double Join, double[] Rounds, double ManagedPerSite, double ProcessPerSite);

    public static async Task<int> RunAsync(Options options)
    {
        var sites = options.Number("--sites", 1000);
        var figures = await MeasureAsync(sites, options.Number("--rounds", 2), options.Number("--parameters", 10_000));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{sites} sites over TLS: joined in {figures.Join:F2} s, rounds of "
            + $"{string.Join(", ", figures.Rounds.Select(r => r.ToString("F2", CultureInfo.InvariantCulture)))} s; "
            + $"for a site, both ends, {figures.ManagedPerSite / 1024:F0} KB managed and "
            + $"{figures.ProcessPerSite / 1024:F0} KB of the process"));
        return 0;
    }

    public static async Task<Figures> MeasureAsync(int sites, int rounds, int parameters)
    {
        var model = NoOpFederation.Model(parameters);
        var before = (Managed: GC.GetTotalMemory(forceFullCollection: true), Process: Environment.WorkingSet);
        var clock = Stopwatch.StartNew();
        var (begun, join) = (0, 0.0);
        await using var federation = Federation.InProcess(f => f
            .AddSites(sites, _ => NoOpFederation.Executor(model.Layout, () =>
            {
                if (Interlocked.Increment(ref begun) == sites) join = clock.Elapsed.TotalSeconds;
            }))
            .UseController(new FedAvg { Rounds = rounds, MinSites = sites, Validation = ValidationMode.None })
            .UseParallelism(sites) // all of them at once, as on machines of their own
            .UseTransport(Loopback.Tls));
        var seconds = new List<double>();
        var (managed, process) = (0.0, 0.0);
        var began = 0.0;
        await foreach (var round in federation.RunAsync(model))
        {
            seconds.Add(clock.Elapsed.TotalSeconds - began);
            if (round.Accepted != sites) throw new InvalidOperationException($"{round}");
            if (round.Number == rounds)
            {
                managed = GC.GetTotalMemory(forceFullCollection: true) - before.Managed;
                process = Environment.WorkingSet - before.Process;
            }
            began = clock.Elapsed.TotalSeconds;
        }
        return new(join, [.. seconds], managed / sites, process / sites);
    }
}

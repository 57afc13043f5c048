using System.Diagnostics;
using System.Globalization;
using Flare.Benchmarks.Rounds;
using Flare.Transport;

namespace Flare.Benchmarks.Transport;

/// <summary>
/// <c>transport noop [--sites 8] [--rounds 2000]</c>: rounds of no-op training over TLS on this machine. Processor time
/// and work items of the thread pool are told beside the clock, since others may use the machine.
/// </summary>
internal static class NoOpRounds
{
    public static async Task<int> RunAsync(Options options)
    {
        var sites = options.Number("--sites", 8);
        var rounds = options.Number("--rounds", 2000);
        foreach (var (name, loopback) in new[] { ("tls", Loopback.Tls), ("tcp", Loopback.Tcp), ("memory", null) })
        {
            var (seconds, processor, items) = await MeasureAsync(sites, rounds, loopback);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{name,-7} {sites} sites: p10 {At(seconds, 0.1):F3} ms, median {At(seconds, 0.5):F3} ms, "
                + $"p90 {At(seconds, 0.9):F3} ms; processor {processor * 1e3:F3} ms, {items:F0} work items a round"));
        }
        return 0;
    }

    /// <returns>Sorted seconds of each round, and seconds of processor time and work items for one.</returns>
    public static async Task<(double[] Seconds, double Processor, double Items)> MeasureAsync(
        int sites, int rounds, Loopback? loopback)
    {
        var model = NoOpFederation.Model(64);
        await using var federation = NoOpFederation.Create(
            sites, rounds, model, f => { if (loopback is not null) f.UseTransport(loopback); });
        var seconds = new List<double>();
        var clock = Stopwatch.StartNew();
        var (processor, items, skip) = (TimeSpan.Zero, 0L, rounds / 4); // code is compiled in tiers
        await foreach (var round in federation.RunAsync(model))
        {
            if (round.Number > skip) seconds.Add(clock.Elapsed.TotalSeconds);
            if (round.Number == skip)
                (processor, items) = (Environment.CpuUsage.TotalTime, ThreadPool.CompletedWorkItemCount);
            if (round.Number == rounds)
            {
                processor = Environment.CpuUsage.TotalTime - processor;
                items = ThreadPool.CompletedWorkItemCount - items;
            }
            clock.Restart();
        }
        seconds.Sort();
        var count = (double)(rounds - skip);
        return ([.. seconds], processor.TotalSeconds / count, items / count);
    }

    private static double At(double[] sorted, double share) => sorted[(int)(sorted.Length * share)] * 1e3;
}

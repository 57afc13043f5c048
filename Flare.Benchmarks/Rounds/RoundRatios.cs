using System.Diagnostics;

namespace Flare.Benchmarks.Rounds;

/// <summary>Rounds of no-op training: how many a second with 8 sites, and how long one takes with 10,000.</summary>
public static class RoundRatios
{
    /// <summary>Measures; about 25 s on two cores.</summary>
    public static IReadOnlyDictionary<string, double> Measure()
    {
        var small = MeasureAsync(sites: 8, rounds: 6_000, parameters: 64).GetAwaiter().GetResult();
        var large = MeasureAsync(sites: 10_000, rounds: 50, parameters: 1_000).GetAwaiter().GetResult();
        return new Dictionary<string, double>
        {
            ["rounds.per_second_8"] = 1 / small.MedianSeconds,
            ["rounds.seconds_10000"] = large.MedianSeconds,
            ["rounds.megabytes_10000_after_20"] = large.EarlyMegabytes,
            ["rounds.megabytes_10000_after_50"] = large.LateMegabytes,
        };
    }

    private static async Task<(double MedianSeconds, double EarlyMegabytes, double LateMegabytes)> MeasureAsync(
        int sites, int rounds, int parameters)
    {
        var model = NoOpFederation.Model(parameters);
        await using var federation = NoOpFederation.Create(sites, rounds, model);
        var seconds = new List<double>();
        var (early, late) = (0.0, 0.0);
        var clock = Stopwatch.StartNew();
        await foreach (var round in federation.RunAsync(model))
        {
            seconds.Add(clock.Elapsed.TotalSeconds);
            if (round.Number == rounds * 2 / 5) early = Megabytes();
            if (round.Number == rounds) late = Megabytes();
            clock.Restart();
        }
        // The first fifth warms up: the runtime's code is compiled in tiers.
        var steady = seconds.Skip(rounds / 5).Order().ToArray();
        return (steady[steady.Length / 2], early, late);
    }

    private static double Megabytes() => GC.GetTotalMemory(forceFullCollection: true) / 1e6;
}

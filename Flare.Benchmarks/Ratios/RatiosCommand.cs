using System.Globalization;
using System.Text.Json;
using Flare.Benchmarks.Aggregation;
using Flare.Benchmarks.Crypto;
using Flare.Benchmarks.Rounds;
using Flare.Benchmarks.Training;
using Flare.Benchmarks.Transport;

namespace Flare.Benchmarks.Ratios;

/// <summary>
/// <c>ratios [NAME] [--json]</c>: measures each headline side by side in one run, because the absolutes of two runs
/// cannot be compared.
/// </summary>
internal static class RatiosCommand
{
    private static readonly (string Name, string What, Func<IReadOnlyDictionary<string, double>> Measure)[] Headlines =
    [
        ("aggregation", "8 × 10M float32 in 60 tensors, two threads", () => AggregationRatios.Measure()),
        ("rounds", "no-op executors in process", RoundRatios.Measure),
        ("transport", "frames beside bare connections, loopback, 40 MB and 64 bytes", TransportRatios.Measure),
        ("crypto", "8 × 1M float32 encrypted, added, opened, one core", CryptoRatios.Measure),
        ("training", "SGD step of SimpleNetwork, batch 32, one thread", () => TrainingRatios.Measure()),
    ];

    public static int Run(string[] args)
    {
        var json = args.Contains("--json");
        var names = args.Where(a => a != "--json").ToArray();
        if (names.Length > 1 || names.Any(n => Headlines.All(h => h.Name != n)))
        {
            Console.Error.WriteLine($"usage: ratios [{string.Join('|', Headlines.Select(h => h.Name))}] [--json]");
            return 2;
        }
        var all = new Dictionary<string, double?>();
        foreach (var (name, what, measure) in Headlines)
        {
            if (names.Length == 1 && names[0] != name) continue;
            Console.WriteLine($"{name}: {what}");
            foreach (var (key, value) in measure())
            {
                Console.WriteLine($"  {key,-34} {value.ToString("G4", CultureInfo.InvariantCulture),12}");
                all[key] = double.IsFinite(value) ? value : null;
            }
            Console.WriteLine();
        }
        if (json) Console.WriteLine(JsonSerializer.Serialize(all));
        return 0;
    }
}

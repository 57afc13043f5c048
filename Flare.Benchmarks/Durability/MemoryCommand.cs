using System.Diagnostics;
using Flare.Workflows;

namespace Flare.Benchmarks.Durability;

/// <summary>
/// <c>memory</c>: 500 rounds of 8 sites × 1M parameters in process; memory up to round 50 beside that up to round 500.
/// </summary>
internal static class MemoryCommand
{
    public static int Run() => RunAsync().GetAwaiter().GetResult();

    private static async Task<int> RunAsync()
    {
        // The runtime compiles what is hot a second time, in the background; that memory is not the federation's.
        await using (var warmUp = Create(rounds: 2_000)) await warmUp.RunToEndAsync(Model(1_000));

        await using var federation = Create(rounds: 500);
        // The rounds go on while the memory is measured, with one model more or less on the way: medians of ten rounds
        // each.
        List<(double Managed, double Process)> early = [], late = [];
        await foreach (var round in federation.RunAsync(Model(1_000_000)))
        {
            if (round.Number is > 40 and <= 50) early.Add(Megabytes());
            if (round.Number is > 490) late.Add(Megabytes());
        }
        var (before, after) = (Median(early), Median(late));
        Console.WriteLine($"rounds  41 to  50: managed {before.Managed,7:F1} MB, process {before.Process,7:F1} MB");
        Console.WriteLine($"rounds 491 to 500: managed {after.Managed,7:F1} MB, process {after.Process,7:F1} MB");
        var (managed, process) = (after.Managed / before.Managed - 1, after.Process / before.Process - 1);
        Console.WriteLine($"growth: managed {managed * 100:F1}%, process {process * 100:F1}%");
        return managed <= 0.05 && process <= 0.05 ? 0 : 1;
    }

    private static StateDict Model(int parameters) =>
        new(new TensorLayout(new TensorSpec("w", DType.Float32, [parameters])));

    private static Federation Create(int rounds) => Federation.InProcess(f => f
        .AddSites(8, _ => new Drifting())
        .UseController(new FedAvg { Rounds = rounds, MinSites = 8, Validation = ValidationMode.None }));

    private static (double Managed, double Process) Median(List<(double Managed, double Process)> values) =>
        (values.Select(v => v.Managed).Order().ElementAt(values.Count / 2), values.Select(v => v.Process).Order()
            .ElementAt(values.Count / 2));

    private static (double Managed, double Process) Megabytes()
    {
        // What the collector keeps for later is not in use: aggressive collections give it back to the system.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        var managed = GC.GetTotalMemory(forceFullCollection: true) / 1e6;
        using var process = Process.GetCurrentProcess();
        return (managed, process.WorkingSet64 / 1e6);
    }

    /// <summary>Answers with a new difference each round, and hands its memory over.</summary>
    private sealed class Drifting : Executor
    {
        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            var difference = Dxo.From(input).Tensors.Clone();
            difference.Fill(1e-3);
            return ValueTask.FromResult(
                Dxo.WeightDiff(difference.HandOver()).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
        }
    }
}

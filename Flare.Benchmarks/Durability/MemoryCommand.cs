using System.Diagnostics;
using Flare.Workflows;

namespace Flare.Benchmarks.Durability;

/// <summary><c>memory</c>: 500 rounds of 8 sites × 1M parameters in process; memory after round 50 beside that after round 500.</summary>
internal static class MemoryCommand
{
    public static int Run() => RunAsync().GetAwaiter().GetResult();

    private static async Task<int> RunAsync()
    {
        var model = new StateDict(new TensorLayout(new TensorSpec("w", DType.Float32, [1_000_000])));
        await using var federation = Federation.InProcess(f => f
            .AddSites(8, _ => new Drifting())
            .UseController(new FedAvg { Rounds = 500, MinSites = 8, Validation = ValidationMode.None }));
        (double Managed, double Process) early = default, late = default;
        await foreach (var round in federation.RunAsync(model))
        {
            if (round.Number is not (50 or 500)) continue;
            var now = Megabytes();
            Console.WriteLine($"after round {round.Number,3}: managed {now.Managed,7:F1} MB, process {now.Process,7:F1} MB");
            if (round.Number == 50) early = now;
            else late = now;
        }
        var (managed, process) = (late.Managed / early.Managed - 1, late.Process / early.Process - 1);
        Console.WriteLine($"growth: managed {managed * 100:F1}%, process {process * 100:F1}%");
        return managed <= 0.05 && process <= 0.05 ? 0 : 1;
    }

    private static (double Managed, double Process) Megabytes()
    {
        var managed = GC.GetTotalMemory(forceFullCollection: true) / 1e6;
        using var process = Process.GetCurrentProcess();
        return (managed, process.WorkingSet64 / 1e6);
    }

    /// <summary>Answers with a new difference each round, and hands its memory over.</summary>
    private sealed class Drifting : Executor
    {
        public override ValueTask<Shareable> ExecuteAsync(string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            var difference = Dxo.From(input).Tensors.Clone();
            difference.Fill(1e-3);
            return ValueTask.FromResult(Dxo.WeightDiff(difference.HandOver()).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
        }
    }
}

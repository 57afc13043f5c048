using BenchmarkDotNet.Attributes;
using Flare.Workflows;

namespace Flare.Benchmarks.Aggregation;

/// <summary>The exact weighted mean of eight models of a million parameters: all at once, and one after the other.</summary>
[MemoryDiagnoser]
public class FoldBenchmarks
{
    private (StateDict, double)[] _contributions = [];
    private StateDict _result = null!;
    private ExactSum _mean = null!;

    /// <summary>Makes the contributions.</summary>
    [GlobalSetup]
    public void Setup()
    {
        var layout = new TensorLayout(new TensorSpec("w", DType.Float32, [1_000_000]));
        var random = new Random(1);
        _contributions = [.. Enumerable.Range(0, 8).Select(k =>
        {
            var model = new StateDict(layout);
            foreach (ref var value in model["w"].AsSpan<float>()) value = (float)(random.NextDouble() - 0.5);
            return (model, 100.0 + k);
        })];
        _result = new StateDict(layout);
        _mean = new ExactSum(layout);
    }

    /// <summary>All eight in one pass; no accumulators in memory.</summary>
    [Benchmark(Baseline = true)]
    public void Fused() => _mean.Complete(_contributions, _result);

    /// <summary>Each as it arrives, through accumulators in memory.</summary>
    [Benchmark]
    public void Streaming()
    {
        foreach (var contribution in _contributions) _mean.Add(contribution.Item1, contribution.Item2);
        _mean.Complete(_result);
    }
}

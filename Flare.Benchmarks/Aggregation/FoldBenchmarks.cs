using System.Buffers;
using BenchmarkDotNet.Attributes;

namespace Flare.Benchmarks.Aggregation;

/// <summary>
/// The exact weighted mean of eight models of a million parameters: all at once, and one after the other.
/// </summary>
[MemoryDiagnoser]
public class FoldBenchmarks
{
    private (StateDict, double)[] _contributions = [];
    private StateDict _result = null!;
    private readonly ArrayBufferWriter<byte> _written = new();
    private ExactSum _mean = null!;
    private ExactSum _part = null!;
    private ExactSum _copy = null!;
    private ExactSum _whole = null!;

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
        _part = new ExactSum(layout);
        _part.Add(_contributions);
        _part.WriteTo(_written);
        _copy = new ExactSum(layout);
        _whole = new ExactSum(layout);
    }

    /// <summary>All eight in one pass; no accumulators in memory.</summary>
    [Benchmark(Baseline = true)]
    public void Fused() => _mean.Complete(_contributions, _result);

    /// <summary>A sum of all eight to its written form.</summary>
    [Benchmark]
    public void Write()
    {
        _written.ResetWrittenCount();
        _part.WriteTo(_written);
    }

    /// <summary>And back, checked.</summary>
    [Benchmark]
    public void Read() => _copy.Read(new ReadOnlySequence<byte>(_written.WrittenMemory));

    /// <summary>A sum of eight added to another.</summary>
    [Benchmark]
    public void Merge() => _whole.Merge(_part);

    /// <summary>Each as it arrives, through accumulators in memory.</summary>
    [Benchmark]
    public void Streaming()
    {
        foreach (var contribution in _contributions) _mean.Add(contribution.Item1, contribution.Item2);
        _mean.Complete(_result);
    }
}

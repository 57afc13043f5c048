using BenchmarkDotNet.Attributes;

namespace Flare.Benchmarks.Rounds;

/// <summary>A whole run of no-op rounds in process.</summary>
[MemoryDiagnoser]
public class RoundBenchmarks
{
    /// <summary>Sites of the federation.</summary>
    [Params(8, 1_000)]
    public int Sites { get; set; }

    /// <summary>Ten rounds.</summary>
    [Benchmark]
    public async Task TenRounds()
    {
        var model = NoOpFederation.Model(1_000);
        await using var federation = NoOpFederation.Create(Sites, rounds: 10, model);
        await federation.RunToEndAsync(model);
    }
}

using BenchmarkDotNet.Attributes;

namespace Flare.Benchmarks.Transport;

/// <summary>A request of 64 bytes and its answer over loopback, over a bare stream and over frames.</summary>
[MemoryDiagnoser]
public class RequestBenchmarks
{
    private const int Count = 1000;

    private BareEnds _bare = null!;
    private FrameEnds _frames = null!;

    /// <summary>Whether over TLS.</summary>
    [Params(false, true)]
    public bool Tls { get; set; }

    /// <summary>Connects both.</summary>
    [GlobalSetup]
    public async Task ConnectAsync()
    {
        var (site, server) = await Pairs.ConnectAsync(Tls);
        _bare = new(site, server, []);
        (site, server) = await Pairs.ConnectAsync(Tls);
        _frames = new(site, server, []);
        await _frames.ReadyAsync();
    }

    /// <summary>Over a bare stream.</summary>
    [Benchmark(Baseline = true, OperationsPerInvoke = Count)]
    public Task<double> Bare() => _bare.RequestAsync(Count);

    /// <summary>Over frames.</summary>
    [Benchmark(OperationsPerInvoke = Count)]
    public Task<(double, double)> Frames() => _frames.RequestAsync(Count);
}

using BenchmarkDotNet.Attributes;

namespace Flare.Benchmarks.Transport;

/// <summary>40 MB over loopback into an array, over a bare stream and over frames.</summary>
[MemoryDiagnoser]
public class MoveBenchmarks
{
    private BareEnds _bare = null!;
    private FrameEnds _frames = null!;

    /// <summary>Whether over TLS.</summary>
    [Params(false, true)]
    public bool Tls { get; set; }

    /// <summary>Connects both.</summary>
    [GlobalSetup]
    public async Task ConnectAsync()
    {
        var content = new byte[40_000_000];
        var (site, server) = await Pairs.ConnectAsync(Tls);
        _bare = new(site, server, content);
        (site, server) = await Pairs.ConnectAsync(Tls);
        _frames = new(site, server, content);
        await _frames.ReadyAsync();
    }

    /// <summary>Over a bare stream.</summary>
    [Benchmark(Baseline = true)]
    public Task<double> Bare() => _bare.MoveAsync();

    /// <summary>Over frames.</summary>
    [Benchmark]
    public Task<double> Frames() => _frames.MoveAsync();
}

using System.Buffers;
using System.IO.Pipelines;
using BenchmarkDotNet.Attributes;
using Flare.Runtime;
using Flare.Tests.Transport.Frames;

namespace Flare.Benchmarks.Transport;

/// <summary>Encoders and decoders without a socket: heads, values, whole messages, frames through memory.</summary>
[MemoryDiagnoser]
public class CodecBenchmarks
{
    private const int Tensors = 10_000_000;

    private readonly byte[] _head = new byte[FrameHead.Size];
    private readonly FrameHead _parsed = new(FrameKind.TaskResult, 1, 1, 3, 17, 0, 40_000_000);
    private readonly ArrayBufferWriter<byte> _output = new(1024);
    private FlareMap _map = null!;
    private byte[] _values = null!;
    private byte[] _message = null!;
    private FrameEnds _frames = null!;

    /// <summary>Makes what is read.</summary>
    [GlobalSetup]
    public async Task MakeAsync()
    {
        _parsed.Write(_head);
        _map = new() { ["task"] = "train", ["round"] = 3, ["loss"] = 0.25, ["sha256"] = new string('a', 64) };
        FlareMapCodec.Write(_map, _output);
        _values = _output.WrittenSpan.ToArray();
        _message = LinkMessageFuzz.Result(Tensors);
        var (up, down) = (new Pipe(), new Pipe());
        _frames = new(new Duplex(down.Reader, up.Writer), new Duplex(up.Reader, down.Writer), new byte[Tensors]);
        await _frames.ReadyAsync();
    }

    /// <summary>A message's head, written.</summary>
    [Benchmark]
    public void HeadWrite() => _parsed.Write(_head);

    /// <summary>A message's head, read.</summary>
    [Benchmark]
    public FrameHead HeadRead() => FrameHead.Read(_head);

    /// <summary>Four values, written.</summary>
    [Benchmark]
    public void ValuesWrite()
    {
        _output.ResetWrittenCount();
        FlareMapCodec.Write(_map, _output);
    }

    /// <summary>Four values, read.</summary>
    [Benchmark]
    public FlareMap ValuesRead() => FlareMapCodec.Read(new ReadOnlySequence<byte>(_values));

    /// <summary>A result of 10 MB, put together from parts of 64 KiB.</summary>
    [Benchmark]
    public object ResultRead()
    {
        var head = _parsed with { Length = _message.Length };
        var reader = new LinkMessageReader("job", head);
        for (var at = 0; at < _message.Length; at += 65_528)
            reader.Append(_message.AsSpan(at, Math.Min(65_528, _message.Length - at)));
        return reader.Complete(head);
    }

    /// <summary>10 MB as frames through memory, both ends.</summary>
    [Benchmark]
    public Task<double> FramesThroughMemory() => _frames.MoveAsync();

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}

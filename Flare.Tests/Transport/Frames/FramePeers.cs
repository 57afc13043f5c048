using System.Buffers;
using System.Text;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>Two connected ends that run.</summary>
internal sealed class FramePeers : IAsyncDisposable
{
    public FramePeers(
        PipePair? pipes = null, FrameOptions? a = null, FrameOptions? b = null, TimeProvider? time = null)
    {
        Pipes = pipes ?? new();
        A = new(Pipes.A, true, AtA, a, time);
        B = new(Pipes.B, false, AtB, b, time);
    }

    public PipePair Pipes { get; }
    public Recorder AtA { get; } = new();
    public Recorder AtB { get; } = new();
    public FrameConnection A { get; }
    public FrameConnection B { get; }

    public async Task StartAsync()
    {
        _ = A.RunAsync();
        _ = B.RunAsync();
        await A.Ready;
        await B.Ready;
    }

    public async ValueTask DisposeAsync()
    {
        A.Abort("the test is over");
        B.Abort("the test is over");
        await A.Ended;
        await B.Ended;
    }

    public static byte[] Bytes(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public static string Text(byte[] bytes) => Encoding.UTF8.GetString(bytes);

    /// <summary>The same bytes in several pieces.</summary>
    public static ReadOnlySequence<byte> InPieces(byte[] bytes, int piece)
    {
        Segment? first = null, last = null;
        for (var at = 0; at < bytes.Length; at += piece)
        {
            var memory = bytes.AsMemory(at, Math.Min(piece, bytes.Length - at));
            last = last is null ? first = new(memory, 0) : last.Then(memory);
        }
        return first is null ? default : new(first, 0, last!, last!.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, long index) => (Memory, RunningIndex) = (memory, index);

        public Segment Then(ReadOnlyMemory<byte> memory)
        {
            var next = new Segment(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}

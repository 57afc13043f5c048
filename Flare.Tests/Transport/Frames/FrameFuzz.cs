using System.Buffers;
using System.IO.Pipelines;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>
/// Conversations with mutations that know what a frame is. Shared with the command that does millions.
/// </summary>
internal static class FrameFuzz
{
    /// <summary>
    /// Bytes that a connection may allocate for each that it hears, beside <see cref="PerConnection"/>.
    /// </summary>
    public const int PerByte = 8;

    /// <summary>Bytes that a connection and its pipes may allocate.</summary>
    public const int PerConnection = 40_000;

    /// <summary>Has connections hear so many mutations.</summary>
    /// <returns>Bytes fed, and bytes allocated.</returns>
    /// <exception cref="InvalidOperationException">A connection ended as none may, or allocated too much.</exception>
    public static (long Fed, long Allocated) Run(long count, int seed)
    {
        SynchronizationContext.SetSynchronizationContext(null); // all of it on this thread
        var random = new Random(seed);
        long fed = 0, allocated = 0;
        for (long i = 0; i < count; i++)
        {
            var bytes = Mutated(random);
            fed += bytes.Length;
            var before = GC.GetAllocatedBytesForCurrentThread();
            var end = Hear(bytes);
            var took = GC.GetAllocatedBytesForCurrentThread() - before;
            allocated += took;
            // Nothing that a length could ask for.
            if (took > PerConnection + PerByte * bytes.Length)
                throw new InvalidOperationException($"mutation {i} of seed {seed}: {took} bytes for {bytes.Length}");
            if (end.Kind is ConnectionEndKind.Failed or ConnectionEndKind.TimedOut or ConnectionEndKind.Closed)
                throw new InvalidOperationException($"mutation {i} of seed {seed} ended as {end}", end.Error);
        }
        return (fed, allocated);
    }

    /// <summary>A conversation without faults of so many messages and parts of a stream.</summary>
    public static byte[] Long(int frames)
    {
        var bytes = new List<byte>(RawFrames.Hello());
        bytes.AddRange(RawFrames.Open(1, 1, 100L * frames, 0));
        for (var i = 0; i < frames; i++)
        {
            bytes.AddRange(RawFrames.Message(1, new byte[100]));
            bytes.AddRange(RawFrames.Data(1, new byte[100]));
        }
        bytes.AddRange(RawFrames.Close("enough"));
        return [.. bytes];
    }

    /// <summary>How a connection that hears so ends.</summary>
    public static ConnectionEnd Hear(byte[] bytes)
    {
        var input = PipeReader.Create(new ReadOnlySequence<byte>(bytes));
        var output = PipeWriter.Create(Stream.Null);
        var running = new FrameConnection(
            new End(input, output), false, new Swallowing(), time: new Stopped()).RunAsync();
        if (!running.IsCompleted)
            throw new InvalidOperationException(
                "a connection that has heard all has not ended");
        return running.Result;
    }

    private static byte[] Mutated(Random random)
    {
        var frames = new List<byte[]> { RawFrames.Hello() };
        var count = random.Next(1, 8);
        uint next = 1;
        for (var i = 0; i < count; i++)
        {
            var stream = (uint)random.Next(0, (int)next + 2);
            frames.Add(random.Next(9) switch
            {
                0 => RawFrames.Message(stream, new byte[random.Next(300)]),
                1 or 2 => RawFrames.Open(
                    next += 2, stream, Strange(random), random.Next(3) == 0 ? Strange(random)
                    : 0, new byte[random.Next(30)]),
                3 or 4 => RawFrames.Data(stream, new byte[random.Next(300)]),
                5 => RawFrames.Credit(stream, (int)Strange(random)),
                6 => RawFrames.Reset(stream, "\u00e9\n"),
                7 => RawFrames.Ping(3),
                _ => RawFrames.Close("enough"),
            });
        }
        byte[] bytes = [.. frames.SelectMany(f => f)];
        for (var flips = random.Next(4); flips > 0; flips--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
        return random.Next(3) == 0 ? bytes[..random.Next(bytes.Length)] : bytes;
    }

    private static long Strange(Random random) => random.Next(6) switch
    {
        0 => 0, 1 => -1, 2 => long.MaxValue, 3 => int.MaxValue, _ => random.Next(2000),
    };

    private sealed record End(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class Swallowing : IFrameReceiver, IStreamSink
    {
        public void OnMessage(uint channel, in ReadOnlySequence<byte> message) { }

        public StreamAnswer OnStream(in StreamOffer offer) =>
            offer.Channel % 3 == 0 ? StreamAnswer.Refuse("not today") : StreamAnswer.Accept(this);

        public void Write(ReadOnlySpan<byte> bytes)
        {
            if (bytes.Length == 77) throw new FlareException(ErrorIds.MalformedBytes, "no 77");
        }

        public void Complete() { }
        public void Abort(string reason) { }
    }

    /// <summary>A clock that stands still: nothing here may wait for it.</summary>
    private sealed class Stopped : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            new Timer();

        private sealed class Timer : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;
            public void Dispose() { }
            public ValueTask DisposeAsync() => default;
        }
    }
}

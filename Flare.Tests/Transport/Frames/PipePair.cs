using System.IO.Pipelines;

namespace Flare.Tests.Transport.Frames;

/// <summary>Two ends of a duplex pipe in memory.</summary>
internal sealed class PipePair
{
    private static readonly StreamPipeReaderOptions Reading = new(bufferSize: 512, minimumReadSize: 1);

    /// <param name="room">Bytes that may be written before the other end reads; 0 for any number.</param>
    /// <param name="chop">How many bytes each read brings at most; as many as there are if left out.</param>
    /// <param name="onLoop">Whether continuations stay on the loop of who awaits.</param>
    public PipePair(int room = 128 * 1024, Func<int>? chop = null, bool onLoop = false)
    {
        var options = onLoop
            ? new PipeOptions(null, PipeScheduler.Inline, PipeScheduler.Inline, room, room / 2)
            : new PipeOptions(null, null, null, room, room / 2, useSynchronizationContext: false);
        (Up, Down) = (new(options), new(options));
        A = new End(Chopped(Down.Reader), Up.Writer);
        B = new End(Chopped(Up.Reader), Down.Writer);

        PipeReader Chopped(PipeReader reader) =>
            chop is null ? reader : PipeReader.Create(new ChoppedStream(reader.AsStream(), chop), Reading);
    }

    /// <summary>From A to B.</summary>
    public Pipe Up { get; }

    /// <summary>From B to A.</summary>
    public Pipe Down { get; }

    public IDuplexPipe A { get; }

    public IDuplexPipe B { get; }

    internal sealed record End(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class ChoppedStream(Stream inner, Func<int> most) : Stream
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            inner.ReadAsync(buffer[..Math.Clamp(most(), Math.Min(1, buffer.Length), buffer.Length)], cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => 0; set => throw new NotSupportedException(); }
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}

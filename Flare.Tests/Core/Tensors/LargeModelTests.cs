namespace Flare.Tests.Core.Tensors;

/// <summary>Models above 2 GiB, where an int no longer counts bytes.</summary>
[Category("Large"), NonParallelizable]
public class LargeModelTests
{
    private const long Large = (1L << 31) + 12_345;

    [TearDown]
    public void Release() => StateDict.TrimPool();

    [Test]
    public void A_tensor_above_2_GiB_is_read_and_written()
    {
        var header =
            $$$"""{"big":{"dtype":"U8","shape":[{{{Large}}}],"data_offsets":[0,{{{Large}}}]},"tail":{"dtype":"U8","shape":[3],"data_offsets":[{{{Large}}},{{{Large + 3}}}]}}""";
        using var model = StateDict.Load(new SparseStream(Files.Of(header, []).ToArray(), Large - 2, [8, 9, 1, 2, 3]));
        Assert.That(
            () => model["big"].AsSpan<byte>(), Throws.InvalidOperationException.With.Message.Contains("take slices"));
        Assert.That(model["big"].AsReadOnlySpan<byte>(Large - 2, 2).ToArray(), Is.EqualTo(new byte[] { 8, 9 }));
        Assert.That(
            () => model["big"].Bytes.Length, Throws.InvalidOperationException.With.Message.Contains("Chunks()"));
        long walked = 0;
        byte last = 0;
        foreach (var chunk in model["big"].Chunks())
        {
            Assert.That(chunk.Start, Is.EqualTo(walked));
            walked += chunk.Length;
            last = model["big"].BytesOf(chunk)[^1];
        }
        Assert.That((walked, last), Is.EqualTo((Large, (byte)9)));
        using var big = model.Select(t => t.Name == "big");
        Assert.That(big["big"].BytesOf(new(Large - 2, 2)).ToArray(), Is.EqualTo(new byte[] { 8, 9 }));
        Assert.That(model["tail"].ToArray<byte>(), Is.EqualTo(new byte[] { 1, 2, 3 }));

        var sink = new LastBytes();
        model.Save(sink);
        Assert.That(sink.Written, Is.GreaterThan(Large).And.LessThan(Large + 1000));
        Assert.That(sink.Last, Is.EqualTo(new byte[] { 8, 9, 1, 2, 3 }));
    }

    /// <summary>
    /// A seekable stream of a beginning, a long nothing (the reader's buffer stays as it is) and an end.
    /// </summary>
    private sealed class SparseStream(byte[] begin, long nothing, byte[] end) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length => begin.Length + nothing + end.Length;

        public override long Position { get; set; }

        public override int Read(Span<byte> buffer)
        {
            var (source, at) = Position < begin.Length ? (begin, Position) : (end, Position - begin.Length - nothing);
            var count = at < 0 ? Math.Min(-at, buffer.Length) : Math.Min(source.Length - at, buffer.Length);
            if (at >= 0) source.AsSpan((int)at, (int)count).CopyTo(buffer);
            Position += count;
            return (int)count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush() { }
    }

    /// <summary>Counts what it is given and keeps the end of it.</summary>
    private sealed class LastBytes : Stream
    {
        public long Written { get; private set; }

        public byte[] Last { get; private set; } = [];

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set =>
            throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Written += buffer.Length;
            Last = [.. Last, .. buffer[^Math.Min(buffer.Length, 5)..]];
            Last = Last[^Math.Min(Last.Length, 5)..];
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush() { }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}

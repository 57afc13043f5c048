namespace Flare.Runtime;

/// <summary>
/// Passes on what is written and takes its checksum on the way, so that a snapshot is run through once, not twice.
/// </summary>
internal sealed class ChecksumStream(Stream inner) : Stream
{
    private Crc32C _crc;
    private long _written;

    /// <summary>The checksum of all that was written.</summary>
    public uint Checksum => _crc.Value;

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => _written;

    public override long Position
    {
        get => _written;
        set => throw new NotSupportedException();
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        inner.Write(buffer);
        _crc.Append(buffer);
        _written += buffer.Length;
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush() => inner.Flush();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}

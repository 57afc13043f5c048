using System.Buffers.Binary;

namespace Flare.Transport;

/// <summary>
/// The payload of the first frame in each direction: what the end speaks, and what it takes. Later versions may append
/// to it; what follows is not looked at.
/// </summary>
internal sealed record Hello(
    ushort OldestVersion, ushort NewestVersion, int MaxMessageBytes, int MaxStreamHeadBytes, int MaxStreams,
    int StreamWindow, uint IdleMilliseconds)
{
    public const int Size = 8 + 2 + 2 + 5 * 4;
    public const int MostBytes = 1024;

    /// <summary>The versions of the frames that this code speaks.</summary>
    public const ushort Oldest = 1, Newest = 1;

    // Says at once whether the other end is something else altogether, or was mangled by something that takes bytes
    // for text: the same trick as PNG's.
    private static ReadOnlySpan<byte> Magic => "FLARE\r\n\u001a"u8;

    public static Hello Of(FrameOptions options) => new(
        Oldest, Newest, options.MaxMessageBytes, options.MaxStreamHeadBytes, options.MaxStreams, options.StreamWindow,
        (uint)options.IdleTimeout.TotalMilliseconds);

    public void Write(Span<byte> to)
    {
        Magic.CopyTo(to);
        BinaryPrimitives.WriteUInt16LittleEndian(to[8..], OldestVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(to[10..], NewestVersion);
        BinaryPrimitives.WriteInt32LittleEndian(to[12..], MaxMessageBytes);
        BinaryPrimitives.WriteInt32LittleEndian(to[16..], MaxStreamHeadBytes);
        BinaryPrimitives.WriteInt32LittleEndian(to[20..], MaxStreams);
        BinaryPrimitives.WriteInt32LittleEndian(to[24..], StreamWindow);
        BinaryPrimitives.WriteUInt32LittleEndian(to[28..], IdleMilliseconds);
    }

    /// <exception cref="FrameException">It is no hello, or of no version that both ends speak.</exception>
    public static Hello Read(ReadOnlySpan<byte> from)
    {
        if (!from.StartsWith(Magic) && from.Length >= Magic.Length)
            throw Wrong("it does not begin as Flare's frames do; the address must be that of a Flare server");
        if (from.Length < Size) throw Wrong($"its hello has {from.Length} bytes, of at least {Size}");
        var hello = new Hello(
            BinaryPrimitives.ReadUInt16LittleEndian(from[8..]), BinaryPrimitives.ReadUInt16LittleEndian(from[10..]),
            BinaryPrimitives.ReadInt32LittleEndian(from[12..]), BinaryPrimitives.ReadInt32LittleEndian(from[16..]),
            BinaryPrimitives.ReadInt32LittleEndian(from[20..]), BinaryPrimitives.ReadInt32LittleEndian(from[24..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[28..]));
        if (hello.OldestVersion > Newest || hello.NewestVersion < Oldest)
        {
            throw Wrong($"it speaks versions {hello.OldestVersion} to {hello.NewestVersion} of Flare's frames and this "
                + $"end {Oldest} to {Newest}: use versions of Flare.Transport that have one in common");
        }
        Check(hello.MaxMessageBytes, "bytes of a message", WireLimits.MessageBytes);
        Check(hello.MaxStreamHeadBytes, "bytes before a stream's content", WireLimits.StreamHeadBytes);
        Check(hello.MaxStreams, "streams at once", WireLimits.Streams);
        Check(hello.StreamWindow, "bytes of a stream before credit", WireLimits.StreamWindow);
        Check(hello.IdleMilliseconds, "milliseconds of silence", WireLimits.IdleMilliseconds);
        return hello;
    }

    private static void Check(long stated, string what, (int Least, int Most) limits)
    {
        if (stated < limits.Least || stated > limits.Most)
        {
            throw Wrong(
                $"its hello states {stated} {what}; docs/wire.md has from {limits.Least} to {limits.Most}");
        }
    }

    private static FrameException Wrong(string what) =>
        new(ErrorIds.Connection, $"the other end cannot be spoken with: {what}", isTransient: false);
}

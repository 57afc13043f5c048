using System.Buffers.Binary;

namespace Flare.Transport;

/// <summary>The eight bytes before every frame's payload (docs/wire.md).</summary>
/// <param name="Type">What the frame is.</param>
/// <param name="Length">Bytes of its payload.</param>
/// <param name="Id">A channel, a stream, or 0.</param>
internal readonly record struct WireHead(FrameType Type, int Length, uint Id)
{
    /// <summary>Bytes of a head.</summary>
    public const int Size = 8;

    /// <summary>Bytes that a payload has at most: the length has three bytes.</summary>
    public const int LargestLength = (1 << 24) - 1;

    /// <summary>Writes the head.</summary>
    /// <param name="to">At least <see cref="Size"/> bytes.</param>
    /// <exception cref="InvalidOperationException">The length has more than three bytes.</exception>
    public void Write(Span<byte> to)
    {
        if ((uint)Length > LargestLength)
            throw new InvalidOperationException($"A frame of {Length} bytes; it may have {LargestLength}.");
        BinaryPrimitives.WriteUInt32LittleEndian(to, (uint)Length | (uint)Type << 24);
        BinaryPrimitives.WriteUInt32LittleEndian(to[4..], Id);
    }

    /// <summary>Reads a head. Whether its type and length mean anything is the reader's to see.</summary>
    /// <param name="from">At least <see cref="Size"/> bytes.</param>
    public static WireHead Read(ReadOnlySpan<byte> from)
    {
        var word = BinaryPrimitives.ReadUInt32LittleEndian(from);
        return new(
            (FrameType)(word >> 24), (int)(word & LargestLength), BinaryPrimitives.ReadUInt32LittleEndian(from[4..]));
    }
}

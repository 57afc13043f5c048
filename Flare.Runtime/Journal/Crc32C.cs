using System.Buffers.Binary;
using System.Numerics;

namespace Flare.Runtime;

/// <summary>
/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), which processors compute about as fast as memory is read. It finds
/// accidents; it is no signature.
/// </summary>
internal struct Crc32C
{
    /// <summary>The checksum of all that was appended; 0 for nothing.</summary>
    public uint Value { get; private set; }

    /// <summary>The checksum of two runs of bytes, one behind the other.</summary>
    public static uint Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second = default)
    {
        var crc = new Crc32C();
        crc.Append(first);
        crc.Append(second);
        return crc.Value;
    }

    /// <summary>Takes more bytes in.</summary>
    public void Append(ReadOnlySpan<byte> bytes) => Value = ~Raw(~Value, bytes);

    /// <summary>The remainder alone, without the inversions at begin and end: linear in its state and its
    /// bytes.</summary>
    public static uint Raw(uint state, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var b in bytes) state = BitOperations.Crc32C(state, b);
        return state;
    }
}

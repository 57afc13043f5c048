using System.Buffers.Binary;
using System.Numerics;

namespace Flare.Runtime;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum that processors compute.</summary>
internal static class Crc32C
{
    /// <summary>The checksum of two runs of bytes, one behind the other.</summary>
    public static uint Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second = default) =>
        ~Update(Update(uint.MaxValue, first), second);

    private static uint Update(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var b in bytes) crc = BitOperations.Crc32C(crc, b);
        return crc;
    }
}

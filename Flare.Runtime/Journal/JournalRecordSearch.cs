using System.Buffers.Binary;

namespace Flare.Runtime;

/// <summary>
/// Looks for a sound record behind one that is not. Every offset may be the begin of one, and what stands there may
/// claim any length: so checksums are not taken anew for each, but follow from remainders at every 256th byte. Time and
/// memory are linear in the log.
/// </summary>
internal static class JournalRecordSearch
{
    private const int Stride = 256;

    /// <summary>The first offset after the start where a sound record of a known type begins; -1 where there is
    /// none.</summary>
    /// <param name="log">The whole log.</param>
    /// <param name="start">Where the record begins that is not sound.</param>
    public static int FindAfter(ReadOnlySpan<byte> log, int start)
    {
        uint[]? remainders = null;
        for (var at = start + 1; at < log.Length - JournalLog.RecordHeadLength; at++)
        {
            // First what costs nothing to look at, and is so for few offsets only.
            if (log[at + 4] is 0 or > (byte)JournalRecordType.JobCompleted) continue;
            var begin = at + JournalLog.RecordHeadLength;
            if (!BeginsMap(log[begin])) continue;
            var length = BinaryPrimitives.ReadInt32LittleEndian(log[at..]);
            if (length <= 0 || length > log.Length - begin) continue;

            remainders ??= Remainders(log, start);
            var head = Crc32C.Raw(~0u, log.Slice(at, 5)) ^ RemainderAt(begin, log);
            var checksum = ~(Crc32CShift.Shift(head, length) ^ RemainderAt(begin + length, log));
            if (checksum == BinaryPrimitives.ReadUInt32LittleEndian(log[(at + 5)..])) return at;
        }
        return -1;

        uint RemainderAt(int at, ReadOnlySpan<byte> log)
        {
            var stride = (at - start) / Stride;
            return Crc32C.Raw(remainders[stride], log[(start + stride * Stride)..at]);
        }
    }

    // MessagePack's fixmap, map16 and map32.
    private static bool BeginsMap(byte first) => first is >= 0x80 and <= 0x8f or 0xde or 0xdf;

    private static uint[] Remainders(ReadOnlySpan<byte> log, int start)
    {
        var remainders = new uint[(log.Length - start) / Stride + 1];
        for (var i = 1; i < remainders.Length; i++)
            remainders[i] = Crc32C.Raw(remainders[i - 1], log.Slice(start + (i - 1) * Stride, Stride));
        return remainders;
    }
}

using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Flare;

/// <summary>
/// A block's sums as written: the exponent of the lowest bit that any of them has (16 bits), the least number of bytes
/// that hold all of them (16 bits), and the integers, little-endian, in two's complement. So one block of sums has one
/// written form, however it is held in memory. A block of zeros is two zeros.
/// </summary>
internal static unsafe class WrittenBlock
{
    public const int HeadBytes = 4;

    /// <summary>The widest that a block can be: doubles from their smallest to 2^28 of the largest, with
    /// weights.</summary>
    public const int MaxWidth = (1024 + 64 + 28 + 1074 + 116) / 8 + 2;

    /// <summary>Writes a block's sums.</summary>
    /// <param name="output">Takes the bytes.</param>
    /// <param name="sum">Their form.</param>
    /// <param name="cells">Where they are, unless they are wide.</param>
    /// <param name="count">Number of elements.</param>
    public static void Write(IBufferWriter<byte> output, in BlockSum sum, BlockCells cells, int count)
    {
        switch (sum.Form)
        {
            case BlockForm.Zero: WriteHead(output, 0, 0); break;
            case BlockForm.One: WriteOne(output, cells.Coarse, sum.Low, count); break;
            case BlockForm.Two: WriteTwo(output, sum, cells, count); break;
            default: WriteWide(output, sum.Wide!, count); break;
        }
    }

    /// <summary>Whether integers as written are as short as they can be: one is odd, and one needs the last
    /// byte.</summary>
    public static bool IsCanonical(byte* elements, int count, int width)
    {
        var (odd, full) = (0, width == 1);
        for (var i = 0; i < count; i++)
        {
            var element = elements + i * width;
            odd |= *element;
            // The last byte is needed unless it only repeats the sign of the byte before it.
            if (!full) full = ((sbyte)element[width - 2] >> 7) != (sbyte)element[width - 1];
        }
        return (odd & 1) != 0 && full;
    }

    [SkipLocalsInit]
    private static void WriteOne(IBufferWriter<byte> output, double* sums, int low, int count)
    {
        var integers = stackalloc long[BlockKernels.BlockLength];
        var scale = Math.ScaleB(1, -low);
        var (bits, magnitudes) = (0L, 0L);
        for (var i = 0; i < count; i++)
        {
            var integer = (long)(sums[i] * scale);
            integers[i] = integer;
            bits |= integer;
            magnitudes |= integer ^ (integer >> 63);
        }
        if (bits == 0)
        {
            WriteHead(output, 0, 0);
            return;
        }
        var zeros = BitOperations.TrailingZeroCount(bits);
        var width = WidthOf(64 - BitOperations.LeadingZeroCount((ulong)(magnitudes >> zeros)));
        WriteHead(output, low + zeros, width);
        // Every element is stored as eight bytes, and the next one covers what is too many.
        var room = output.GetSpan(count * width + 8);
        fixed (byte* start = room)
            for (var i = 0; i < count; i++) Unsafe.WriteUnaligned(start + i * width, integers[i] >> zeros);
        output.Advance(count * width);
    }

    [SkipLocalsInit]
    private static void WriteTwo(IBufferWriter<byte> output, in BlockSum sum, BlockCells cells, int count)
    {
        var integers = stackalloc Int128[BlockKernels.BlockLength];
        var (bias, shift) = (sum.Bias, sum.Grid - sum.Low);
        var (scale, fineScale) = (Math.ScaleB(1, -sum.Grid), Math.ScaleB(1, -sum.Low));
        Int128 bits = 0, magnitudes = 0;
        for (var i = 0; i < count; i++)
        {
            var coarse = (Int128)(long)((cells.Coarse[i] - bias) * scale);
            var integer = (coarse << shift) + (long)(cells.Fine[i] * fineScale);
            integers[i] = integer;
            bits |= integer;
            magnitudes |= integer ^ (integer >> 127);
        }
        if (bits == 0)
        {
            WriteHead(output, 0, 0);
            return;
        }
        var zeros = (int)Int128.TrailingZeroCount(bits);
        var width = WidthOf(128 - (int)Int128.LeadingZeroCount(magnitudes >> zeros));
        WriteHead(output, sum.Low + zeros, width);
        var room = output.GetSpan(count * width + 16);
        fixed (byte* start = room)
            for (var i = 0; i < count; i++) Unsafe.WriteUnaligned(start + i * width, integers[i] >> zeros);
        output.Advance(count * width);
    }

    private static void WriteWide(IBufferWriter<byte> output, WideBlock wide, int count)
    {
        var (zeros, length) = (int.MaxValue, 0);
        // Two words more than a sum has, so that its bits can be taken 32 at a time from anywhere in it.
        var words = stackalloc long[wide.Words + 2];
        var sum = new Span<long>(words, wide.Words);
        for (var i = 0; i < count; i++)
        {
            var negative = wide.Magnitude(i, sum);
            if (LongAccumulator.TopBit(sum) is not (>= 0 and var top)) continue;
            var lowest = LongAccumulator.LowestBit(sum);
            zeros = Math.Min(zeros, lowest);
            // Minus a power of two takes one bit less than the power.
            length = Math.Max(length, negative && lowest == top ? top : top + 1);
        }
        if (length == 0 && zeros == int.MaxValue)
        {
            WriteHead(output, 0, 0);
            return;
        }
        var width = WidthOf(length - zeros);
        WriteHead(output, wide.Low + zeros, width);
        var room = output.GetSpan(count * width);
        for (var i = 0; i < count; i++)
        {
            var negative = wide.Magnitude(i, sum);
            if (negative) LongAccumulator.Complement(sum);
            words[wide.Words] = words[wide.Words + 1] = negative ? uint.MaxValue : 0;
            var element = room.Slice(i * width, width);
            for (var k = 0; k < width; k++)
            {
                var bit = zeros + 8 * k;
                var word = Math.Min(bit >> 5, wide.Words);
                element[k] = (byte)((((ulong)words[word + 1] << 32) | (uint)words[word]) >> (bit & 31));
            }
        }
        output.Advance(count * width);
    }

    private static int WidthOf(int bitsOfMagnitudes) => (bitsOfMagnitudes + 1 + 7) / 8;

    private static void WriteHead(IBufferWriter<byte> output, int low, int width)
    {
        var head = output.GetSpan(HeadBytes);
        BinaryPrimitives.WriteInt16LittleEndian(head, checked((short)low));
        BinaryPrimitives.WriteUInt16LittleEndian(head[2..], checked((ushort)width));
        output.Advance(HeadBytes);
    }
}

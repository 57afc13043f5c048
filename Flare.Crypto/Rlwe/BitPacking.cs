using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

/// <summary>
/// A chunk's coefficients as bytes. Of those with more than 64 bits first all lower words, then the rests; rests, or
/// coefficients of up to 64 bits, are runs of bits, lowest first, padded with zeros to a byte.
/// </summary>
/// <remarks>In memory a coefficient is a word in each of two runs: the lower 64 bits, and what is above them.</remarks>
internal static class BitPacking
{
    // Four of 30 bits, and the up to 7 before them in a byte, lie in 16 bytes
    private const int WordBits = 64, NarrowBits = 30;

    /// <summary>Packs coefficients below 2^width.</summary>
    /// <param name="low">Their lower words.</param>
    /// <param name="high">Their upper words.</param>
    /// <param name="width">1 to 127 bits.</param>
    /// <param name="destination">Exactly ⌈coefficients · width / 8⌉ bytes.</param>
    public static void Pack(ReadOnlySpan<ulong> low, ReadOnlySpan<ulong> high, int width, Span<byte> destination)
    {
        if (width > WordBits)
        {
            var words = MemoryMarshal.Cast<byte, ulong>(destination)[..low.Length];
            if (BitConverter.IsLittleEndian)
                low.CopyTo(words);
            else
                BinaryPrimitives.ReverseEndianness(low, words);
            PackRun(high, width - WordBits, destination[(low.Length * sizeof(ulong))..]);
        }
        else
        {
            PackRun(low, width, destination);
        }
    }

    /// <summary>Unpacks coefficients and adds each to a sum.</summary>
    /// <param name="source">Exactly ⌈coefficients · width / 8⌉ bytes.</param>
    /// <param name="width">1 to 127 bits.</param>
    /// <param name="low">The sums' lower words.</param>
    /// <param name="high">Their upper words, which must not overflow.</param>
    /// <param name="path">How to compute it.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddTo(
        ReadOnlySpan<byte> source, int width, Span<ulong> low, Span<ulong> high, KernelPath path = KernelPath.Best)
    {
        var vectors = path != KernelPath.Portable && Avx2.IsSupported;
        if (width <= WordBits)
        {
            AddRun(source, width, low, high, carry: true, vectors);
            return;
        }

        var words = MemoryMarshal.Cast<byte, ulong>(source)[..low.Length];
        var i = 0;
        if (vectors)
        {
            ref var from = ref MemoryMarshal.GetReference(words);
            for (; i <= low.Length - 4; i += 4)
                Add(Vector256.LoadUnsafe(ref from, (nuint)i), ref low[i], ref high[i]);
        }

        for (; i < low.Length; i++)
            Add(
                BitConverter.IsLittleEndian ? words[i] : BinaryPrimitives.ReverseEndianness(words[i]),
                ref low[i],
                ref high[i]);
        AddRun(source[(low.Length * sizeof(ulong))..], width - WordBits, high, high, carry: false, vectors);
    }

    /// <summary>Whether the bits after the last coefficient are zero, as <see cref="Pack"/> leaves them.</summary>
    public static bool IsPaddedWithZeros(ReadOnlySpan<byte> packed, int words, int width)
    {
        var used = (int)((long)words * width % 8);
        return used == 0 || packed[^1] >> used == 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackRun(ReadOnlySpan<ulong> words, int width, Span<byte> destination)
    {
        var (pending, count, at) = (0ul, 0, 0);
        foreach (var word in words)
        {
            pending |= word << count;
            count += width;
            if (count < WordBits) continue;
            BinaryPrimitives.WriteUInt64LittleEndian(destination[at..], pending);
            at += sizeof(ulong);
            count -= WordBits;
            pending = word >> 1 >> (width - count - 1);
        }

        for (; count > 0; count -= 8, pending >>= 8)
            destination[at++] = (byte)pending;
    }

    private static void AddRun(
        ReadOnlySpan<byte> source, int width, Span<ulong> sums, Span<ulong> high, bool carry, bool vectors)
    {
        var i = 0;
        if (vectors && width <= NarrowBits)
            i = AddVectors(source, width, sums, high, carry);

        var mask = ulong.MaxValue >> (WordBits - width);
        for (; i < sums.Length; i++)
        {
            var (at, shift) = ((int)((long)i * width / 8), (int)((long)i * width % 8));
            var word = Load(source[at..]) >> shift;
            if (shift + width > WordBits)
                word |= (ulong)source[at + sizeof(ulong)] << (WordBits - shift);
            if (carry)
                Add(word & mask, ref sums[i], ref high[i]);
            else
                sums[i] += word & mask;
        }
    }

    /// <summary>
    /// Eight at a time, which are as many bytes as one has bits; 16 bytes hold four. Returns how many were added.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int AddVectors(ReadOnlySpan<byte> source, int width, Span<ulong> sums, Span<ulong> high, bool carry)
    {
        var (first, next) = (new Spreading(width, 0), new Spreading(width, 4));
        var mask = Vector256.Create(ulong.MaxValue >> (WordBits - width));
        ref var from = ref MemoryMarshal.GetReference(source);
        var (i, at) = (0, 0);
        for (var last = source.Length - 16 - next.Byte; at <= last && i <= sums.Length - 8; at += width, i += 8)
        {
            var four = first.Apply(ref Unsafe.Add(ref from, at)) & mask;
            var more = next.Apply(ref Unsafe.Add(ref from, at)) & mask;
            if (carry)
            {
                Add(four, ref sums[i], ref high[i]);
                Add(more, ref sums[i + 4], ref high[i + 4]);
            }
            else
            {
                (Vector256.LoadUnsafe(ref sums[i]) + four).StoreUnsafe(ref sums[i]);
                (Vector256.LoadUnsafe(ref sums[i + 4]) + more).StoreUnsafe(ref sums[i + 4]);
            }
        }

        return i;
    }

    private static ulong Load(ReadOnlySpan<byte> source)
    {
        if (source.Length >= sizeof(ulong))
            return BinaryPrimitives.ReadUInt64LittleEndian(source);
        var word = 0ul;
        for (var i = 0; i < source.Length; i++)
            word |= (ulong)source[i] << (8 * i);
        return word;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(ulong word, ref ulong low, ref ulong high)
    {
        low += word;
        high += low < word ? 1ul : 0ul;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Vector256<ulong> words, ref ulong low, ref ulong high)
    {
        var sum = Vector256.LoadUnsafe(ref low) + words;
        sum.StoreUnsafe(ref low);
        (Vector256.LoadUnsafe(ref high) - Vector256.LessThan(sum, words)).StoreUnsafe(ref high);
    }

    /// <summary>From 16 bytes to four words, each with one of four neighbours in its lowest bits.</summary>
    private readonly struct Spreading
    {
        private readonly Vector256<byte> _bytes;
        private readonly Vector256<ulong> _shifts;

        /// <param name="width">The bits of one.</param>
        /// <param name="first">The first of the four, of those that begin with a byte.</param>
        public Spreading(int width, int first)
        {
            Byte = first * width / 8;
            Span<byte> bytes = stackalloc byte[32];
            Span<ulong> shifts = stackalloc ulong[4];
            for (var lane = 0; lane < 4; lane++)
            {
                var bit = ((first + lane) * width) - (8 * Byte);
                shifts[lane] = (ulong)bit % 8;
                for (var i = 0; i < 8; i++)
                    // The rest is beyond it
                    bytes[(8 * lane) + i] = (bit / 8) + i < 16 ? (byte)((bit / 8) + i) : byte.MaxValue;
            }

            (_bytes, _shifts) = (Vector256.Create<byte>(bytes), Vector256.Create<ulong>(shifts));
        }

        /// <summary>Where the four begin.</summary>
        public int Byte { get; }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<ulong> Apply(ref byte from)
        {
            var both = Vector256.Create(Vector128.LoadUnsafe(ref from, (nuint)Byte));
            return Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(both, _bytes).AsUInt64(), _shifts);
        }
    }
}

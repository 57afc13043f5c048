using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Flare;

/// <summary>
/// Exact sums of a block whose bits lie too far apart for two doubles: fixed-point numbers, each as long as the block
/// needs. Slow, and rarely needed: a denormal next to a weight of ordinary size.
/// </summary>
internal sealed unsafe class WideBlock
{
    // From the lowest bit of a double times a weight's to 2^28 of the largest with the largest weight; the words above
    // it take the carries, the sign and the bounds' roundings up.
    private const int MaxWords = ((1024 + 64 + 28 + 1074 - WeightSums.LowestBit) >> 5) + 4;

    private long[] _words = [];
    private long[] _spare = [];

    /// <summary>Words of an element.</summary>
    public int Words { get; private set; }

    /// <summary>The exponent of an element's lowest bit.</summary>
    public int Low { get; private set; }

    public void Clear() => Words = 0;

    /// <summary>Makes sure that sums below 2^top of multiples of 2^low have room.</summary>
    /// <exception cref="InvalidOperationException">No contributions have such sums.</exception>
    public void MakeRoom(int low, int top)
    {
        var newLow = low & ~31;
        if (Words > 0)
        {
            newLow = Math.Min(newLow, Low);
            top = Math.Max(top, Low + 32 * (Words - 1) - 1);
        }
        // One more word takes sign and carries.
        var newWords = ((top - newLow) >> 5) + 2;
        if (newLow == Low && newWords == Words) return;
        if (newWords is < 2 or > MaxWords)
        {
            throw new InvalidOperationException(
                $"A sum from 2^{low} to 2^{top} was to be made room for: no contributions have such a sum.");
        }

        var (oldWords, shift) = (Words, (Low - newLow) >> 5);
        if (oldWords > 0) (_words, _spare) = (_spare, _words);
        var length = newWords * BlockKernels.BlockLength;
        if (_words.Length < length) _words = GC.AllocateUninitializedArray<long>(length, pinned: true);
        Array.Clear(_words, 0, length);
        for (var i = 0; oldWords > 0 && i < BlockKernels.BlockLength; i++)
            Array.Copy(_spare, i * oldWords, _words, i * newWords + shift, oldWords);
        (Low, Words) = (newLow, newWords);
    }

    /// <summary>Adds what the block held in doubles.</summary>
    public void AddDoubles(double* coarse, double* fine, double bias, int count)
    {
        var one = new Weight(1);
        for (var i = 0; i < count; i++)
        {
            Add(At(i), coarse[i] - bias, one);
            if (fine is not null) Add(At(i), fine[i], one);
        }
    }

    /// <summary>Adds weight times value for each element.</summary>
    public void Add(float* values, int count, Weight weight)
    {
        var words = At(0);
        for (var i = 0; i < count; i++, words += Words) Add(words, values[i], weight);
    }

    /// <inheritdoc cref="Add(float*, int, Weight)"/>
    public void Add(double* values, int count, Weight weight)
    {
        for (var i = 0; i < count; i++) Add(At(i), values[i], weight);
    }

    /// <inheritdoc cref="Add(float*, int, Weight)"/>
    public void Add(long* values, bool signed, int count, Weight weight)
    {
        for (var i = 0; i < count; i++)
        {
            var negative = signed && values[i] < 0;
            Add(At(i), (ulong)(negative ? -values[i] : values[i]), 0, negative, weight);
        }
    }

    /// <summary>Adds integers times two to a power.</summary>
    public void Add(long* integers, int count, int exponent)
    {
        for (var i = 0; i < count; i++)
        {
            var negative = integers[i] < 0;
            AddInside(At(i), exponent - Low, 0, (ulong)(negative ? -integers[i] : integers[i]), negative);
        }
    }

    /// <summary>Adds another block's sums, for which there is room.</summary>
    public void Add(WideBlock other, int count)
    {
        var sum = stackalloc long[other.Words];
        for (var i = 0; i < count; i++)
        {
            var negative = other.Magnitude(i, new Span<long>(sum, other.Words));
            for (var k = 0; k < other.Words; k++)
                if (sum[k] != 0) AddInside(At(i), other.Low - Low + 32 * k, 0, (ulong)sum[k], negative);
        }
    }

    /// <summary>Copies an element's magnitude, its words carried; returns whether the sum is negative.</summary>
    public bool Magnitude(int element, Span<long> words)
    {
        new ReadOnlySpan<long>(At(element), Words).CopyTo(words);
        return LongAccumulator.Normalize(words);
    }

    // The words are pinned.
    private long* At(int element) =>
        (long*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_words)) + element * Words;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Add(long* words, double value, in Weight weight)
    {
        var bits = BitConverter.DoubleToUInt64Bits(value);
        var exponent = (int)(bits >> 52) & 0x7FF;
        var mantissa = bits & ((1UL << 52) - 1);
        if (exponent == 0) exponent = 1;
        else mantissa |= 1UL << 52;
        if (mantissa == 0) return;
        var zeros = BitOperations.TrailingZeroCount(mantissa);
        Add(words, mantissa >> zeros, exponent - 1075 + zeros, value < 0, weight);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Add(long* words, ulong mantissa, int exponent, bool negative, in Weight weight)
    {
        var high = Math.BigMul(mantissa, weight.Mantissa, out var low);
        AddInside(words, exponent + weight.Exponent - Low, high, low, negative != weight.IsNegative);
    }

    // The words are bare memory. That there is room was seen to before: were it not so, this is to end in an exception,
    // not in another object.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddInside(long* words, int position, ulong high, ulong low, bool negative)
    {
        var bits = 64 - BitOperations.LeadingZeroCount(high);
        if (bits == 0) bits = -BitOperations.LeadingZeroCount(low | 1);
        bits += 64;
        if (position < 0 || position + bits > 32 * Words) throw Outside(position, bits);
        LongAccumulator.Add(words, position, high, low, negative);
    }

    private InvalidOperationException Outside(int position, int bits) =>
        new($"{bits} bits from bit {position} on were to be added to a sum of {32 * Words} bits.");

    /// <summary>Divides an element: rounded to nearest, or to odd for one more rounding to a shorter type.</summary>
    public double Divide(int element, in Quotient quotient, bool toOdd)
    {
        var words = stackalloc long[Words];
        var sum = new Span<long>(words, Words);
        new ReadOnlySpan<long>(At(element), Words).CopyTo(sum);
        LongAccumulator.Round(sum, Low, out var dividend, out var dividendRest, out var exponent);
        var result = quotient.Divide(dividend, dividendRest, out var rest);
        return Math.ScaleB(toOdd ? Quotient.RoundToOdd(result, rest) : result, exponent);
    }

    /// <summary>
    /// Divides an element's sum of weighted integers, to the nearest integer, ties to even; its low 64 bits. A double
    /// has too few bits for that: it estimates, and exact remainders decide.
    /// </summary>
    public ulong DivideToInteger(int element, in Quotient quotient, ReadOnlySpan<long> divisor)
    {
        var offset = (Low - WeightSums.Low) >> 5;
        var length = Math.Max(Words + offset, WeightSums.Words) + 3;
        Span<long> left = stackalloc long[length];
        Span<long> copy = stackalloc long[length];
        left.Clear();
        new ReadOnlySpan<long>(At(element), Words).CopyTo(left[offset..]);
        Int128 result = 0;
        for (var pass = 0; pass < 2; pass++)
        {
            left.CopyTo(copy);
            LongAccumulator.Round(copy, WeightSums.Low, out var dividend, out var dividendRest, out var exponent);
            var step = (Int128)Math.Round(Math.ScaleB(quotient.Divide(dividend, dividendRest, out _), exponent));
            result += step;
            SubtractMultiple(left, divisor, step);
        }
        // What is left is at most half the divisor in magnitude, or a hair more.
        var negative = LongAccumulator.Normalize(left);
        foreach (ref var word in left) word *= 2;
        SubtractMultiple(left, divisor, 1);
        var below = LongAccumulator.Normalize(left);
        var tie = !below && left.IndexOfAnyExcept(0) < 0;
        if (tie ? !Int128.IsEvenInteger(result) : !below) result += negative ? -1 : 1;
        return unchecked((ulong)result);
    }

    private static void SubtractMultiple(Span<long> words, ReadOnlySpan<long> divisor, Int128 factor)
    {
        fixed (long* pointer = words)
            for (var i = 0; i < divisor.Length; i++)
            {
                var product = (UInt128)Int128.Abs(factor) * (UInt128)divisor[i];
                LongAccumulator.Add(pointer, 32 * i, (ulong)(product >> 64), (ulong)product, negative: factor > 0);
            }
    }
}

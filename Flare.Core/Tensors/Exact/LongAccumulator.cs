using System.Numerics;
using System.Runtime.CompilerServices;

namespace Flare;

/// <summary>
/// Exact sums as long fixed-point numbers: words of 32 bits, lowest first, held in signed 64 so that 2^30 additions
/// need no carry. The last word takes the sign.
/// </summary>
internal static unsafe class LongAccumulator
{
    /// <summary>Additions until a word might overflow.</summary>
    public const int MaxAdditions = 1 << 30;

    private const uint WordMask = uint.MaxValue;

    /// <summary>Adds an integer of up to 127 bits times two to some power.</summary>
    /// <param name="words">The sum.</param>
    /// <param name="position">The power, from the sum's lowest bit; not negative.</param>
    /// <param name="high">The upper 64 bits of the integer's magnitude.</param>
    /// <param name="low">The lower 64 bits of it.</param>
    /// <param name="negative">The integer's sign.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add(long* words, int position, ulong high, ulong low, bool negative)
    {
        var sign = negative ? -1L : 0L;
        var shift = position & 31;
        var word = words + (position >> 5);
        *word += ((long)(uint)(low << shift) ^ sign) - sign;
        low = (low >> (32 - shift)) | (high << (32 + shift));
        high >>= 32 - shift;
        while ((low | high) != 0)
        {
            *++word += ((long)(uint)low ^ sign) - sign;
            low = (low >> 32) | (high << 32);
            high >>= 32;
        }
    }

    /// <summary>
    /// Carries, so that all words but the last are in 0 to 2^32 − 1, and takes the sign off: the words become the
    /// magnitude's.
    /// </summary>
    /// <returns>Whether the sum is negative.</returns>
    public static bool Normalize(Span<long> words)
    {
        Carry(words);
        if (words[^1] >= 0) return false;
        for (var i = 0; i < words.Length; i++) words[i] = -words[i];
        Carry(words);
        return true;
    }

    /// <summary>
    /// Rounds a sum to a double-double: the nearest double to it, and the nearest to what is left. Both are to be
    /// multiplied by two to the power of <paramref name="exponent"/>: the first is between 1 and 2 in magnitude, or
    /// both are zero.
    /// </summary>
    /// <param name="words">The sum; left with anything.</param>
    /// <param name="low">The exponent of the sum's lowest bit.</param>
    /// <param name="nearest">The nearest double.</param>
    /// <param name="rest">The nearest double to what is left.</param>
    /// <param name="exponent">What both are scaled by.</param>
    public static void Round(Span<long> words, int low, out double nearest, out double rest, out int exponent)
    {
        var negative = Normalize(words);
        var top = TopBit(words);
        (nearest, rest, exponent) = (0, 0, 0);
        if (top < 0) return;

        exponent = top + low;
        var mantissa = RoundToMantissa(words, top, out var up);
        nearest = Math.ScaleB(mantissa, -52);
        // What is below the mantissa, or what is missing to where it was rounded up to.
        var below = top - 52;
        if (below > 0)
        {
            KeepLowest(words, below);
            if (up)
            {
                for (var i = 0; i < words.Length; i++) words[i] = -words[i];
                Carry(words);
                KeepLowest(words, below);
            }
            var restTop = TopBit(words);
            if (restTop >= 0)
            {
                // Too small a rest would vanish, but its sign matters where the rest of the arithmetic comes out even.
                rest = Math.ScaleB(RoundToMantissa(words, restTop, out _), Math.Max(restTop - top, -900) - 52);
                if (up) rest = -rest;
            }
        }
        if (negative) (nearest, rest) = (-nearest, -rest);
    }

    private static void Carry(Span<long> words)
    {
        var carry = 0L;
        for (var i = 0; i < words.Length - 1; i++)
        {
            var word = words[i] + carry;
            words[i] = word & WordMask;
            carry = word >> 32;
        }
        words[^1] += carry;
    }

    /// <summary>The lowest bit of a magnitude that is not zero.</summary>
    public static int LowestBit(ReadOnlySpan<long> words)
    {
        var i = words.IndexOfAnyExcept(0);
        return 32 * i + BitOperations.TrailingZeroCount(words[i]);
    }

    /// <summary>Makes a magnitude the two's complement of its negative, in words of 32 bits.</summary>
    public static void Complement(Span<long> words)
    {
        var carry = 1L;
        foreach (ref var word in words)
        {
            var complement = (~word & WordMask) + carry;
            (word, carry) = (complement & WordMask, complement >> 32);
        }
    }

    /// <summary>The highest bit of a magnitude; -1 of zero.</summary>
    public static int TopBit(ReadOnlySpan<long> words)
    {
        var i = words.Length - 1;
        while (i >= 0 && words[i] == 0) i--;
        return i < 0 ? -1 : 32 * i + BitOperations.Log2((ulong)words[i]);
    }

    private static void KeepLowest(Span<long> words, int bits)
    {
        words[bits >> 5] &= (1L << (bits & 31)) - 1;
        words[((bits >> 5) + 1)..].Clear();
    }

    /// <summary>The 53 bits from the top one down, rounded to nearest, ties to even; 2^53 where that carries.</summary>
    private static ulong RoundToMantissa(ReadOnlySpan<long> words, int top, out bool up)
    {
        var window = 0UL;
        var word = top >> 5;
        // 64 bits from the top one down: this word's, and those of the two below.
        var shift = 31 - (top & 31);
        UInt128 gathered = 0;
        for (var i = 0; i < 3; i++) gathered = (gathered << 32) | (word >= i ? (uint)words[word - i] : 0);
        window = (ulong)(gathered << shift >> 32);
        var sticky = (gathered << shift & WordMask) != 0;
        for (var i = word - 3; i >= 0 && !sticky; i--) sticky = words[i] != 0;

        var mantissa = window >> 11;
        var tail = window & 0x7FF;
        up = tail > 0x400 || (tail == 0x400 && (sticky || (mantissa & 1) != 0));
        return up ? mantissa + 1 : mantissa;
    }
}

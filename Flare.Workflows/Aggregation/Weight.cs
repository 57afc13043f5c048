using System.Numerics;

namespace Flare.Workflows;

/// <summary>A weight, exactly: sign times an odd integer times a power of two.</summary>
internal readonly struct Weight
{
    /// <summary>Significant bits that a weight's parts may have for their products with floats (24 bits) to be doubles (53).</summary>
    public const int BitsBesideFloat = 29;

    /// <summary>The same for the halves of 29 and 24 bits that doubles are split into.</summary>
    public const int BitsBesideDouble = 24;

    public const double Smallest = 1 / Largest;
    public const double Largest = 18446744073709551616.0;

    public Weight(double value)
    {
        Value = value;
        var bits = BitConverter.DoubleToUInt64Bits(Math.Abs(value));
        // Weights are in the normal range.
        var mantissa = (bits & ((1UL << 52) - 1)) | (1UL << 52);
        var zeros = BitOperations.TrailingZeroCount(mantissa);
        (Mantissa, Exponent) = (mantissa >> zeros, (int)(bits >> 52) - 1075 + zeros);
    }

    public double Value { get; }

    public ulong Mantissa { get; }

    public int Exponent { get; }

    public bool IsNegative => Value < 0;

    public Weight Negated => new(-Value);

    /// <summary>Whether the value is one that a contribution may have.</summary>
    public static bool IsValid(double value) => value is >= Smallest and <= Largest;

    /// <summary>Splits the weight into the fewest parts of some bits each that add up to it: one for most weights, at most three.</summary>
    /// <returns>Number of parts.</returns>
    public unsafe int Split(int bitsEach, double* parts)
    {
        var rest = Value;
        for (var count = 1; ; count++)
        {
            var part = BitConverter.UInt64BitsToDouble(BitConverter.DoubleToUInt64Bits(rest) & (ulong.MaxValue << (53 - bitsEach)));
            parts[count - 1] = part;
            rest -= part;
            if (rest == 0) return count;
        }
    }
}

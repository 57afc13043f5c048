using System.Numerics;

namespace Flare;

/// <summary>A weight, exactly: sign times an odd integer times a power of two.</summary>
internal readonly struct Weight
{
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

    /// <summary>Significant bits, at most 53.</summary>
    public int Bits => 64 - BitOperations.LeadingZeroCount(Mantissa);

    public Weight Negated => new(-Value);

    /// <summary>Whether the value is one that a contribution may have.</summary>
    public static bool IsValid(double value) => value is >= Smallest and <= Largest;
}

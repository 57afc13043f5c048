using System.Numerics;

namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>Weighted means in rational arithmetic, rounded once: written from the definition, with nothing of the
/// library's.</summary>
internal static class Oracle
{
    public static double Mean(IEnumerable<(double Value, double Weight)> terms, DType dtype)
    {
        var (numerator, denominator) = Sums(terms);
        return dtype switch
        {
            DType.Float32 => Round(numerator, denominator, 24, -149),
            DType.Float64 => Round(numerator, denominator, 53, -1074),
            DType.Float16 => Round(numerator, denominator, 11, -24),
            DType.BFloat16 => Round(numerator, denominator, 8, -133),
            _ => throw new ArgumentOutOfRangeException(nameof(dtype)),
        };
    }

    public static BigInteger IntegerMean(IEnumerable<(Int128 Value, double Weight)> terms)
    {
        var (numerator, denominator) = (BigInteger.Zero, BigInteger.Zero);
        foreach (var (value, weight) in terms)
        {
            numerator += value * Fixed(weight);
            denominator += Fixed(weight);
        }
        return RoundToInteger(numerator, denominator);
    }

    /// <summary>A double in units of 2^-1074.</summary>
    public static BigInteger Fixed(double value)
    {
        var bits = BitConverter.DoubleToInt64Bits(value);
        var exponent = (int)(bits >> 52) & 0x7FF;
        BigInteger mantissa = (bits & 0xFFFFFFFFFFFFF) | (exponent == 0 ? 0 : 1L << 52);
        var magnitude = mantissa << Math.Max(exponent - 1, 0);
        return bits < 0 ? -magnitude : magnitude;
    }

    private static (BigInteger Numerator, BigInteger Denominator) Sums(IEnumerable<(double Value, double Weight)> terms)
    {
        var parts = terms.Select(term => (Value: Parts(term.Value), Weight: Parts(term.Weight))).ToArray();
        // Units that all products and all weights are multiples of.
        var unit = parts.Min(part => part.Value.Exponent + part.Weight.Exponent);
        var weightUnit = parts.Min(part => part.Weight.Exponent);
        var (numerator, denominator) = (BigInteger.Zero, BigInteger.Zero);
        foreach (var (value, weight) in parts)
        {
            numerator += value.Mantissa * (BigInteger)weight.Mantissa << (value.Exponent + weight.Exponent - unit);
            denominator += (BigInteger)weight.Mantissa << (weight.Exponent - weightUnit);
        }
        return unit > weightUnit ? (numerator << (unit - weightUnit), denominator)
            : (numerator, denominator << (weightUnit - unit));
    }

    private static (long Mantissa, int Exponent) Parts(double value)
    {
        var bits = BitConverter.DoubleToInt64Bits(value);
        var exponent = (int)(bits >> 52) & 0x7FF;
        var mantissa = (bits & 0xFFFFFFFFFFFFF) | (exponent == 0 ? 0 : 1L << 52);
        return (bits < 0 ? -mantissa : mantissa, Math.Max(exponent, 1) - 1075);
    }

    /// <summary>Rounds to a binary format: so many significant bits, and no bit below 2^lowest; ties to even.</summary>
    private static double Round(BigInteger numerator, BigInteger denominator, int precision, int lowest)
    {
        if (numerator.IsZero) return 0;
        var negative = numerator.Sign < 0;
        numerator = BigInteger.Abs(numerator);
        // The quotient is in [2^size, 2^(size+1)), or just below.
        var size = (int)(numerator.GetBitLength() - denominator.GetBitLength());
        if (size >= 0 ? numerator < denominator << size : numerator << -size < denominator) size--;
        var ulp = Math.Max(size - precision + 1, lowest);
        var mantissa = ulp < 0 ? RoundToInteger(numerator << -ulp, denominator)
            : RoundToInteger(numerator, denominator << ulp);
        var result = Math.ScaleB((double)mantissa, ulp);
        return negative ? -result : result;
    }

    private static BigInteger RoundToInteger(BigInteger numerator, BigInteger denominator)
    {
        var quotient = BigInteger.DivRem(BigInteger.Abs(numerator), denominator, out var rest);
        var twice = 2 * rest - denominator;
        if (twice.Sign > 0 || (twice.IsZero && !quotient.IsEven)) quotient++;
        return numerator.Sign * quotient;
    }
}

using System.Runtime.CompilerServices;

namespace Flare;

/// <summary>
/// Division by the sum of weights: a pure function of the dividend's and the divisor's exact values, given as
/// double-doubles (the nearest double, and the nearest double to what is left). One step of refinement leaves an error
/// of at most 0.5 ulp and a hair.
/// </summary>
internal readonly struct Quotient(double divisor, double divisorRest)
{
    private readonly double _inverse = 1 / divisor;

    public double Divisor => divisor;

    public double DivisorRest => divisorRest;

    public double Inverse => _inverse;

    /// <summary>Divides.</summary>
    /// <param name="dividend">The dividend, rounded to nearest.</param>
    /// <param name="dividendRest">What that leaves of it.</param>
    /// <param name="rest">What the quotient leaves of the dividend: its sign says on which side of the result the true
    /// one lies.</param>
    public double Divide(double dividend, double dividendRest, out double rest)
    {
        var first = dividend * _inverse;
        var left = Math.FusedMultiplyAdd(-first, divisor, dividend)
            + Math.FusedMultiplyAdd(-first, divisorRest, dividendRest);
        var quotient = Math.FusedMultiplyAdd(left, _inverse, first);
        rest = Math.FusedMultiplyAdd(-quotient, divisor, dividend)
            + Math.FusedMultiplyAdd(-quotient, divisorRest, dividendRest);
        return quotient;
    }

    /// <summary>
    /// Of the two doubles around the true quotient, the one with an odd last bit, unless it is exact. Rounding that
    /// once more, to a type at least two bits shorter, is as good as rounding the true quotient once (Boldo and
    /// Melquiond, 2008).
    /// </summary>
    public static double RoundToOdd(double quotient, double rest)
    {
        var bits = BitConverter.DoubleToInt64Bits(quotient);
        // A quotient beyond the true one steps back; then both are at, or just below, the odd one.
        var beyond = (bits ^ BitConverter.DoubleToInt64Bits(rest)) >> 63;
        return rest == 0 ? quotient : BitConverter.Int64BitsToDouble((bits + beyond) | 1);
    }
}

namespace Flare;

/// <summary>
/// exp, log and powers of fixed operations: the same bits everywhere. The platform's own (<see cref="Math.Exp"/>,
/// <see cref="Math.Log(double)"/>) differ in their last digit between operating systems and processors, and with them
/// every weight that follows.
/// </summary>
public static class Elementary
{
    private const double Log2E = 1.4426950408889634, LeastNormal = 2.2250738585072014e-308;
    private const double Ln2High = 6.93147180369123816490e-01, Ln2Low = 1.90821492927058770002e-10;

    /// <summary>eˣ, within 2 units in the last place; 0 below −708, infinity above 709.</summary>
    /// <param name="x">Any number; NaN gives NaN.</param>
    public static double Exp(double x)
    {
        if (double.IsNaN(x)) return x;
        if (x < -708) return 0;
        if (x > 709) return double.PositiveInfinity;
        var n = Math.Round(x * Log2E);
        var r = x - n * Ln2High - n * Ln2Low;
        // Taylor's series, of which 14 terms are enough for |r| ≤ ln 2 / 2.
        var sum = 1.0;
        for (var i = 14; i >= 1; i--) sum = sum * r / i + 1;
        // n may be 1023 + 1: in two factors.
        var half = (int)n / 2;
        return sum * PowerOfTwo(half) * PowerOfTwo((int)n - half);
    }

    /// <summary>
    /// The natural logarithm, within 2 units in the last place. fdlibm's __ieee754_log (Sun Microsystems 1993).
    /// </summary>
    /// <param name="x">Any number; NaN gives NaN.</param>
    public static double Log(double x)
    {
        if (double.IsNaN(x) || x < 0) return double.NaN;
        if (x == 0) return double.NegativeInfinity;
        if (double.IsPositiveInfinity(x)) return x;
        var scale = 0;
        if (x < LeastNormal) (x, scale) = (x * PowerOfTwo(54), -54);
        // x = 2^k · m with m in [√½, √2).
        var bits = BitConverter.DoubleToInt64Bits(x);
        var k = (int)(bits >> 52) - 1023 + scale;
        var m = BitConverter.Int64BitsToDouble((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000);
        if (m >= 1.4142135623730951) (m, k) = (m / 2, k + 1);
        // log(1 + f) = f − f²/2 + s·(f²/2 + R(s²)) with s = f/(2 + f).
        double f = m - 1, s = f / (2 + f), z = s * s, half = 0.5 * f * f;
        var remainder = 1.479819860511658591e-01;
        remainder = remainder * z + 1.531383769920937332e-01;
        remainder = remainder * z + 1.818357216161805012e-01;
        remainder = remainder * z + 2.222219843214978396e-01;
        remainder = remainder * z + 2.857142874366239149e-01;
        remainder = remainder * z + 3.999999999940941908e-01;
        remainder = remainder * z + 6.666666666666735130e-01;
        remainder *= z;
        return k * Ln2High - (half - (s * (half + remainder) + k * Ln2Low) - f);
    }

    /// <summary>
    /// The power of a number above 0; exact as far as products are where the exponent is a small whole number.
    /// </summary>
    /// <param name="x">The number, above 0.</param>
    /// <param name="exponent">Any exponent.</param>
    public static double Pow(double x, double exponent)
    {
        const int MostFactors = 64;
        if (exponent < 0) return 1 / Pow(x, -exponent);
        if (exponent > MostFactors || exponent != Math.Floor(exponent)) return Exp(exponent * Log(x));
        var power = 1.0;
        for (var i = 0; i < (int)exponent; i++) power *= x;
        return power;
    }

    private static double PowerOfTwo(int n) => BitConverter.Int64BitsToDouble((long)(n + 1023) << 52);
}

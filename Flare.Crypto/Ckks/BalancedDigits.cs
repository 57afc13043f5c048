using System.Runtime.InteropServices;

namespace Flare.Crypto;

/// <summary>
/// Composition of residues to real numbers in balanced mixed radix: x = d0 + q0·(d1 + q1·(d2 + ...)) with |di| ≤ qi/2.
/// Such digits are unique and small numbers have one only, so that nothing cancels on the way to double.
/// </summary>
internal static class BalancedDigits
{
    /// <summary>Writes the N centred values.</summary>
    /// <param name="parameters">The parameters.</param>
    /// <param name="residues">primeCount blocks of N residues in coefficient form; spent.</param>
    /// <param name="primeCount">The number of blocks.</param>
    /// <param name="values">N numbers, each right to a few units in the last place.</param>
    public static void ToDouble(CkksParameters parameters, Span<ulong> residues, int primeCount, Span<double> values)
    {
        var n = parameters.Degree;
        var digits = MemoryMarshal.Cast<ulong, long>(residues);
        for (var i = 0; i < primeCount; i++)
        {
            var modulus = parameters.Transforms[i].Modulus;
            var block = residues.Slice(i * n, n);
            if (i > 0) Divide(parameters, digits[..(i * n)], block, i, modulus);
            var half = (long)(modulus.Value / 2);
            var q = (long)modulus.Value;
            foreach (ref var digit in digits.Slice(i * n, n))
                digit -= q & ((half - digit) >> 63);
        }

        var top = digits.Slice((primeCount - 1) * n, n);
        for (var j = 0; j < n; j++) values[j] = top[j];
        for (var i = primeCount - 2; i >= 0; i--)
        {
            double q = parameters.Primes[i];
            var block = digits.Slice(i * n, n);
            for (var j = 0; j < n; j++) values[j] = values[j] * q + block[j];
        }
    }

    // block = (block - lower digits) / (q0 ... q(i-1)) modulo qi.
    private static void Divide(
        CkksParameters parameters, ReadOnlySpan<long> lower, Span<ulong> block, int i, Modulus modulus)
    {
        var n = block.Length;
        var product = 1UL;
        for (var p = 0; p < i; p++) product = modulus.Multiply(product, modulus.Reduce(parameters.Primes[p]));
        var inverse = modulus.Inverse(product);
        var quotient = modulus.Quotient(inverse);
        for (var j = 0; j < n; j++)
        {
            var known = FromSigned(lower[(i - 1) * n + j], modulus);
            for (var p = i - 2; p >= 0; p--)
                known = modulus.Add(
                    modulus.Multiply(known, modulus.Reduce(parameters.Primes[p])),
                    FromSigned(lower[p * n + j], modulus));
            block[j] = modulus.MultiplyFixed(modulus.Subtract(block[j], known), inverse, quotient);
        }
    }

    private static ulong FromSigned(long value, Modulus modulus)
    {
        var sign = value >> 63;
        var magnitude = (long)modulus.Reduce((ulong)((value ^ sign) - sign));
        return Modulus.Once((modulus.Value & (ulong)sign) + (ulong)((magnitude ^ sign) - sign), modulus.Value);
    }
}

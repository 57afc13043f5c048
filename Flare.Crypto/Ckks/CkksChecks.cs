using System.Numerics;

namespace Flare.Crypto;

/// <summary>The checks that several of the CKKS classes share.</summary>
internal static class CkksChecks
{
    /// <summary>Refuses a scale that is not a positive normal number below the level's modulus.</summary>
    public static void Scale(double scale, CkksLevel level)
    {
        if (!double.IsNormal(scale) || scale < 1 || Math.Log2(scale) >= level.LogModulus)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"A scale of {Readable.Format(scale, "R")} does not fit: it must be at least 1 and below the level's "
                    + $"modulus, 2^{Readable.Format(level.LogModulus, "F1")}.");
    }

    /// <summary>Refuses residues that are not below their primes.</summary>
    public static void Residues(CkksParameters parameters, ReadOnlySpan<ulong> residues, int primeCount, string what)
    {
        var n = parameters.Degree;
        for (var start = 0; start < residues.Length; start += n)
        {
            var q = parameters.Primes[start / n % primeCount];
            if (!AllBelow(residues.Slice(start, n), q))
                throw new FlareCryptoException(CryptoFault.Malformed,
                    $"The {what} is damaged: it holds a residue that is not below its prime {q}.");
        }
    }

    // The top bit of x | (q - 1 - x) is set exactly when x >= q, for q below 2^63.
    private static bool AllBelow(ReadOnlySpan<ulong> values, ulong q)
    {
        var (j, signs) = (0, 0UL);
        if (Vector.IsHardwareAccelerated)
        {
            var (most, bad) = (new Vector<ulong>(q - 1), Vector<ulong>.Zero);
            for (; j + Vector<ulong>.Count <= values.Length; j += Vector<ulong>.Count)
            {
                var x = new Vector<ulong>(values[j..]);
                bad |= x | (most - x);
            }
            for (var i = 0; i < Vector<ulong>.Count; i++) signs |= bad[i];
        }
        for (; j < values.Length; j++) signs |= values[j] | (q - 1 - values[j]);
        return signs >> 63 == 0;
    }
}

namespace Flare.Crypto;

/// <summary>
/// Division by the last prime of a level, rounded: rescaling, and the last step of encrypting with a public key.
/// </summary>
internal static class RnsDivision
{
    /// <summary>
    /// Divides a polynomial in NTT form modulo <paramref name="primeCount"/> primes; the first primeCount - 1 blocks
    /// receive the result, the last is spent.
    /// </summary>
    /// <param name="parameters">The parameters.</param>
    /// <param name="polynomial">primeCount blocks of N residues.</param>
    /// <param name="primeCount">At least 2.</param>
    /// <param name="scratch">N words.</param>
    public static void ByLastPrime(
        CkksParameters parameters, Span<ulong> polynomial, int primeCount, Span<ulong> scratch)
    {
        var n = parameters.Degree;
        var last = parameters.Transforms[primeCount - 1];
        var rest = polynomial.Slice((primeCount - 1) * n, n);
        last.Inverse(rest);

        // Adding half before taking the remainder turns the floor into a rounding.
        var half = last.Modulus.Value / 2;
        foreach (ref var x in rest) x = last.Modulus.Add(x, half);
        for (var i = 0; i < primeCount - 1; i++)
        {
            var transform = parameters.Transforms[i];
            var modulus = transform.Modulus;
            var halfHere = modulus.Reduce(half);
            for (var j = 0; j < n; j++)
                scratch[j] = modulus.Subtract(modulus.Reduce(rest[j]), halfHere);
            transform.Forward(scratch);
            var part = polynomial.Slice(i * n, n);
            Residues.Subtract(part, scratch, modulus.Value);
            Residues.Scale(part, modulus.Inverse(modulus.Reduce(last.Modulus.Value)), modulus);
        }
    }
}

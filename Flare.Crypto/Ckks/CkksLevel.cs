namespace Flare.Crypto;

/// <summary>
/// One level of a CKKS parameter set: the first <see cref="PrimeCount"/> primes. Rescaling and switching down go from a
/// level to the next, which has one prime less.
/// </summary>
public sealed class CkksLevel
{
    internal CkksLevel(int degree, ReadOnlySpan<ulong> primes)
    {
        PrimeCount = primes.Length;
        Id = ParmsId.Of(degree, primes);
        foreach (var prime in primes)
            LogModulus += Math.Log2(prime);
    }

    /// <summary>The number of primes.</summary>
    public int PrimeCount { get; }

    /// <summary>The logarithm to base 2 of the product of the primes.</summary>
    public double LogModulus { get; }

    /// <summary>The level's name in SEAL's files.</summary>
    public ParmsId Id { get; }
}

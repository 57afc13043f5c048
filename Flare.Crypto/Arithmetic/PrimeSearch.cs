using System.Numerics;

namespace Flare.Crypto;

/// <summary>
/// Finds primes q ≡ 1 (mod 2N), for which a negacyclic NTT of degree N exists, and the roots they have.
/// </summary>
internal static class PrimeSearch
{
    // Miller-Rabin with these bases decides every n < 3.3 · 10^24 (Sorenson and Webster, 2015).
    private static ReadOnlySpan<byte> Witnesses => [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];

    /// <summary>
    /// One prime for each wanted size, all different, as SEAL's <c>CoeffModulus::Create</c> assigns them: each size's
    /// primes are found from the largest down, and handed out smallest first.
    /// </summary>
    /// <param name="degree">N, a power of two.</param>
    /// <param name="bits">The sizes in bits, each from 3 to 61.</param>
    /// <exception cref="ArgumentException">There are too few primes of a size.</exception>
    public static ulong[] NttPrimes(int degree, params ReadOnlySpan<int> bits)
    {
        var primes = new ulong[bits.Length];
        var done = new bool[bits.Length];
        for (var i = 0; i < bits.Length; i++)
        {
            if (done[i])
                continue;
            var size = bits[i];
            var found = Descending(degree, size, bits.Count(size));
            for (int j = i, next = found.Length - 1; j < bits.Length; j++)
                if (bits[j] == size)
                    (primes[j], done[j]) = (found[next--], true);
        }

        return primes;
    }

    /// <summary>Whether n is prime; no false answers.</summary>
    public static bool IsPrime(ulong n)
    {
        if (n < 2)
            return false;
        foreach (ulong p in Witnesses)
            if (n % p == 0)
                return n == p;

        var twos = BitOperations.TrailingZeroCount(n - 1);
        foreach (ulong witness in Witnesses)
            if (!Passes(n, witness, twos))
                return false;
        return true;
    }

    /// <summary>The smallest primitive 2N-th root of unity modulo the prime q.</summary>
    /// <exception cref="ArgumentException">q is not a prime ≡ 1 (mod 2N).</exception>
    public static ulong MinimalRoot(int degree, Modulus modulus)
    {
        var order = 2 * (ulong)degree;
        if (modulus.Value % order != 1 || !IsPrime(modulus.Value))
            throw new ArgumentException(
                $"{modulus} is not a prime that leaves 1 on division by 2N = {order}, so degree {degree} has no NTT.",
                nameof(modulus));

        // x^((q-1)/2N) has order 2N exactly when its N-th power is -1, which holds for half of all x.
        var root = 0ul;
        for (var x = 2ul; ; x++)
        {
            root = modulus.Power(x, (modulus.Value - 1) / order);
            if (modulus.Power(root, (ulong)degree) == modulus.Value - 1)
                break;
        }

        // The primitive roots are the odd powers of any one of them.
        var square = modulus.Multiply(root, root);
        var minimal = root;
        for (var i = 1; i < degree; i++)
            minimal = Math.Min(minimal, root = modulus.Multiply(root, square));
        return minimal;
    }

    private static ulong[] Descending(int degree, int bits, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(degree, 2);
        if (!BitOperations.IsPow2(degree))
            throw new ArgumentException($"The degree is a power of two, not {degree}.", nameof(degree));
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 3);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, Modulus.MaxBits);

        var step = 2 * (ulong)degree;
        var lowest = 1ul << (bits - 1);
        var found = new ulong[count];
        var n = 0;
        var highest = (((1ul << bits) - 1) / step * step) + 1;
        for (var candidate = highest; n < count && candidate > lowest; candidate -= step)
        {
            if (candidate < 1ul << bits && IsPrime(candidate))
                found[n++] = candidate;
            if (candidate < step)
                break;
        }

        return n == count
            ? found
            : throw new ArgumentException(
                $"There are only {n} primes of {bits} bits that leave 1 on division by {step}; {count} are wanted.");
    }

    private static bool Passes(ulong n, ulong witness, int twos)
    {
        var odd = (n - 1) >> twos;
        var x = 1ul;
        for (var square = witness; odd != 0; odd >>= 1, square = Product(square, square, n))
            if ((odd & 1) != 0)
                x = Product(x, square, n);
        if (x == 1 || x == n - 1)
            return true;
        for (var i = 1; i < twos; i++)
        {
            x = Product(x, x, n);
            if (x == n - 1)
                return true;
        }

        return false;
    }

    private static ulong Product(ulong a, ulong b, ulong n) => (ulong)((UInt128)a * b % n);
}

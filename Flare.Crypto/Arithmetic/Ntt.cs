using System.Collections.Concurrent;
using System.Numerics;

namespace Flare.Crypto;

/// <summary>
/// The negacyclic number-theoretic transform of one degree and one prime: it turns products modulo X^N + 1 into
/// products value by value. Input in natural order, output in bit-reversed order: value j is the polynomial at
/// ψ^(2·bitrev(j)+1), where ψ is the smallest primitive 2N-th root of unity modulo q. This is SEAL's convention.
/// </summary>
/// <remarks>Immutable and safe for any number of threads. Building one costs O(N); <see cref="For"/> keeps them.</remarks>
internal sealed class Ntt
{
    private static readonly ConcurrentDictionary<(int Degree, ulong Modulus), Ntt> Cache = new();

    private readonly ScalarNtt _scalar;

    /// <summary>Prepares the tables.</summary>
    /// <param name="degree">N, a power of two from 2 to 2^17.</param>
    /// <param name="modulus">A prime q ≡ 1 (mod 2N), below 2^61.</param>
    /// <exception cref="ArgumentException">There is no such transform.</exception>
    public Ntt(int degree, Modulus modulus)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(degree, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(degree, 1 << 17);
        if (!BitOperations.IsPow2(degree))
            throw new ArgumentException($"The degree is a power of two, not {degree}.", nameof(degree));
        Degree = degree;
        Modulus = modulus;
        Root = PrimeSearch.MinimalRoot(degree, modulus);
        _scalar = new ScalarNtt(new NttTables(degree, modulus, Root));
    }

    /// <summary>N, the number of coefficients.</summary>
    public int Degree { get; }

    /// <summary>The prime q.</summary>
    public Modulus Modulus { get; }

    /// <summary>ψ, the smallest primitive 2N-th root of unity modulo q.</summary>
    public ulong Root { get; }

    /// <summary>The shared transform of this degree and prime.</summary>
    /// <exception cref="ArgumentException">There is no such transform.</exception>
    public static Ntt For(int degree, ulong modulus)
        => Cache.GetOrAdd((degree, modulus), key => new Ntt(key.Degree, new Modulus(key.Modulus)));

    /// <summary>Coefficients to values, in place.</summary>
    /// <param name="values">N residues in [0, q); so are the results.</param>
    /// <exception cref="ArgumentException">The span does not hold N residues.</exception>
    public void Forward(Span<ulong> values)
    {
        Check(values);
        _scalar.Forward(values);
    }

    /// <summary>Values to coefficients, in place: the inverse of <see cref="Forward"/>, 1/N included.</summary>
    /// <param name="values">N residues in [0, q); so are the results.</param>
    /// <exception cref="ArgumentException">The span does not hold N residues.</exception>
    public void Inverse(Span<ulong> values)
    {
        Check(values);
        _scalar.Inverse(values);
    }

    private void Check(Span<ulong> values)
    {
        if (values.Length != Degree)
            throw new ArgumentException($"A transform of degree {Degree} takes {Degree} residues, not {values.Length}.", nameof(values));
    }
}

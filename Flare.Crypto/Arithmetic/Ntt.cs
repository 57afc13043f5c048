using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace Flare.Crypto;

/// <summary>The ways to compute one and the same transform. All give the same bits.</summary>
internal enum NttPath
{
    /// <summary>64-bit words, on any processor, for any prime below 2^61.</summary>
    Scalar,

    /// <summary>Two doubles at a time (Arm64, or x64 with FMA), for primes below 2^50.</summary>
    Vector128,

    /// <summary>Four doubles at a time (AVX2 with FMA), for primes below 2^50.</summary>
    Vector256,

    /// <summary>Eight doubles at a time (AVX-512), for primes below 2^50.</summary>
    Vector512,
}

/// <summary>One way to compute a transform: N residues in [0, q) in place, to residues in [0, q).</summary>
internal interface INttKernel
{
    void Forward(Span<ulong> values);

    void Inverse(Span<ulong> values);

    /// <summary>A fixed polynomial's values in the form that this kernel multiplies by: two words each.</summary>
    AlignedBuffer<ulong> Factor(ReadOnlySpan<ulong> values);

    /// <summary>The inverse transform of values times a factor.</summary>
    void InverseOfProduct(Span<ulong> values, AlignedBuffer<ulong> factor);
}

/// <summary>
/// The negacyclic number-theoretic transform of one degree and one prime: it turns products modulo X^N + 1 into
/// products value by value. Input in natural order, output in bit-reversed order: value j is the polynomial at
/// ψ^(2·bitrev(j)+1), where ψ is the smallest primitive 2N-th root of unity modulo q. This is SEAL's convention.
/// </summary>
/// <remarks>
/// Immutable and safe for any number of threads. Building one costs O(N); <see cref="For"/> keeps them.
/// </remarks>
internal sealed class Ntt
{
    private static readonly ConcurrentDictionary<(int Degree, ulong Modulus), Ntt> Cache = new();

    private readonly INttKernel _kernel;

    /// <summary>Prepares the tables, for the fastest path that this processor and prime allow.</summary>
    /// <param name="degree">N, a power of two from 2 to 2^17.</param>
    /// <param name="modulus">A prime q ≡ 1 (mod 2N), below 2^61.</param>
    /// <exception cref="ArgumentException">There is no such transform.</exception>
    public Ntt(int degree, Modulus modulus)
        : this(degree, modulus, Paths(degree, modulus)[0])
    {
    }

    /// <summary>Prepares the tables for one path, as tests and benchmarks compare them.</summary>
    /// <exception cref="ArgumentException">There is no such transform, or this path cannot compute it here.</exception>
    public Ntt(int degree, Modulus modulus, NttPath path)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(degree, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(degree, 1 << 17);
        if (!BitOperations.IsPow2(degree))
            throw new ArgumentException($"The degree is a power of two, not {degree}.", nameof(degree));
        (Degree, Modulus, Path) = (degree, modulus, path);
        Root = PrimeSearch.MinimalRoot(degree, modulus);
        var tables = new NttTables(degree, modulus, Root);
        _kernel = path switch
        {
            NttPath.Vector512 => new VectorNtt<Lanes512, Vector512<double>>(tables),
            NttPath.Vector256 => new VectorNtt<Lanes256, Vector256<double>>(tables),
            NttPath.Vector128 => new VectorNtt<Lanes128, Vector128<double>>(tables),
            _ => new ScalarNtt(tables),
        };
    }

    /// <summary>N, the number of coefficients.</summary>
    public int Degree { get; }

    /// <summary>The prime q.</summary>
    public Modulus Modulus { get; }

    /// <summary>How this instance computes.</summary>
    public NttPath Path { get; }

    /// <summary>ψ, the smallest primitive 2N-th root of unity modulo q.</summary>
    public ulong Root { get; }

    /// <summary>The shared transform of this degree and prime.</summary>
    /// <exception cref="ArgumentException">There is no such transform.</exception>
    public static Ntt For(int degree, ulong modulus)
        => Cache.GetOrAdd((degree, modulus), static key => new Ntt(key.Degree, new Modulus(key.Modulus)));

    /// <summary>The paths that can compute this transform on this processor, fastest first; never empty.</summary>
    public static NttPath[] Paths(int degree, Modulus modulus)
    {
        var paths = new List<NttPath>();
        if (VectorNtt<Lanes512, Vector512<double>>.Fits(degree, modulus))
            paths.Add(NttPath.Vector512);
        if (VectorNtt<Lanes256, Vector256<double>>.Fits(degree, modulus))
            paths.Add(NttPath.Vector256);
        paths.Add(NttPath.Scalar);

        // On x64 two lanes lose to the 64-bit multiplier; on Arm64, whose high product is slow, they are expected to
        // win.
        if (VectorNtt<Lanes128, Vector128<double>>.Fits(degree, modulus))
            paths.Insert(AdvSimd.Arm64.IsSupported ? paths.Count - 1 : paths.Count, NttPath.Vector128);
        return [.. paths];
    }

    /// <summary>Coefficients to values, in place.</summary>
    /// <param name="values">N residues in [0, q); so are the results.</param>
    /// <exception cref="ArgumentException">The span does not hold N residues.</exception>
    public void Forward(Span<ulong> values)
    {
        Check(values);
        _kernel.Forward(values);
    }

    /// <summary>Values to coefficients, in place: the inverse of <see cref="Forward"/>, 1/N included.</summary>
    /// <param name="values">N residues in [0, q); so are the results.</param>
    /// <exception cref="ArgumentException">The span does not hold N residues.</exception>
    public void Inverse(Span<ulong> values)
    {
        Check(values);
        _kernel.Inverse(values);
    }

    /// <summary>Prepares a polynomial that many others are multiplied by, for <see cref="InverseOfProduct"/>.</summary>
    /// <param name="values">Its N values, as <see cref="Forward"/> gives them.</param>
    /// <exception cref="ArgumentException">The span does not hold N residues.</exception>
    public AlignedBuffer<ulong> Factor(ReadOnlySpan<ulong> values)
    {
        Check(values);
        return _kernel.Factor(values);
    }

    /// <summary>
    /// Values to the coefficients of their polynomial's product with a fixed one, in place and in one go.
    /// </summary>
    /// <param name="values">N residues in [0, q); so are the results.</param>
    /// <param name="factor">What <see cref="Factor"/> of this transform gave.</param>
    /// <exception cref="ArgumentException">The span does not hold N residues.</exception>
    public void InverseOfProduct(Span<ulong> values, AlignedBuffer<ulong> factor)
    {
        Check(values);
        _kernel.InverseOfProduct(values, factor);
    }

    private void Check(ReadOnlySpan<ulong> values)
    {
        if (values.Length != Degree)
            throw new ArgumentException(
                $"A transform of degree {Degree} takes {Degree} residues, not {values.Length}.", nameof(values));
    }
}

using System.Numerics;

namespace Flare.Crypto;

/// <summary>
/// The parameters of CKKS as SEAL counts them: a degree N and distinct primes, the last of which (when there are
/// several) serves keys only, so that a fresh ciphertext carries all but one. Every set has at least 128 bits of
/// classical security for a ternary secret; a weaker one cannot be made.
/// </summary>
/// <remarks>
/// The bound is the table of the HomomorphicEncryption.org standard (2018), which SEAL enforces too. Immutable; two
/// sets with the same degree and primes are interchangeable.
/// </remarks>
public sealed class CkksParameters
{
    /// <summary>The least degree.</summary>
    public const int MinDegree = 1024;

    /// <summary>The greatest degree.</summary>
    public const int MaxDegree = 32768;

    /// <summary>The greatest size of a prime, in bits.</summary>
    public const int MaxPrimeBits = 60;

    internal const int MaxPrimes = 64;

    // log2 q at most, for N = 1024, 2048, ...
    private static ReadOnlySpan<int> MaxModulusBits => [27, 54, 109, 218, 438, 881];

    private readonly ulong[] _primes;
    private readonly Lazy<Ntt[]> _transforms;
    private readonly Lazy<CanonicalEmbedding> _embedding;

    /// <summary>Takes a degree and primes, checking that they make a secure set.</summary>
    /// <param name="degree">N, a power of two from <see cref="MinDegree"/> to <see cref="MaxDegree"/>.</param>
    /// <param name="primes">Distinct primes q ≡ 1 (mod 2N) of at most 60 bits; the last is the special prime.</param>
    /// <exception cref="FlareCryptoException">They do not fit together, or fall short of 128 bits of
    /// security.</exception>
    public CkksParameters(int degree, params ReadOnlySpan<ulong> primes)
    {
        if (!BitOperations.IsPow2(degree) || degree is < MinDegree or > MaxDegree)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"A degree is a power of two from {MinDegree} to {MaxDegree}, not {degree}.");
        if (primes.Length is 0 or > MaxPrimes)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"A parameter set has 1 to {MaxPrimes} primes, not {primes.Length}.");

        var product = BigInteger.One;
        for (var i = 0; i < primes.Length; i++)
        {
            var q = primes[i];
            if (q >> MaxPrimeBits != 0 || q % (2 * (ulong)degree) != 1 || !PrimeSearch.IsPrime(q))
                throw new FlareCryptoException(CryptoFault.WrongParameters,
                    $"{q} is not a prime of at most {MaxPrimeBits} bits that "
                        + $"leaves 1 on division by 2N = {2 * degree}.");
            if (primes[..i].Contains(q))
                throw new FlareCryptoException(CryptoFault.WrongParameters,
                    $"The prime {q} occurs twice; the primes of a set are distinct.");
            product *= q;
        }
        var limit = MaxModulusBits[BitOperations.Log2((uint)degree) - 10];
        if (product.GetBitLength() > limit)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"N = {degree} allows a modulus of {limit} bits at 128 bits of security; these primes make "
                    + $"{product.GetBitLength()}. Take fewer bits or a greater N.");

        Degree = degree;
        _primes = primes.ToArray();
        _transforms = new(() => Array.ConvertAll(_primes, q => Ntt.For(degree, q)));
        _embedding = new(() => CanonicalEmbedding.For(degree));
        KeyLevel = new CkksLevel(degree, primes);
        var levels = new CkksLevel[Math.Max(1, primes.Length - 1)];
        for (var i = 0; i < levels.Length; i++)
            levels[i] = primes.Length == 1 ? KeyLevel : new CkksLevel(degree, primes[..(levels.Length - i)]);
        Levels = levels;
    }

    /// <summary>
    /// N = 8192 and primes of 60, 40 and 40 bits: what NVIDIA FLARE uses by default, with a scale of 2^40.
    /// </summary>
    public static CkksParameters NvFlare { get; } = Create(8192, 60, 40, 40);

    /// <summary>N: a polynomial has N coefficients.</summary>
    public int Degree { get; }

    /// <summary>N / 2: how many numbers a ciphertext holds.</summary>
    public int SlotCount => Degree / 2;

    /// <summary>The primes, the special prime last.</summary>
    public IReadOnlyList<ulong> Primes => _primes;

    /// <summary>The level of keys: all primes.</summary>
    public CkksLevel KeyLevel { get; }

    /// <summary>The levels of ciphertexts, the fresh one first, each with a prime less than the one before.</summary>
    public IReadOnlyList<CkksLevel> Levels { get; }

    /// <summary>The level at which values are encrypted: <see cref="Levels"/>[0].</summary>
    public CkksLevel FirstLevel => Levels[0];

    // Tables are built on first use, so that a parameter file read from a stranger costs nothing.
    internal Ntt[] Transforms => _transforms.Value;

    internal CanonicalEmbedding Embedding => _embedding.Value;

    /// <summary>The set that SEAL makes for these sizes: its <c>CoeffModulus::Create(degree, bits)</c>.</summary>
    /// <param name="degree">N, a power of two from <see cref="MinDegree"/> to <see cref="MaxDegree"/>.</param>
    /// <param name="bits">The size of each prime in bits, at most 60; the special prime last.</param>
    /// <exception cref="FlareCryptoException">No such set exists, or it falls short of 128 bits of
    /// security.</exception>
    public static CkksParameters Create(int degree, params ReadOnlySpan<int> bits)
    {
        if (!BitOperations.IsPow2(degree) || degree is < MinDegree or > MaxDegree)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"A degree is a power of two from {MinDegree} to {MaxDegree}, not {degree}.");
        if (bits.Length is 0 or > MaxPrimes || bits.ContainsAnyExceptInRange(2, MaxPrimeBits))
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"A parameter set has 1 to {MaxPrimes} primes of at most {MaxPrimeBits} bits.");
        try
        {
            return new(degree, PrimeSearch.NttPrimes(degree, bits));
        }
        catch (ArgumentException e)
        {
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"N = {degree} has no such primes: {e.Message}", e);
        }
    }

    /// <summary>The level of this name, keys' included; null where it is of another parameter set.</summary>
    /// <param name="id">A name from a file.</param>
    public CkksLevel? FindLevel(ParmsId id)
    {
        if (id == KeyLevel.Id)
            return KeyLevel;
        foreach (var level in Levels)
            if (level.Id == id)
                return level;
        return null;
    }

    /// <summary>Whether both are the same set: same degree, same primes.</summary>
    /// <param name="other">Another set.</param>
    public bool Matches(CkksParameters other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return KeyLevel.Id == other.KeyLevel.Id;
    }

    internal CkksLevel? Below(CkksLevel level)
        => level.PrimeCount is var count && count > 1 && count <= Levels.Count
            ? Levels[Levels.Count - count + 1]
            : null;

    internal void CheckMatches(CkksParameters other, string what)
    {
        if (!ReferenceEquals(this, other) && !Matches(other))
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"{what} belongs to other parameters ({other}) than this ({this}).");
    }

    /// <summary>Degree, sizes of the primes and name.</summary>
    public override string ToString()
        => $"N = {Degree}, {{{string.Join(
            ", ", _primes.Select(q => 64 - BitOperations.LeadingZeroCount(q)))}}} bits, {KeyLevel.Id.ToString()[..8]}";
}

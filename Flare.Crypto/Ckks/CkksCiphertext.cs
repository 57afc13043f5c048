namespace Flare.Crypto;

/// <summary>
/// An encryption of up to N/2 numbers: two polynomials in NTT form at one level. It holds its own buffer of
/// 2·N·primes words, which encrypting into it and adding to it use again.
/// </summary>
/// <remarks>Not safe for concurrent writing. Holds nothing secret.</remarks>
public sealed class CkksCiphertext
{
    private readonly ulong[] _words;

    /// <summary>An empty ciphertext to encrypt into.</summary>
    /// <param name="parameters">The parameters; the buffer is as long as their first level needs.</param>
    public CkksCiphertext(CkksParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        Parameters = parameters;
        Level = parameters.FirstLevel;
        _words = new ulong[2 * parameters.Degree * Level.PrimeCount];
    }

    internal CkksCiphertext(CkksParameters parameters, CkksLevel level)
    {
        (Parameters, Level) = (parameters, level);
        _words = new ulong[2 * parameters.Degree * level.PrimeCount];
    }

    /// <summary>The parameters.</summary>
    public CkksParameters Parameters { get; }

    /// <summary>The level.</summary>
    public CkksLevel Level { get; internal set; }

    /// <summary>The scale of the slots; 0 while nothing was encrypted into it.</summary>
    public double Scale { get; internal set; }

    /// <summary>The noise, as far as the operations that made the ciphertext tell.</summary>
    public NoiseEstimate Noise { get; internal set; }

    /// <summary>
    /// Whether the second polynomial is the expansion of a seed, so that a file needs to hold the seed only.
    /// </summary>
    public bool IsSeeded => Seed is not null;

    internal SealSeed? Seed { get; set; }

    // Polynomial by polynomial, prime by prime: SEAL's order.
    internal Span<ulong> Words => _words.AsSpan(0, 2 * PolynomialLength);

    internal Span<ulong> First => _words.AsSpan(0, PolynomialLength);

    internal Span<ulong> Second => _words.AsSpan(PolynomialLength, PolynomialLength);

    internal int PolynomialLength => Parameters.Degree * Level.PrimeCount;

    /// <summary>Makes this equal to another ciphertext.</summary>
    /// <param name="source">A ciphertext of the same parameters.</param>
    /// <exception cref="FlareCryptoException">Its parameters differ, or it does not fit into this buffer.</exception>
    public void CopyFrom(CkksCiphertext source)
    {
        ArgumentNullException.ThrowIfNull(source);
        Parameters.CheckMatches(source.Parameters, "The ciphertext to copy");
        if (source.Words.Length > _words.Length)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                "The ciphertext to copy is of a higher level than this buffer was made for.");
        Level = source.Level;
        source.Words.CopyTo(_words);
        (Scale, Noise, Seed) = (source.Scale, source.Noise, source.Seed);
    }

    /// <summary>Empties it, at another level that its buffer has room for.</summary>
    internal void Reset(CkksLevel level)
    {
        if (2 * Parameters.Degree * level.PrimeCount > _words.Length)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                "The ciphertext's buffer was made for a lower level; make a new one.");
        (Level, Scale, Seed) = (level, 0, null);
    }

    internal void CheckFilled(string what)
    {
        if (Scale == 0)
            throw new FlareCryptoException(CryptoFault.Malformed, $"{what} is empty: nothing was encrypted into it.");
    }
}

/// <summary>A public seed, from which the second polynomial of a ciphertext expands.</summary>
internal sealed record SealSeed(SealGeneratorKind Kind, byte[] Bytes);

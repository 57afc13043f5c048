namespace Flare.Crypto;

/// <summary>
/// What a federation needs of a scheme under one policy; this side holds no key. A model is encrypted in parts, each of
/// which is a ciphertext of its own with a header that names round, key and members.
/// </summary>
internal abstract class SumScheme
{
    protected SumScheme(EncryptionPolicy policy, string parameters) =>
        (Policy, PolicyFingerprint) = (policy, policy.FingerprintWith(parameters));

    public EncryptionPolicy Policy { get; }

    public string PolicyFingerprint { get; }

    /// <summary>The algorithm, as contributions state it.</summary>
    public abstract string Algorithm { get; }

    /// <summary>What the values of an opened sum are multiples of.</summary>
    public abstract double Resolution { get; }

    /// <summary>The scheme of a policy.</summary>
    /// <exception cref="ArgumentException">The policy is not usable; the message says why.</exception>
    public static SumScheme For(EncryptionPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var faults = string.Join("; ", policy.Validate());
        if (faults.Length > 0)
            throw new ArgumentException($"The encryption policy is refused: {faults}.", nameof(policy));
        return policy.Scheme == EncryptionScheme.Exact ? new RlweScheme(policy) : new CkksScheme(policy);
    }

    /// <summary>Why a policy whose settings make sense each by itself has no parameters; null where it has.</summary>
    public static string? FaultOf(EncryptionPolicy policy) =>
        policy.Scheme == EncryptionScheme.Exact ? RlweScheme.FaultOf(policy) : CkksScheme.FaultOf(policy);

    /// <summary>Whether a sum holds a finite value of a site as it is, but for rounding.</summary>
    public abstract bool Holds(double value);

    /// <summary>The key holder's side.</summary>
    public abstract PartCipher CreateCipher(KeyRing keys);

    /// <summary>The server's side of one part of one round.</summary>
    public abstract PartSum CreateSum(AggregationRound round, KeyId key, int elements);

    /// <summary>What an upload or a sum says of itself, once all lengths were found to agree.</summary>
    /// <exception cref="FlareCryptoException">It is malformed, or of other parameters.</exception>
    public abstract PartHeader ReadHeader(ReadOnlySpan<byte> ciphertext);
}

/// <summary>What an upload or a sum says of itself.</summary>
internal sealed record PartHeader(KeyId Key, AggregationRound Round, int Elements, IReadOnlyList<string> Members);

/// <summary>
/// Encrypts parts and opens sums of them. Safe for concurrent use; disposal overwrites what was derived from keys, not
/// the ring.
/// </summary>
internal abstract class PartCipher : IDisposable
{
    /// <summary>The exact size of an upload.</summary>
    public abstract int UploadBytes(AggregationRound round, string member, int elements);

    /// <summary>Encrypts under fresh randomness.</summary>
    /// <returns>How many values were clipped.</returns>
    public abstract long Encrypt(
        SecretKey key,
        ReadOnlySpan<float> values,
        AggregationRound round,
        string member,
        Span<byte> upload,
        ChunkLoop loop);

    /// <summary>Opens a sum whose header was read.</summary>
    /// <param name="sum">The bytes.</param>
    /// <param name="header">What they say.</param>
    /// <param name="round">What they must be of.</param>
    /// <param name="sums">A sum for every element.</param>
    /// <param name="loop">Runs through the chunks.</param>
    public abstract void Decrypt(
        ReadOnlySpan<byte> sum, PartHeader header, AggregationRound round, Span<double> sums, ChunkLoop loop);

    public abstract void Dispose();
}

/// <summary>Adds uploads of one part without a key. Not safe for concurrent use.</summary>
internal abstract class PartSum
{
    /// <summary>The exact size of the sum so far.</summary>
    public abstract int SumBytes { get; }

    /// <summary>
    /// Throws what is wrong with an upload; <see cref="Add"/> of the same bytes right after it cannot fail.
    /// </summary>
    public abstract void Check(ReadOnlySpan<byte> upload, ChunkLoop loop);

    /// <summary>Adds the upload that was checked last.</summary>
    public abstract void Add(ReadOnlySpan<byte> upload, ChunkLoop loop);

    /// <summary>Writes the sum.</summary>
    public abstract void Write(Span<byte> destination, ChunkLoop loop);
}

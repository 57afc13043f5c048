using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>A source of randomness that fills a span; the system's generator everywhere but in tests.</summary>
internal delegate void Entropy(Span<byte> destination);

/// <summary>The secret key of CKKS: a ternary polynomial, in NTT form modulo every prime. Erased on disposal.</summary>
/// <remarks>
/// Whoever holds it opens every ciphertext made for it. Where all sites share one, any site can open any other's
/// upload.
/// </remarks>
public sealed class CkksSecretKey : IDisposable
{
    private ulong[]? _residues;

    internal CkksSecretKey(CkksParameters parameters, ulong[] residues)
        => (Parameters, _residues) = (parameters, residues);

    /// <summary>The parameters.</summary>
    public CkksParameters Parameters { get; }

    internal ulong[] Residues => _residues ?? throw new ObjectDisposedException(nameof(CkksSecretKey));

    /// <summary>Makes a new key from the system's randomness.</summary>
    /// <param name="parameters">The parameters.</param>
    public static CkksSecretKey Generate(CkksParameters parameters) => Generate(parameters, RandomNumberGenerator.Fill);

    internal static CkksSecretKey Generate(CkksParameters parameters, Entropy entropy)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        var n = parameters.Degree;
        var stream = CkksRandom.Stream(entropy);
        var secret = new long[n];
        CkksSampling.Ternary(stream, secret);
        stream.Clear();
        var residues = GC.AllocateUninitializedArray<ulong>(n * parameters.Primes.Count, pinned: true);
        for (var i = 0; i < parameters.Primes.Count; i++)
        {
            var part = residues.AsSpan(i * n, n);
            CkksSampling.ToResidues(secret, parameters.Primes[i], part);
            parameters.Transforms[i].Forward(part);
        }
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(secret.AsSpan()));
        return new CkksSecretKey(parameters, residues);
    }

    /// <summary>Makes a public key for this secret key.</summary>
    public CkksPublicKey CreatePublicKey() => CreatePublicKey(RandomNumberGenerator.Fill);

    internal CkksPublicKey CreatePublicKey(Entropy entropy)
    {
        var key = new CkksCiphertext(Parameters, Parameters.KeyLevel);
        using var core = new SymmetricCore(this, entropy);
        core.EncryptZero(key, keepSeed: false);
        key.Scale = 1;
        return new CkksPublicKey(key);
    }

    /// <summary>Erases the key.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _residues, null) is { } residues)
            CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(residues.AsSpan()));
    }
}

/// <summary>The public key of CKKS: an encryption of zero modulo every prime. Encrypts; cannot decrypt.</summary>
public sealed class CkksPublicKey
{
    internal CkksPublicKey(CkksCiphertext zero) => Zero = zero;

    /// <summary>The parameters.</summary>
    public CkksParameters Parameters => Zero.Parameters;

    internal CkksCiphertext Zero { get; }
}

/// <summary>Streams from fresh seeds.</summary>
internal static class CkksRandom
{
    public static SealGenerator Stream(Entropy entropy)
    {
        Span<byte> seed = stackalloc byte[SealGenerator.SeedSize];
        entropy(seed);
        var stream = new SealGenerator(SealGeneratorKind.Blake2xb, seed);
        CryptographicOperations.ZeroMemory(seed);
        return stream;
    }

    public static void Restart(SealGenerator stream, Entropy entropy)
    {
        Span<byte> seed = stackalloc byte[SealGenerator.SeedSize];
        entropy(seed);
        stream.Restart(SealGeneratorKind.Blake2xb, seed);
        CryptographicOperations.ZeroMemory(seed);
    }
}

using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// A federation's secret: 256 random bits, from which a scheme derives what it needs (the ternary polynomial of RLWE,
/// authentication keys) for each set of parameters. Sites hold it; the server must not.
/// </summary>
/// <remarks>
/// Every site with the key can open every other site's upload. Safe for concurrent use until it is disposed; disposal
/// overwrites the secret. Derivation: HKDF-Expand with SHA-256 (RFC 5869).
/// </remarks>
public sealed class SecretKey : IDisposable
{
    /// <summary>Bytes in a key.</summary>
    public const int Size = 32;

    private readonly byte[] _secret = GC.AllocateArray<byte>(Size, pinned: true); // the collector leaves no copies of it
    private bool _disposed;

    private SecretKey(ReadOnlySpan<byte> secret)
    {
        secret.CopyTo(_secret);
        Span<byte> id = stackalloc byte[KeyId.Size];
        Derive("flare key id"u8, id);
        Id = KeyId.FromBytes(id);
    }

    /// <summary>The key's name: derived from the secret one way, so it may be sent and logged.</summary>
    public KeyId Id { get; }

    /// <summary>A new key from the operating system's generator. The caller owns and disposes it.</summary>
    public static SecretKey Generate()
    {
        Span<byte> secret = stackalloc byte[Size];
        RandomNumberGenerator.Fill(secret);
        var key = new SecretKey(secret);
        CryptographicOperations.ZeroMemory(secret);
        return key;
    }

    /// <summary>A key from its bytes, as a vault hands them out. The caller owns the key, and should overwrite the bytes.</summary>
    /// <param name="secret">32 uniformly random bytes; copied. A passphrase is not a key: see <see cref="KeyFile"/>.</param>
    /// <exception cref="ArgumentException">There are not 32 bytes.</exception>
    public static SecretKey FromBytes(ReadOnlySpan<byte> secret)
        => secret.Length == Size
            ? new(secret)
            : throw new ArgumentException($"A secret key has {Size} bytes, not {secret.Length}.", nameof(secret));

    /// <summary>Copies the secret out, to be kept in a vault.</summary>
    /// <param name="destination">Exactly 32 bytes, which the caller should overwrite after use.</param>
    /// <exception cref="ArgumentException">The destination does not have 32 bytes.</exception>
    /// <exception cref="ObjectDisposedException">The key is disposed.</exception>
    public void Export(Span<byte> destination)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (destination.Length != Size)
            throw new ArgumentException($"A secret key has {Size} bytes, not {destination.Length}.", nameof(destination));
        _secret.CopyTo(destination);
    }

    /// <summary>Overwrites the secret.</summary>
    public void Dispose()
    {
        _disposed = true;
        CryptographicOperations.ZeroMemory(_secret);
    }

    /// <summary>The key's id; never its bytes.</summary>
    public override string ToString() => $"key {Id}";

    /// <summary>Fills destination with bytes that depend on the secret and the label, and reveal nothing of other labels'.</summary>
    internal void Derive(ReadOnlySpan<byte> label, Span<byte> destination)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        HKDF.Expand(HashAlgorithmName.SHA256, _secret, destination, label);
    }
}

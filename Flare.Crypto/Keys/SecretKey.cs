using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// A federation's secret: 256 random bits, from which a scheme derives what it needs (the ternary polynomial of RLWE,
/// authentication keys) for each set of parameters. Sites hold it; the server must not.
/// </summary>
/// <remarks>
/// Every site with the key can open every other site's upload. Safe for concurrent use, disposal included: it
/// overwrites the secret once nobody reads it, and whoever comes later gets an <see cref="ObjectDisposedException"/>.
/// Derivation: HKDF-Expand with SHA-256 (RFC 5869).
/// </remarks>
public sealed class SecretKey : IDisposable
{
    /// <summary>Bytes in a key.</summary>
    public const int Size = 32;

    private readonly Lock _gate = new(); // nobody reads the secret while disposal overwrites it
    // The collector leaves no copies of it
    private readonly byte[] _secret = GC.AllocateArray<byte>(Size, pinned: true);
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

    /// <summary>
    /// A key from its bytes, as a vault hands them out. The caller owns the key, and should overwrite the bytes.
    /// </summary>
    /// <param name="secret">32 uniformly random bytes; copied. A passphrase is not a key: see
    /// <see cref="KeyFile"/>.</param>
    /// <exception cref="ArgumentException">There are not 32 bytes, or all are zero.</exception>
    public static SecretKey FromBytes(ReadOnlySpan<byte> secret)
    {
        if (secret.Length != Size)
            throw new ArgumentException($"A secret key has {Size} bytes, not {secret.Length}.", nameof(secret));
        if (!secret.ContainsAnyExcept((byte)0))
            throw new ArgumentException(
                "All bytes of the secret are zero: it was never filled, or is overwritten already: anybody has it.",
                nameof(secret));
        return new(secret);
    }

    /// <summary>Copies the secret out, to be kept in a vault.</summary>
    /// <param name="destination">Exactly 32 bytes, which the caller should overwrite after use.</param>
    /// <exception cref="ArgumentException">The destination does not have 32 bytes.</exception>
    /// <exception cref="ObjectDisposedException">The key is disposed.</exception>
    public void Export(Span<byte> destination)
    {
        if (destination.Length != Size)
            throw new ArgumentException(
                $"A secret key has {Size} bytes, not {destination.Length}.", nameof(destination));
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _secret.CopyTo(destination);
        }
    }

    /// <summary>Overwrites the secret, once nobody reads it.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            CryptographicOperations.ZeroMemory(_secret);
        }
    }

    /// <summary>The key's id; never its bytes.</summary>
    public override string ToString() => $"key {Id}";

    /// <summary>
    /// Fills destination with bytes that depend on the secret and the label, and reveal nothing of other labels'.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The key is disposed.</exception>
    internal void Derive(ReadOnlySpan<byte> label, Span<byte> destination)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            HKDF.Expand(HashAlgorithmName.SHA256, _secret, destination, label);
        }
    }
}

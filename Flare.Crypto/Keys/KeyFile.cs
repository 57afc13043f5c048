using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// A secret key at rest: encrypted with AES-256-GCM under a passphrase (PBKDF2 with SHA-256) or under a 32-byte
/// wrapping key. The whole header is authenticated.
/// </summary>
/// <remarks>
/// 104 bytes, little-endian: "FLKY" | u16 version 1 | u8 protection (1 passphrase, 2 wrapping key) | u8 0 | key id (16)
/// | u32 iterations (0 for a wrapping key) | salt (16) | nonce (12) | encrypted key (32) | tag (16).
/// </remarks>
public static class KeyFile
{
    /// <summary>Bytes in a key file.</summary>
    public const int Size = HeaderSize + SecretKey.Size + TagSize;

    /// <summary>PBKDF2 rounds for a new file (OWASP's figure for HMAC-SHA-256).</summary>
    public const int Iterations = 600_000;

    private const int MaxIterations = 10_000_000; // a hostile file must not keep a processor busy for long
    private const int HeaderSize = 56, TagSize = 16, NonceSize = 12, SaltSize = 16;
    private const int IdAt = 8, IterationsAt = 24, SaltAt = 28, NonceAt = 44;
    private const ushort Version = 1;
    private const byte Passphrase = 1, WrappingKey = 2;

    private static ReadOnlySpan<byte> Magic => "FLKY"u8;

    /// <summary>Encrypts a key under a passphrase. Takes a noticeable part of a second, which is the point.</summary>
    /// <param name="key">The key to keep.</param>
    /// <param name="passphrase">Unicode text; not empty.</param>
    /// <returns>The file's 104 bytes.</returns>
    /// <exception cref="ArgumentException">The passphrase is empty, or holds half of a surrogate pair.</exception>
    public static byte[] Write(SecretKey key, ReadOnlySpan<char> passphrase) => Write(key, passphrase, Iterations);

    /// <summary>Encrypts a key under a wrapping key, as a vault or a hardware module keeps it.</summary>
    /// <param name="key">The key to keep.</param>
    /// <param name="wrappingKey">32 uniformly random bytes.</param>
    /// <returns>The file's 104 bytes.</returns>
    /// <exception cref="ArgumentException">The wrapping key does not have 32 bytes.</exception>
    public static byte[] Write(SecretKey key, ReadOnlySpan<byte> wrappingKey)
    {
        ArgumentNullException.ThrowIfNull(key);
        CheckWrappingKey(wrappingKey);
        var file = Header(key, WrappingKey, 0);
        Seal(key, wrappingKey, file);
        return file;
    }

    /// <summary>Opens a file that was written under a passphrase. The caller owns the key.</summary>
    /// <exception cref="FlareCryptoException">
    /// <see cref="CryptoFault.Malformed"/>: not such a file. <see cref="CryptoFault.Altered"/>: wrong passphrase, or
    /// damaged.
    /// </exception>
    public static SecretKey Read(ReadOnlySpan<byte> file, ReadOnlySpan<char> passphrase)
    {
        Check(file, Passphrase);
        if (LoneSurrogate(passphrase) is >= 0 and var lone)
            throw new FlareCryptoException(
                CryptoFault.Altered, $"The key file does not open: {NoText(lone)}, so no file is under it.");
        var iterations = BinaryPrimitives.ReadUInt32LittleEndian(file[IterationsAt..]);
        if (iterations is 0 or > MaxIterations)
            throw Malformed(
                $"it asks for {iterations} rounds of key derivation, where 1 to {MaxIterations} are allowed");
        Span<byte> derived = stackalloc byte[32];
        Rfc2898DeriveBytes.Pbkdf2(
            passphrase, file.Slice(SaltAt, SaltSize), derived, (int)iterations, HashAlgorithmName.SHA256);
        try
        {
            return Unseal(file, derived);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(derived);
        }
    }

    /// <summary>Opens a file that was written under a wrapping key. The caller owns the key.</summary>
    /// <exception cref="ArgumentException">The wrapping key does not have 32 bytes.</exception>
    /// <exception cref="FlareCryptoException">
    /// <see cref="CryptoFault.Malformed"/>: not such a file. <see cref="CryptoFault.Altered"/>: wrong wrapping key, or
    /// damaged.
    /// </exception>
    public static SecretKey Read(ReadOnlySpan<byte> file, ReadOnlySpan<byte> wrappingKey)
    {
        CheckWrappingKey(wrappingKey);
        Check(file, WrappingKey);
        return Unseal(file, wrappingKey);
    }

    internal static byte[] Write(SecretKey key, ReadOnlySpan<char> passphrase, int iterations)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (passphrase.IsEmpty)
            throw new ArgumentException("An empty passphrase protects nothing.", nameof(passphrase));
        if (LoneSurrogate(passphrase) is >= 0 and var lone)
            throw new ArgumentException($"This cannot be a passphrase: {NoText(lone)}.", nameof(passphrase));
        var file = Header(key, Passphrase, iterations);
        Span<byte> derived = stackalloc byte[32];
        Rfc2898DeriveBytes.Pbkdf2(
            passphrase, file.AsSpan(SaltAt, SaltSize), derived, iterations, HashAlgorithmName.SHA256);
        Seal(key, derived, file);
        CryptographicOperations.ZeroMemory(derived);
        return file;
    }

    private static byte[] Header(SecretKey key, byte protection, int iterations)
    {
        var file = new byte[Size];
        Magic.CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(4), Version);
        file[6] = protection;
        key.Id.CopyTo(file.AsSpan(IdAt));
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(IterationsAt), iterations);
        RandomNumberGenerator.Fill(file.AsSpan(SaltAt, SaltSize + NonceSize));
        return file;
    }

    private static void Seal(SecretKey key, ReadOnlySpan<byte> under, Span<byte> file)
    {
        Span<byte> secret = stackalloc byte[SecretKey.Size];
        key.Export(secret);
        using var gcm = new AesGcm(under, TagSize);
        gcm.Encrypt(
            file.Slice(NonceAt, NonceSize),
            secret,
            file.Slice(HeaderSize, SecretKey.Size),
            file[^TagSize..],
            file[..HeaderSize]);
        CryptographicOperations.ZeroMemory(secret);
    }

    private static SecretKey Unseal(ReadOnlySpan<byte> file, ReadOnlySpan<byte> under)
    {
        Span<byte> secret = stackalloc byte[SecretKey.Size];
        using var gcm = new AesGcm(under, TagSize);
        try
        {
            gcm.Decrypt(
                file.Slice(NonceAt, NonceSize),
                file.Slice(HeaderSize, SecretKey.Size),
                file[^TagSize..],
                secret,
                file[..HeaderSize]);
        }
        catch (AuthenticationTagMismatchException mismatch)
        {
            throw new FlareCryptoException(
                CryptoFault.Altered,
                "The key file does not open: the passphrase or wrapping key is wrong, or the file was altered.",
                mismatch);
        }

        if (!secret.ContainsAnyExcept((byte)0))
            throw Malformed("its key is all zero");
        var key = SecretKey.FromBytes(secret);
        CryptographicOperations.ZeroMemory(secret);
        if (key.Id == KeyId.FromBytes(file.Slice(IdAt, KeyId.Size)))
            return key;
        key.Dispose();
        throw Malformed("its key id is not that of its key");
    }

    private static void Check(ReadOnlySpan<byte> file, byte protection)
    {
        if (file.Length != Size)
            throw Malformed($"it has {file.Length} bytes instead of {Size}");
        if (!file.StartsWith(Magic))
            throw Malformed("it does not start with FLKY");
        var version = BinaryPrimitives.ReadUInt16LittleEndian(file[4..]);
        if (version != Version)
            throw Malformed($"its version is {version}; this release reads version {Version}");
        if (file[6] != protection || file[7] != 0)
            throw Malformed(file[6] switch
            {
                Passphrase => "it is protected by a passphrase, not by a wrapping key",
                WrappingKey => "it is protected by a wrapping key, not by a passphrase",
                _ => "its kind of protection is unknown",
            });
    }

    // Keys are derived from a passphrase's UTF-8, and such text has none.
    private static int LoneSurrogate(ReadOnlySpan<char> text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i]))
                continue;
            if (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[i + 1]))
                return i;
            i++;
        }

        return -1;
    }

    private static string NoText(int at)
        => $"the passphrase is no Unicode text, since its character {at + 1} is half of a surrogate pair";

    private static void CheckWrappingKey(ReadOnlySpan<byte> wrappingKey)
    {
        if (wrappingKey.Length != 32)
            throw new ArgumentException($"A wrapping key has 32 bytes, not {wrappingKey.Length}.", nameof(wrappingKey));
    }

    private static FlareCryptoException Malformed(string what)
        => new(CryptoFault.Malformed, $"This is not a key file that can be read here: {what}.");
}

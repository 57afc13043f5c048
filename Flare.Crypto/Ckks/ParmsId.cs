using System.Buffers.Binary;

namespace Flare.Crypto;

/// <summary>
/// SEAL's name for a parameter set at one level: the BLAKE2b-256 digest of {scheme, N, primes, plain modulus}. Objects
/// that carry different names do not belong together.
/// </summary>
public readonly record struct ParmsId
{
    /// <summary>Bytes of a name.</summary>
    public const int Size = 32;

    private const ulong CkksScheme = 2;

    private readonly ulong _a, _b, _c, _d;

    /// <summary>Reads a name from its 32 bytes.</summary>
    /// <param name="bytes">Exactly 32 bytes, in the order in which SEAL's files hold them.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are not 32 bytes.</exception>
    public ParmsId(ReadOnlySpan<byte> bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes.Length, Size, nameof(bytes));
        _a = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        _b = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        _c = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]);
        _d = BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]);
    }

    internal static ParmsId Of(int degree, ReadOnlySpan<ulong> primes)
    {
        Span<byte> words = stackalloc byte[8 * (primes.Length + 3)];
        BinaryPrimitives.WriteUInt64LittleEndian(words, CkksScheme);
        BinaryPrimitives.WriteUInt64LittleEndian(words[8..], (ulong)degree);
        for (var i = 0; i < primes.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(words[(8 * (i + 2))..], primes[i]);
        BinaryPrimitives.WriteUInt64LittleEndian(words[^8..], 0); // the plain modulus, which CKKS has not
        Span<byte> digest = stackalloc byte[Size];
        Blake2b.Hash256(words, digest);
        return new ParmsId(digest);
    }

    /// <summary>Writes the 32 bytes.</summary>
    /// <param name="destination">At least 32 bytes.</param>
    public void CopyTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(destination[24..], _d);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], _c);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], _b);
        BinaryPrimitives.WriteUInt64LittleEndian(destination, _a);
    }

    /// <summary>The 64 hexadecimal digits, in file order.</summary>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        CopyTo(bytes);
        return Convert.ToHexStringLower(bytes);
    }
}

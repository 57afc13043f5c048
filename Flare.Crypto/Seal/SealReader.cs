using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Flare.Crypto;

/// <summary>
/// Walks over the body of a SEAL file. Every size is checked before anything is read or allocated by it.
/// </summary>
internal ref struct SealReader
{
    private readonly string _what;
    private ReadOnlySpan<byte> _rest;

    /// <summary>Opens a file, unpacking it if need be.</summary>
    /// <param name="file">The file, whole.</param>
    /// <param name="maxBody">The most bytes that a body of this kind can have.</param>
    /// <param name="what">What it should be, for messages.</param>
    public SealReader(ReadOnlySpan<byte> file, int maxBody, string what)
    {
        var header = SealHeader.Read(file, what);
        var body = file[SealHeader.Length..];
        (_what, Version) = (what, header.Version);
        _rest = header.Compression == SealCompression.None
            ? body
            : SealPacking.Unpack(body, header.Compression, maxBody, what);
        if (_rest.Length > maxBody)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {what} is longer than these parameters allow: {_rest.Length} bytes, {maxBody} at most.");
    }

    /// <summary>The version of the file.</summary>
    public SealVersion Version { get; }

    /// <summary>Takes bytes.</summary>
    public ReadOnlySpan<byte> Bytes(int count)
    {
        if (count > _rest.Length)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {_what} ends early: {count} bytes are wanted, {_rest.Length} are left.");
        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    public byte Byte() => Bytes(1)[0];

    public ulong Word() => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8));

    public double Double() => BinaryPrimitives.ReadDoubleLittleEndian(Bytes(8));

    public ParmsId Id() => new(Bytes(ParmsId.Size));

    /// <summary>Takes a word that must have one value.</summary>
    public void Expect(ulong expected, string field)
    {
        var found = Word();
        if (found != expected)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {_what} has {field} {found}; {expected} is wanted.");
    }

    /// <summary>Takes the header of a nested object, whose body has this many bytes.</summary>
    public void Nested(int bodyLength)
    {
        var length = SealHeader.Length + bodyLength;
        var header = SealHeader.Read(length <= _rest.Length ? _rest[..length] : _rest, _what);
        if (header.Compression != SealCompression.None || header.Version != Version)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {_what} is damaged: the header of a part contradicts that of the whole.");
        _rest = _rest[SealHeader.Length..];
    }

    /// <summary>The number of words of the array that comes next, without taking anything.</summary>
    public readonly ulong PeekArrayLength()
    {
        if (_rest.Length < SealHeader.Length + 8)
            throw new FlareCryptoException(CryptoFault.Malformed, $"The {_what} ends early, before its array.");
        return BinaryPrimitives.ReadUInt64LittleEndian(_rest[SealHeader.Length..]);
    }

    /// <summary>Takes an array of exactly as many words as the destination has.</summary>
    public void Array(Span<ulong> destination)
    {
        Nested(8 + 8 * destination.Length);
        Expect((ulong)destination.Length, "an array length of");
        Bytes(8 * destination.Length).CopyTo(MemoryMarshal.AsBytes(destination));
        if (!BitConverter.IsLittleEndian) BinaryPrimitives.ReverseEndianness(destination, destination);
    }

    /// <summary>Makes sure that nothing follows.</summary>
    public readonly void End()
    {
        if (!_rest.IsEmpty)
            throw new FlareCryptoException(CryptoFault.Malformed, $"The {_what} has {_rest.Length} bytes too many.");
    }
}

using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>Fills the body of a SEAL file, whose length is known beforehand.</summary>
internal ref struct SealWriter
{
    private readonly SealVersion _version;
    private readonly SealCompression _compression;
    private readonly byte[]? _toPack;
    private readonly Span<byte> _file;
    private Span<byte> _rest;

    /// <summary>Begins a file.</summary>
    public SealWriter(int bodyLength, SealFormat format, IBufferWriter<byte> destination)
    {
        (_version, _compression) = (format.Version, format.Compression);
        if (!_version.IsSupported)
            throw new ArgumentException(
                $"SEAL {_version} cannot be written; 3.6, 3.7 and 4.0 to 4.4 can.", nameof(format));
        var length = SealHeader.Length + bodyLength;
        if (_compression is < SealCompression.None or > SealCompression.Zstandard)
            throw new ArgumentException($"There is no compression {_compression}.", nameof(format));
        if (_compression != SealCompression.None) _toPack = new byte[length];
        _file = _toPack ?? destination.GetSpan(length)[..length];
        new SealHeader(_version, SealCompression.None, length).Write(_file);
        _rest = _file[SealHeader.Length..];
    }

    public void Byte(byte value)
    {
        _rest[0] = value;
        _rest = _rest[1..];
    }

    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_rest);
        _rest = _rest[bytes.Length..];
    }

    public void Word(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_rest, value);
        _rest = _rest[8..];
    }

    public void Double(double value)
    {
        BinaryPrimitives.WriteDoubleLittleEndian(_rest, value);
        _rest = _rest[8..];
    }

    public void Id(ParmsId id)
    {
        id.CopyTo(_rest);
        _rest = _rest[ParmsId.Size..];
    }

    /// <summary>The header of a nested object with a body of this length.</summary>
    public void Nested(int bodyLength)
    {
        new SealHeader(_version, SealCompression.None, SealHeader.Length + bodyLength).Write(_rest);
        _rest = _rest[SealHeader.Length..];
    }

    /// <summary>An array of words.</summary>
    public void Array(ReadOnlySpan<ulong> words)
    {
        Nested(8 + 8 * words.Length);
        Word((ulong)words.Length);
        if (BitConverter.IsLittleEndian)
            Bytes(MemoryMarshal.AsBytes(words));
        else
            foreach (var word in words) Word(word);
    }

    /// <summary>Hands the file to the destination.</summary>
    public readonly void End(IBufferWriter<byte> destination)
    {
        System.Diagnostics.Debug.Assert(_rest.IsEmpty);
        if (_toPack is null)
        {
            destination.Advance(_file.Length);
            return;
        }
        var body = SealPacking.Pack(_toPack.AsSpan(SealHeader.Length), _compression);
        CryptographicOperations.ZeroMemory(_toPack); // it may have been a secret key
        var length = SealHeader.Length + body.Length;
        var target = destination.GetSpan(length);
        new SealHeader(_version, _compression, length).Write(target);
        body.CopyTo(target[SealHeader.Length..]);
        destination.Advance(length);
    }
}

using System.Buffers.Binary;

namespace Flare.Crypto;

/// <summary>The 16 bytes before every object in SEAL's format: magic, version, compression and total size.</summary>
internal readonly record struct SealHeader(SealVersion Version, SealCompression Compression, long Size)
{
    public const int Length = 16;

    private const ushort Magic = 0xA15E;

    /// <summary>Reads a header, refusing what cannot be read on from it.</summary>
    public static SealHeader Read(ReadOnlySpan<byte> bytes, string what)
    {
        if (bytes.Length < Length)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {what} ends within its header: {bytes.Length} bytes of {Length}.");
        if (BinaryPrimitives.ReadUInt16LittleEndian(bytes) != Magic || bytes[2] != Length)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {what} is not in SEAL's format: its header does not begin with 5E A1 10.");
        var version = new SealVersion(bytes[3], bytes[4]);
        if (!version.IsSupported)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {what} is of SEAL {version}; versions 3.6 to 4.4 can be read. Save it with one of these.");
        if (bytes[5] > (byte)SealCompression.Zstandard || BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]) != 0)
            throw new FlareCryptoException(CryptoFault.Malformed, $"The {what} has a damaged header.");
        var size = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        if (size != (ulong)bytes.Length)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {what} says that it has {size} bytes, but {bytes.Length} are there.");
        return new SealHeader(version, (SealCompression)bytes[5], bytes.Length);
    }

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(destination, Magic);
        (destination[2], destination[3], destination[4], destination[5]) = (
            Length, Version.Major, Version.Minor, (byte)Compression);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], (ulong)Size);
    }
}

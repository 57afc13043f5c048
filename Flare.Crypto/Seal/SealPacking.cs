using System.IO.Compression;
using ZstdSharp;

namespace Flare.Crypto;

/// <summary>Compression of the bodies of SEAL files, bounded when it unpacks.</summary>
internal static class SealPacking
{
    /// <summary>Unpacks a body that has so many bytes at most; no more is ever allocated.</summary>
    public static byte[] Unpack(ReadOnlySpan<byte> packed, SealCompression compression, int maxLength, string what)
    {
        if (packed.IsEmpty)
            throw new FlareCryptoException(CryptoFault.Malformed, $"The {what} ends after its header.");
        var buffer = new byte[maxLength + 1];
        try
        {
            var length = compression == SealCompression.Zlib ? Inflate(packed, buffer) : Decompress(packed, buffer);
            if (length > maxLength)
                throw new FlareCryptoException(CryptoFault.Malformed,
                    $"The {what} unpacks to more bytes than these parameters allow: {maxLength} at most.");
            Array.Resize(ref buffer, length);
            return buffer;
        }
        catch (Exception e) when (e is not FlareCryptoException)
        {
            // Of whatever type: decoders throw more kinds than they document (a zlib header that asks for a preset
            // dictionary is an IOException), and the bytes are a stranger's.
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {what} is damaged, or longer than these parameters allow: it does not unpack.", e);
        }
    }

    /// <summary>Packs a body.</summary>
    public static byte[] Pack(ReadOnlySpan<byte> body, SealCompression compression)
    {
        if (compression == SealCompression.Zstandard)
        {
            using var compressor = new Compressor();
            return compressor.Wrap(body).ToArray();
        }
        using var packed = new MemoryStream();
        using (var stream = new ZLibStream(packed, CompressionLevel.Optimal, leaveOpen: true))
            stream.Write(body);
        return packed.ToArray();
    }

    private static unsafe int Inflate(ReadOnlySpan<byte> packed, Span<byte> buffer)
    {
        fixed (byte* start = packed)
        {
            using var source = new UnmanagedMemoryStream(start, packed.Length);
            using var stream = new ZLibStream(source, CompressionMode.Decompress);
            return stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        }
    }

    // In one call, straight into the buffer, so that no window is allocated by what the frame claims.
    private static int Decompress(ReadOnlySpan<byte> packed, Span<byte> buffer)
    {
        using var decompressor = new Decompressor();
        return decompressor.Unwrap(packed, buffer);
    }
}

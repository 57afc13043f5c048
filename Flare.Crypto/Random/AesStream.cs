using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>Room for a batch of AES blocks. Streams used by one thread share one.</summary>
internal sealed class AesBuffer
{
    /// <summary>64-bit words in a batch: 8 KiB, which hides the cost of a call into the platform's AES.</summary>
    public const int Words = 1024;

    /// <summary>16-byte blocks in a batch.</summary>
    public const int Blocks = Words / 2;

    public byte[] Counters { get; } = new byte[Words * sizeof(ulong)];

    /// <summary>With room for a load of 16 bytes that begins at the last of them.</summary>
    public byte[] Output { get; } = new byte[(Words * sizeof(ulong)) + 16];
}

/// <summary>
/// Random words from a 256-bit key. Block b of stream s is AES-256(key, LE64(s) ‖ LE64(b)), read as two little-endian
/// 64-bit words; a stream's words are those of its blocks 0, 1, 2, … in order. This definition is part of the
/// ciphertext format.
/// </summary>
/// <remarks>
/// The processor's AES, or else the platform's (NIST FIPS 197; SP 800-90A's counter construction, 128-bit counter space
/// split in two). Not safe for concurrent use; streams with the same key give the same words wherever they run.
/// </remarks>
internal sealed class AesStream : IDisposable
{
    private readonly AesBuffer _buffer;
    private readonly AlignedBuffer<Vector128<byte>>? _roundKeys;
    private readonly ICryptoTransform? _blocks;
    private ulong _stream, _block;

    /// <summary>Keys the generator.</summary>
    /// <param name="key">32 bytes; copied.</param>
    /// <param name="buffer">Scratch memory, shared with other streams of the same thread.</param>
    /// <param name="path">Portable: the platform's AES.</param>
    public AesStream(ReadOnlySpan<byte> key, AesBuffer buffer, KernelPath path = KernelPath.Best)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, 32);
        _buffer = buffer;
        if (path != KernelPath.Portable && AesInstructions.IsSupported)
        {
            _roundKeys = new AlignedBuffer<Vector128<byte>>(AesInstructions.RoundKeys);
            AesInstructions.Expand(key, _roundKeys.Span);
            return;
        }

        using var aes = Aes.Create();
        aes.Mode = CipherMode.ECB; // the blocks are counters: this is counter mode without a message
        aes.Padding = PaddingMode.None;
        aes.SetKey(key);
        _blocks = aes.CreateEncryptor();
    }

    /// <summary>Goes to the start of a stream.</summary>
    public void Seek(ulong stream) => (_stream, _block) = (stream, 0);

    /// <summary>
    /// The stream's next words: as many as asked for, at most <see cref="AesBuffer.Words"/>. They last until the next
    /// call on a stream with the same buffer. An odd number leaves a block's second word unused.
    /// </summary>
    public ReadOnlySpan<ulong> Next(int words)
    {
        words = Math.Min(words, AesBuffer.Words);
        NextBlocks((words + 1) / 2);
        var output = MemoryMarshal.Cast<byte, ulong>(_buffer.Output.AsSpan())[..words];
        if (!BitConverter.IsLittleEndian)
            BinaryPrimitives.ReverseEndianness(output, output);
        return output;
    }

    /// <summary>
    /// The stream's next blocks of 16 bytes, exactly as many as asked for, at most <see cref="AesBuffer.Blocks"/>. They
    /// last until the next call on a stream with the same buffer; another 16 bytes after them can be read, and mean
    /// nothing.
    /// </summary>
    public ReadOnlySpan<byte> NextBlocks(int blocks)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks, AesBuffer.Blocks);
        if (_roundKeys is not null)
        {
            const int stride = AesInstructions.Stride; // divides a batch
            AesInstructions.Generate(
                _roundKeys, _stream, _block, _buffer.Output.AsSpan(0, 16 * ((blocks + stride - 1) & -stride)));
        }
        else
        {
            var counters = MemoryMarshal.Cast<byte, ulong>(_buffer.Counters.AsSpan(0, 16 * blocks));
            for (var i = 0; i < blocks; i++)
                (counters[2 * i], counters[(2 * i) + 1]) = (LittleEndian(_stream), LittleEndian(_block + (ulong)i));
            _blocks!.TransformBlock(_buffer.Counters, 0, 16 * blocks, _buffer.Output, 0);
        }

        _block += (ulong)blocks;
        return _buffer.Output.AsSpan(0, 16 * blocks);
    }

    public void Dispose()
    {
        _roundKeys?.Span.Clear();
        _blocks?.Dispose();
        CryptographicOperations.ZeroMemory(_buffer.Output);
    }

    private static ulong LittleEndian(ulong x)
        => BitConverter.IsLittleEndian ? x : BinaryPrimitives.ReverseEndianness(x);
}

using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// BLAKE2Xb (Aumasson et al., 2016) keyed with 64 bytes, 4,096 bytes a call, the message being a counter: SEAL's
/// default generator. The 64 nodes of one output differ only in their number, so that vector lanes hash eight or four
/// at a time.
/// </summary>
internal sealed partial class Blake2xb
{
    /// <summary>Bytes that one counter value expands to.</summary>
    public const int OutputSize = 4096;

    /// <summary>Bytes of the key.</summary>
    public const int KeySize = 64;

    private const int NodeSize = 64;

    // The state after the key block is the same for every counter.
    private readonly ulong[] _keyed = new ulong[8];
    private readonly KernelPath _path;

    /// <summary>Takes the key; <paramref name="path"/> is forced only by tests.</summary>
    public Blake2xb(ReadOnlySpan<byte> key, KernelPath path = KernelPath.Best)
    {
        _path = path != KernelPath.Best ? path
            : Avx512F.IsSupported ? KernelPath.Vector512
            : Avx2.IsSupported ? KernelPath.Vector256
            : KernelPath.Portable;
        Rekey(key);
    }

    /// <summary>Forgets the key and takes another.</summary>
    public void Rekey(ReadOnlySpan<byte> key)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, KeySize, nameof(key));
        Span<ulong> block = stackalloc ulong[16];
        block.Clear();
        Blake2b.ReadWords(key, block[..8]);
        Blake2b.Iv.CopyTo(_keyed);
        _keyed[0] ^= NodeSize | KeySize << 8 | 1UL << 16 | 1UL << 24;
        _keyed[1] ^= (ulong)OutputSize << 32;
        Blake2b.Compress(_keyed, block, Blake2b.BlockSize, last: false);
        CryptographicOperations.ZeroMemory(System.Runtime.InteropServices.MemoryMarshal.AsBytes(block));
    }

    /// <summary>Writes the 4,096 bytes of <paramref name="counter"/>.</summary>
    public void Expand(ulong counter, Span<byte> output)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(output.Length, OutputSize, nameof(output));
        Span<ulong> root = stackalloc ulong[8];
        Span<ulong> message = stackalloc ulong[16];
        _keyed.CopyTo(root);
        message.Clear();
        message[0] = counter;
        Blake2b.Compress(root, message, Blake2b.BlockSize + sizeof(ulong), last: true);

        if (_path == KernelPath.Vector512) ExpandNodes512(root, output);
        else if (_path == KernelPath.Vector256) ExpandNodes256(root, output);
        else ExpandNodes(root, output);
    }

    /// <summary>Erases the key.</summary>
    public void Clear() => Array.Clear(_keyed);

    private static void ExpandNodes(ReadOnlySpan<ulong> root, Span<byte> output)
    {
        Span<ulong> h = stackalloc ulong[8];
        Span<ulong> message = stackalloc ulong[16];
        message.Clear();
        root.CopyTo(message);
        for (var node = 0; node < OutputSize / NodeSize; node++)
        {
            NodeState(h);
            h[1] ^= (ulong)node;
            Blake2b.Compress(h, message, NodeSize, last: true);
            for (var i = 0; i < 8; i++)
                BinaryPrimitives.WriteUInt64LittleEndian(output[(NodeSize * node + 8 * i)..], h[i]);
        }
    }

    // The parameter block of an output node: 64-byte digest, leaf length 64, inner length 64, total length.
    private static void NodeState(Span<ulong> h)
    {
        Blake2b.Iv.CopyTo(h);
        h[0] ^= NodeSize | (ulong)NodeSize << 32;
        h[1] ^= (ulong)OutputSize << 32;
        h[2] ^= (ulong)NodeSize << 8;
    }
}

using System.Buffers;
using System.Runtime.InteropServices;

namespace Flare;

/// <summary>
/// One pinned, 64-byte aligned run of managed memory. It is the collector's, so that a stale reference can never reach
/// freed memory; models recur at the same sizes, so <see cref="TensorMemoryPool"/> keeps runs that are given back.
/// </summary>
internal sealed unsafe class TensorMemory : IPinnable
{
    [StructLayout(LayoutKind.Sequential, Size = TensorLayout.Alignment)]
    private struct Block { }

    // Arrays of 64-byte blocks: an array holds 2^31 elements, so a run may hold 128 GiB.
    private readonly Block[] _blocks;

    /// <summary>Allocates a run whose bytes hold anything.</summary>
    /// <exception cref="OutOfMemoryException">There is not as much memory, or an array cannot hold as many
    /// blocks.</exception>
    public TensorMemory(long blocks)
    {
        if (blocks >= Array.MaxLength)
            throw new InsufficientMemoryException(
                Invariant(
                    $"A model of {blocks * TensorLayout.Alignment:N0} bytes exceeds the ")
                        + Invariant(
                            $"{(long)Array.MaxLength * TensorLayout.Alignment:N0} bytes that one state dict can ")
                                + "hold.");
        // One block more than asked for leaves room to begin at an aligned address.
        _blocks = GC.AllocateUninitializedArray<Block>((int)blocks + 1, pinned: true);
        var start = (nuint)Marshal.UnsafeAddrOfPinnedArrayElement(_blocks, 0);
        Pointer = (byte*)((start + TensorLayout.Alignment - 1) & ~(nuint)(TensorLayout.Alignment - 1));
        Blocks = blocks;
    }

    private int _pins;

    /// <summary>Whether native code holds an address within.</summary>
    public bool IsPinned => Volatile.Read(ref _pins) > 0;

    /// <summary>
    /// An address within, for native code; the handle keeps the collector from the run, and the run from the pool.
    /// </summary>
    public MemoryHandle Pin(long offset)
    {
        Interlocked.Increment(ref _pins);
        return new(Pointer + offset, GCHandle.Alloc(this), this);
    }

    MemoryHandle IPinnable.Pin(int elementIndex) => Pin(elementIndex);

    void IPinnable.Unpin() => Interlocked.Decrement(ref _pins);

    /// <summary>The first byte: 64-byte aligned, valid while this instance is alive.</summary>
    public byte* Pointer { get; }

    /// <summary>The size in blocks of <see cref="TensorLayout.Alignment"/> bytes.</summary>
    public long Blocks { get; }

    /// <summary>The size in bytes.</summary>
    public long ByteLength => Blocks * TensorLayout.Alignment;

    /// <summary>How many blocks hold so many bytes.</summary>
    public static long BlocksFor(long bytes) => (bytes + TensorLayout.Alignment - 1) / TensorLayout.Alignment;
}

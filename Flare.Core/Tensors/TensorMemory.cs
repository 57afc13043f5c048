using System.Runtime.InteropServices;

namespace Flare;

/// <summary>
/// One pinned, 64-byte aligned run of managed memory. It is the collector's, so that a stale reference can never reach freed
/// memory; models recur at the same sizes, so runs that are given back are kept for the next of that size.
/// </summary>
internal sealed unsafe class TensorMemory
{
    [StructLayout(LayoutKind.Sequential, Size = TensorLayout.Alignment)]
    private struct Block { }

    // Arrays of 64-byte blocks: an array holds 2^31 elements, so a run may hold 128 GiB.
    private readonly Block[] _blocks;

    private TensorMemory(long blocks)
    {
        // One block more than asked for leaves room to begin at an aligned address.
        _blocks = GC.AllocateUninitializedArray<Block>(checked((int)(blocks + 1)), pinned: true);
        var start = (nuint)Marshal.UnsafeAddrOfPinnedArrayElement(_blocks, 0);
        Pointer = (byte*)((start + TensorLayout.Alignment - 1) & ~(nuint)(TensorLayout.Alignment - 1));
        Blocks = blocks;
    }

    public byte* Pointer { get; }

    public long Blocks { get; }

    public static TensorMemory Rent(long bytes, bool zeroed)
    {
        var blocks = (bytes + TensorLayout.Alignment - 1) / TensorLayout.Alignment;
        var memory = TensorMemoryPool.Take(blocks) ?? new TensorMemory(blocks);
        if (zeroed) NativeMemory.Clear(memory.Pointer, (nuint)(blocks * TensorLayout.Alignment));
        return memory;
    }
}

namespace Flare;

/// <summary>Runs given back, kept by size. Bounded: what exceeds <see cref="MaxRetainedBlocks"/> goes to the collector.</summary>
internal static class TensorMemoryPool
{
    private static readonly long MaxRetainedBlocks = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 / TensorLayout.Alignment;
    private static readonly Dictionary<long, Stack<TensorMemory>> Free = [];
    private static long _retainedBlocks;

    public static TensorMemory? Take(long blocks)
    {
        lock (Free)
        {
            if (!Free.TryGetValue(blocks, out var stack) || !stack.TryPop(out var memory)) return null;
            _retainedBlocks -= blocks;
            return memory;
        }
    }

    public static void Return(TensorMemory memory)
    {
        lock (Free)
        {
            if (_retainedBlocks + memory.Blocks > MaxRetainedBlocks) return;
            if (!Free.TryGetValue(memory.Blocks, out var stack)) Free[memory.Blocks] = stack = new();
            stack.Push(memory);
            _retainedBlocks += memory.Blocks;
        }
    }
}

namespace Flare;

/// <summary>
/// Runs of memory given back, kept by size for the next model of that size. Bounded by
/// <paramref name="maxRetainedBytes"/>: what exceeds it goes to the collector. A run that nobody wanted for
/// <see cref="MaxIdle"/> goes there too, at its next full collection; when memory is short, all of them do.
/// Thread-safe.
/// </summary>
internal sealed class TensorMemoryPool(long maxRetainedBytes, TimeProvider time)
{
    public static readonly TimeSpan MaxIdle = TimeSpan.FromMinutes(1);

    // Each stack is ordered by age, the oldest below, so that trimming takes from the bottom.
    private readonly Dictionary<long, List<(TensorMemory Memory, long Since)>> _free = [];
    private readonly Lock _lock = new();
    private long _retainedBytes, _hits, _misses;

    /// <summary>The pool that state dicts use: a quarter of the memory that the process may have.</summary>
    public static TensorMemoryPool Shared { get; } = TrimmedByCollections(
        new(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4, TimeProvider.System));

    /// <summary>Bytes kept for reuse.</summary>
    public long RetainedBytes => Interlocked.Read(ref _retainedBytes);

    /// <summary>How many runs were served from the pool.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>How many were asked for and not there.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>A run of at least <paramref name="bytes"/> bytes, from the pool or new.</summary>
    public TensorMemory Rent(long bytes)
    {
        var blocks = TensorMemory.BlocksFor(bytes);
        lock (_lock)
        {
            if (_free.TryGetValue(blocks, out var runs))
            {
                var memory = runs[^1].Memory;
                runs.RemoveAt(runs.Count - 1);
                if (runs.Count == 0) _free.Remove(blocks);
                _retainedBytes -= memory.ByteLength;
                _hits++;
                return memory;
            }
            _misses++;
        }
        return new TensorMemory(blocks);
    }

    /// <summary>Takes a run back. The caller, its only holder, must not touch it again.</summary>
    public void Return(TensorMemory memory)
    {
        lock (_lock)
        {
            if (_retainedBytes + memory.ByteLength > maxRetainedBytes) return;
            if (!_free.TryGetValue(memory.Blocks, out var runs)) _free[memory.Blocks] = runs = [];
            runs.Add((memory, time.GetTimestamp()));
            _retainedBytes += memory.ByteLength;
        }
    }

    /// <summary>Lets go of the runs that have lain unused for at least so long.</summary>
    public void Trim(TimeSpan idle)
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            foreach (var (blocks, runs) in _free.ToArray())
            {
                var stale = runs.FindIndex(run => time.GetElapsedTime(run.Since, now) < idle);
                if (stale < 0) stale = runs.Count;
                for (var i = 0; i < stale; i++) _retainedBytes -= runs[i].Memory.ByteLength;
                runs.RemoveRange(0, stale);
                if (runs.Count == 0) _free.Remove(blocks);
            }
        }
    }

    internal static TensorMemoryPool TrimmedByCollections(TensorMemoryPool pool)
    {
        _ = new FullCollection(pool);
        return pool;
    }

    /// <summary>
    /// Nobody refers to it, so that each collection of its generation, after the first ones the oldest, finalizes it
    /// anew.
    /// </summary>
    private sealed class FullCollection(TensorMemoryPool pool)
    {
        ~FullCollection()
        {
            var memory = GC.GetGCMemoryInfo();
            pool.Trim(memory.MemoryLoadBytes >= memory.HighMemoryLoadThresholdBytes ? TimeSpan.Zero : MaxIdle);
            if (!Environment.HasShutdownStarted) GC.ReRegisterForFinalize(this);
        }
    }
}

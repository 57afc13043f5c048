namespace Flare.Tests.Core.Tensors;

public class TensorMemoryPoolTests
{
    private sealed class ManualTime : TimeProvider
    {
        public TimeSpan Now { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }

    [Test]
    public void Memory_stays_flat_over_hundreds_of_cycles()
    {
        var pool = new TensorMemoryPool(1 << 20, new ManualTime());
        for (var cycle = 0; cycle < 500; cycle++)
        {
            TensorMemory[] rented = [pool.Rent(1000), pool.Rent(1000), pool.Rent(50_000)];
            Assert.That(pool.RetainedBytes, Is.Zero, "what is rented is not retained");
            foreach (var memory in rented) pool.Return(memory);
        }
        Assert.That((pool.Misses, pool.Hits), Is.EqualTo((3L, 1497L)));
        Assert.That(pool.RetainedBytes, Is.EqualTo(2 * 1024 + 50_048));
    }

    [Test]
    public void What_exceeds_the_bound_is_let_go()
    {
        var pool = new TensorMemoryPool(4096, new ManualTime());
        TensorMemory[] rented = [.. Enumerable.Range(0, 8).Select(_ => pool.Rent(1024))];
        foreach (var memory in rented) pool.Return(memory);
        Assert.That(pool.RetainedBytes, Is.EqualTo(4096));
        pool.Return(new TensorMemory(TensorMemory.BlocksFor(8192)));
        Assert.That(pool.RetainedBytes, Is.EqualTo(4096));
    }

    [Test]
    public void Only_what_lay_unused_too_long_is_trimmed()
    {
        var time = new ManualTime();
        var pool = new TensorMemoryPool(1 << 20, time);
        var (first, second, other) = (pool.Rent(1024), pool.Rent(1024), pool.Rent(64));
        pool.Return(first);
        pool.Return(other);
        time.Now = TimeSpan.FromSeconds(40);
        pool.Return(second);
        time.Now = TimeSpan.FromSeconds(70);
        pool.Trim(TensorMemoryPool.MaxIdle);
        Assert.That(pool.RetainedBytes, Is.EqualTo(1024));
        Assert.That(pool.Rent(1024), Is.SameAs(second));
        pool.Return(second);
        pool.Trim(TimeSpan.Zero);
        Assert.That(pool.RetainedBytes, Is.Zero);
        Assert.That(pool.Rent(1024), Is.Not.SameAs(second));
    }

    [Test]
    public void No_two_threads_get_the_same_memory()
    {
        var pool = new TensorMemoryPool(1 << 20, TimeProvider.System);
        Parallel.For(0, 4, worker =>
        {
            for (var i = 0; i < 2000; i++)
            {
                var memory = pool.Rent(256);
                Stamp(memory, (byte)(worker + 1));
                pool.Return(memory);
                if (i % 100 == 0) pool.Trim(TimeSpan.Zero);
            }
        });
        Assert.That(pool.RetainedBytes, Is.LessThanOrEqualTo(4 * 256));

        static unsafe void Stamp(TensorMemory memory, byte mark)
        {
            var bytes = new Span<byte>(memory.Pointer, 256);
            bytes.Fill(mark);
            if (bytes.ContainsAnyExcept(mark)) throw new InvalidOperationException("Another thread wrote here.");
        }
    }

    [Test]
    public void Memory_is_aligned_and_at_least_as_large_as_asked()
    {
        foreach (var bytes in new long[] { 0, 1, 64, 65, 100_000 })
        {
            var memory = new TensorMemory(TensorMemory.BlocksFor(bytes));
            unsafe
            {
                Assert.That((nuint)memory.Pointer % TensorLayout.Alignment, Is.EqualTo((nuint)0));
                new Span<byte>(memory.Pointer, (int)memory.ByteLength).Fill(1);
            }
            Assert.That(memory.ByteLength, Is.InRange(bytes, bytes + 63));
        }
    }

    [Test, NonParallelizable]
    public void A_disposed_model_serves_the_next_of_its_size_until_the_pool_is_trimmed()
    {
        var layout = new TensorLayout(new TensorSpec("w", DType.Float32, [123_457]));
        StateDict.TrimPool();
        new StateDict(layout).Dispose();
        Assert.That(StateDict.PooledBytes, Is.EqualTo(layout.ByteLength));
        using (new StateDict(layout)) Assert.That(StateDict.PooledBytes, Is.Zero);
        StateDict.TrimPool();
        Assert.That(StateDict.PooledBytes, Is.Zero);
    }

    [Test]
    public void Full_collections_trim_the_shared_pool()
    {
        // The sentinel runs once for each full collection: it must come again, not only the first time.
        var time = new ManualTime();
        var pool = TensorMemoryPool.TrimmedByCollections(new(1 << 20, time));
        for (var round = 0; round < 3; round++)
        {
            pool.Return(pool.Rent(1024));
            Assert.That(pool.RetainedBytes, Is.EqualTo(1024));
            time.Now += TensorMemoryPool.MaxIdle;
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Assert.That(pool.RetainedBytes, Is.Zero, $"round {round}");
        }
    }
}

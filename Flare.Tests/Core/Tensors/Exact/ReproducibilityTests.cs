
namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>The result's bits depend on the contributions alone.</summary>
public class ReproducibilityTests
{
    // Shorter than a vector, on a block's edge, across several blocks, a tail of one.
    private static readonly TensorLayout Layout = ExactModels.Floats(3, 512, 0, 1037, 16, 70);

    private static (StateDict Tensors, double Weight)[] Contributions(
        int seed, string kind, int count, string? weightKind = null)
    {
        var random = new Random(seed);
        string[] kinds = ["integer", "fraction", "any"];
        return [
            .. Enumerable.Range(0, count)
            .Select(
                k =>
                (ExactModels.Of(Layout, random, kind, k),
                    ExactModels.AnyWeight(random, weightKind ?? kinds[random.Next(kinds.Length)])))];
    }

    private static byte[] Mean(
        (StateDict, double)[] contributions, ComputeScheduler? scheduler = null, BlockKernels? kernels = null,
        bool wide = false, int streamed = 0, int batch = 1)
    {
        using var mean = new ExactSum(Layout, [], scheduler, kernels ?? BlockKernels.Best, wide);
        for (var i = 0; i < streamed; i += batch) mean.Add(contributions.AsSpan(i, Math.Min(batch, streamed - i)));
        using var result = new StateDict(Layout);
        mean.Complete(contributions.AsSpan(streamed), result);
        return ExactModels.Bytes(result);
    }

    [Test]
    public void Order_does_not_show([ValueSource(typeof(ExactModels), nameof(ExactModels.Kinds))] string kind)
    {
        var contributions = Contributions(1, kind, 11);
        var expected = Mean(contributions);
        var random = new Random(2);
        for (var i = 0; i < 4; i++)
        {
            random.Shuffle(contributions);
            Assert.That(Mean(contributions), Is.EqualTo(expected));
            Assert.That(Mean(contributions, streamed: 11), Is.EqualTo(expected), "one at a time");
        }
    }

    [Test]
    public void Grouping_does_not_show([ValueSource(typeof(ExactModels), nameof(ExactModels.Kinds))]
    string kind, [Values(1, 3, 8)] int batch, [Values(9, 20)] int streamed)
    {
        var contributions = Contributions(3, kind, 20);
        Assert.That(Mean(contributions, streamed: streamed, batch: batch), Is.EqualTo(Mean(contributions)));
    }

    [Test]
    public void Threads_do_not_show([Values("ordinary", "any bits")] string kind, [Values(0, 6)] int streamed)
    {
        var contributions = Contributions(4, kind, 9);
        var expected = Mean(contributions);
        Assert.That(
            Mean(contributions, ComputeScheduler.ThreadPool, streamed: streamed, batch: 3), Is.EqualTo(expected));
        Assert.That(Mean(contributions, new BackwardScheduler(2), streamed: streamed, batch: 3), Is.EqualTo(expected));
        Assert.That(Mean(contributions, new BackwardScheduler(64), streamed: streamed, batch: 3), Is.EqualTo(expected));
    }

    [Test]
    public void The_width_of_vectors_does_not_show([ValueSource(typeof(ExactModels), nameof(ExactModels.Kinds))]
    string kind, [Values(0, 8)] int streamed)
    {
        var contributions = Contributions(5, kind, 12);
        var expected = Mean(contributions, kernels: BlockKernels.PortableKernels, streamed: streamed);
        foreach (var kernels in new[] { BlockKernels.Vector256Kernels, BlockKernels.Vector512Kernels }.Where(
            kernels => kernels.IsSupported))
            Assert.That(Mean(contributions, kernels: kernels, streamed: streamed), Is.EqualTo(expected));
    }

    [Test]
    public void The_form_of_the_sums_does_not_show([ValueSource(typeof(ExactModels), nameof(ExactModels.Kinds))]
    string kind, [Values(0, 5)] int streamed)
    {
        var contributions = Contributions(6, kind, 10);
        Assert.That(
            Mean(contributions, wide: true, streamed: streamed), Is.EqualTo(Mean(contributions, streamed: streamed)));
    }

    [Test]
    public void Where_among_blocks_and_contributions_one_double_ceases_to_suffice_does_not_show(
        [Range(0, 5)] int seed, [Values(1, 2, 8)] int batch)
    {
        var random = new Random(seed);
        var layout = ExactModels.Floats(40 * 512 + 17);
        var weights = Enumerable.Range(0, 11).Select(_ => ExactModels.AnyWeight(random, "integer")).ToArray();
        var models = weights.Select((_, k) =>
        {
            var model = new StateDict(layout);
            var values = model[0].AsSpan<float>();
            for (var first = 0; first < values.Length; first += 512)
            {
                // Most blocks fit, and a few elements of some contributions to others do not.
                var block = values[first..Math.Min(first + 512, values.Length)];
                foreach (ref var x in block) x = random.Next(-(1 << 20), 1 << 20) * MathF.ScaleB(1, -24);
                if (random.Next(12) == 0)
                    block[random.Next(block.Length)] = ExactModels.Sample(random, "any bits", 0, k);
                if (first / 512 % 10 > 7) block[^1] = MathF.ScaleB(1 + random.NextSingle(), -60);
            }
            return model.Freeze();
        }).ToArray();
        var contributions = models.Zip(weights, (model, weight) => (Tensors: model, Weight: weight)).ToArray();

        byte[] Sum(BlockKernels kernels, bool wide)
        {
            using var sum = new ExactSum(layout, [], null, kernels, wide);
            for (var i = 0; i < contributions.Length; i += batch)
                sum.Add(contributions.AsSpan(i, Math.Min(batch, contributions.Length - i)));
            return WrittenSum.Bytes(sum);
        }

        var expected = WrittenSum.Expected(layout, contributions);
        using var fused = new ExactSum(layout);
        using var streamed = new ExactSum(layout);
        foreach (var (model, weight) in contributions) streamed.Add(model, weight);
        using StateDict inOnePass = new(layout), oneByOne = new(layout);
        fused.Complete(contributions, inOnePass);
        streamed.Complete(oneByOne);
        Assert.That(ExactModels.Bytes(inOnePass).AsSpan().SequenceEqual(ExactModels.Bytes(oneByOne)));
        foreach (var kernels in new[]
            { BlockKernels.PortableKernels, BlockKernels.Vector256Kernels, BlockKernels.Vector512Kernels })
        {
            if (!kernels.IsSupported) continue;
            Assert.That(Sum(kernels, wide: false).AsSpan().SequenceEqual(expected), kernels.GetType().Name);
        }
        Assert.That(Sum(BlockKernels.Best, wide: true).AsSpan().SequenceEqual(expected), "wide");
    }

    [Test]
    public void A_change_of_scale_between_contributions_does_not_show()
    {
        // Each contribution moves the block's grid, down, up, and finally out of what two doubles hold.
        string[] kinds = ["ordinary", "zeros", "tiny", "huge", "two scales", "any bits", "few bits"];
        var random = new Random(7);
        var contributions = kinds.Select(
            (kind, k) => (ExactModels.Of(Layout, random, kind, k), ExactModels.AnyWeight(random, "integer"))).ToArray();
        var expected = Mean(contributions, wide: true);
        for (var i = 0; i < 8; i++)
        {
            Assert.That(Mean(contributions, streamed: kinds.Length), Is.EqualTo(expected));
            random.Shuffle(contributions);
        }
    }

    [Test]
    public void Many_additions_of_one_sign_move_the_grid_and_lose_nothing()
    {
        var layout = ExactModels.Floats(64);
        var random = new Random(8);
        var model = ExactModels.Of(layout, random, "two scales", 0);
        var positive = ExactModels.Of(layout, random, "huge", 0).Clone();
        foreach (ref var x in positive[0].AsSpan<float>()) x = Math.Abs(x);
        using var mean = new ExactSum(layout);
        mean.Add(model, 3);
        for (var i = 0; i < 5_000; i++) mean.Add(positive, 1 / 3.0);
        for (var i = 0; i < 5_000; i++) mean.Subtract(positive, 1 / 3.0);
        Assert.That(ExactModels.Bytes(mean.Complete()), Is.EqualTo(ExactModels.Bytes(model)));
    }

    [Test]
    public void An_instance_serves_round_after_round()
    {
        using var mean = new ExactSum(Layout);
        var first = Contributions(9, "ordinary", 4);
        var second = Contributions(10, "any bits", 4);
        using var result = new StateDict(Layout);
        foreach (var contributions in new[] { first, second, first })
        {
            mean.Add(contributions.AsSpan(0, 2));
            mean.Complete(contributions.AsSpan(2), result);
            Assert.That(ExactModels.Bytes(result), Is.EqualTo(Mean(contributions)));
        }
    }

    [Test]
    public void Rounds_after_the_first_allocate_nothing([Values("ordinary", "two scales")] string kind, [Values(0, 8)]
    int streamed)
    {
        var contributions = Contributions(11, kind, 12);
        using var mean = new ExactSum(Layout);
        using var result = new StateDict(Layout);
        // The least of several: on a busy machine the runtime itself allocates on this thread now and then.
        var least = long.MaxValue;
        for (var round = 0; round < 6; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            mean.Add(contributions.AsSpan(0, streamed));
            mean.Complete(contributions.AsSpan(streamed), result);
            if (round > 0) least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.That(least, Is.Zero);
    }
}

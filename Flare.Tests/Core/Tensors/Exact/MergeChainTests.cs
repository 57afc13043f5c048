namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>A sum that is handed on and on, merged into a new one each time, stays what it was.</summary>
public class MergeChainTests
{
    private const int Levels = 2000;

    private static readonly TensorLayout Doubles = new([new TensorSpec("t", DType.Float64, [4])]);

    private static StateDict Of(params double[] values)
    {
        var model = new StateDict(Doubles);
        values.CopyTo(model[0].AsSpan<double>());
        return model.Freeze();
    }

    private static StateDict OfFloats(params float[] values)
    {
        var model = new StateDict(new TensorLayout([new TensorSpec("t", DType.Float32, [values.Length])]));
        values.CopyTo(model[0].AsSpan<float>());
        return model.Freeze();
    }

    private static StateDict OfIntegers<T>(DType dtype, params T[] values) where T : unmanaged
    {
        var model = new StateDict(new TensorLayout([new TensorSpec("t", dtype, [values.Length])]));
        values.CopyTo(model[0].AsSpan<T>());
        return model.Freeze();
    }

    private static IEnumerable<TestCaseData> Sums()
    {
        yield return Case("largest and smallest double, largest weight",
            (Of(double.MaxValue, double.Epsilon, -double.MaxValue, 0), ExactSum.MaxWeight));
        yield return Case("largest and smallest double, smallest weight",
            (Of(double.MaxValue, double.Epsilon, -double.MaxValue, 1), ExactSum.MinWeight));
        yield return Case("smallest doubles", (Of(double.Epsilon, -double.Epsilon, 0, 0), BitDown(ExactSum.MinWeight)));
        yield return Case("largest doubles",
            (Of(double.MaxValue, double.MaxValue, double.MaxValue, double.MaxValue), ExactSum.MaxWeight),
            (Of(double.MaxValue, -double.MaxValue, double.MaxValue, 1), ExactSum.MaxWeight));
        yield return Case("far apart", (Of(1, 1e-300, -1, 0), 1));
        yield return Case("far apart, a weight of all bits", (Of(1, 1e-300, 3, -1e-200), 1 / 3.0));
        yield return Case("near the window's edge", (Of(1, 1e-30, 0, -1), 1), (Of(1e-16, 3, 1e5, 7), 0.1));
        yield return Case("ordinary doubles", (Of(1, 2, 3, -4), 3), (Of(0.1, 0.2, 0.3, -0.4), 7));
        yield return Case("ordinary floats", (OfFloats(1, 0.1f, -0.01f), 3), (OfFloats(0.3f, 1, 2), 0.1));
        yield return Case("floats of all sizes", (OfFloats(float.MaxValue, float.Epsilon, -1), ExactSum.MaxWeight));
        yield return Case("long integers", (OfIntegers(DType.Int64, long.MinValue, long.MaxValue, 0, -1), 1e-17));
        yield return Case("unsigned", (OfIntegers(DType.UInt64, ulong.MaxValue, 0UL), ExactSum.MaxWeight));
        yield return Case("integers", (OfIntegers(DType.Int32, int.MinValue, int.MaxValue, 1), 1 / 7.0));

        static double BitDown(double weight) => weight * (2 - Math.ScaleB(1, -52));

        static TestCaseData Case(string name, params (StateDict, double)[] contributions) =>
            new TestCaseData([contributions]).SetArgDisplayNames(name);
    }

    [TestCaseSource(nameof(Sums))]
    public void Two_thousand_merges_into_empty_sums_change_no_bit_and_take_no_more_memory_each(
        (StateDict Tensors, double Weight)[] contributions)
    {
        var layout = contributions[0].Tensors.Layout;
        foreach (var wide in new[] { false, true })
        {
            using var flat = new ExactSum(layout, [], null, BlockKernels.Best, wide);
            flat.Add(contributions);
            var expected = WrittenSum.Bytes(flat);
            var sum = new ExactSum(layout, [], null, BlockKernels.Best, wide);
            sum.Add(contributions);
            var (first, last) = (0L, 0L);
            for (var level = 1; level <= Levels; level++)
            {
                var next = new ExactSum(layout, [], null, BlockKernels.Best, wide);
                var before = GC.GetAllocatedBytesForCurrentThread();
                next.Merge(sum);
                last = GC.GetAllocatedBytesForCurrentThread() - before;
                // The first have memory to rent and methods to compile.
                if (level == 100) first = last;
                sum.Dispose();
                sum = next;
                if (level % 250 == 0)
                    Assert.That(WrittenSum.Bytes(sum).AsSpan().SequenceEqual(expected), $"level {level}");
            }
            Assert.That(last, Is.LessThanOrEqualTo(first));
            using var mean = sum.Complete();
            using var flatMean = flat.Complete();
            Assert.That(mean.Sha256(), Is.EqualTo(flatMean.Sha256()));
            sum.Dispose();
        }
    }

    [TestCaseSource(nameof(Sums))]
    public void A_chain_that_takes_contributions_on_its_way_is_the_flat_sum(
        (StateDict Tensors, double Weight)[] contributions)
    {
        var layout = contributions[0].Tensors.Layout;
        using var flat = new ExactSum(layout);
        var sum = new ExactSum(layout);
        for (var level = 0; level < Levels; level++)
        {
            var next = new ExactSum(layout);
            if (level % 2 == 0) next.Add(contributions);
            next.Merge(sum);
            if (level % 2 != 0) next.Add(contributions);
            flat.Add(contributions);
            sum.Dispose();
            sum = next;
        }
        Assert.That(WrittenSum.Bytes(sum), Is.EqualTo(WrittenSum.Bytes(flat)));
        sum.Dispose();
    }

    [Test]
    public void What_is_merged_twice_and_subtracted_again_is_refused_before_any_bound_is_passed()
    {
        var (model, other) = (Of(double.MaxValue, double.Epsilon, 1, 0), Of(-double.MaxValue, 1, 0, double.Epsilon));
        var sum = new ExactSum(Doubles);
        sum.Add((model, ExactSum.MaxWeight), (other, ExactSum.MaxWeight));
        var expected = WrittenSum.Bytes(sum);
        for (var level = 0; ; level++)
        {
            Assert.That(level, Is.LessThan(30), "2^28 contributions were not counted");
            var next = new ExactSum(Doubles);
            next.Merge(sum);
            try
            {
                next.Merge(sum);
                next.Subtract(model, ExactSum.MaxWeight);
                next.Subtract(other, ExactSum.MaxWeight);
            }
            catch (InvalidOperationException e)
            {
                Assert.That(level, Is.GreaterThan(20));
                Assert.That(e.Message, Does.Contain("2^28"));
                Assert.That(WrittenSum.Bytes(next), Is.EqualTo(expected), "what was refused changed nothing");
                next.Dispose();
                break;
            }
            Assert.That(WrittenSum.Bytes(next), Is.EqualTo(expected));
            sum.Dispose();
            sum = next;
        }
        sum.Dispose();
    }

    [Test]
    public void A_wide_block_throws_rather_than_write_outside_its_words()
    {
        var block = new WideBlock();
        block.MakeRoom(0, 64);
        long[] integers = [1];
        Assert.That(() => Add(block, 0), Throws.Nothing);
        Assert.That(() => Add(block, -1), Throws.InvalidOperationException);
        Assert.That(() => Add(block, 32 * block.Words), Throws.InvalidOperationException);
        Assert.That(() => Add(new WideBlock(), 0), Throws.InvalidOperationException);
        Assert.That(() => new WideBlock().MakeRoom(-1190, 40_000), Throws.InvalidOperationException);
        Assert.That(() => new WideBlock().MakeRoom(0, int.MinValue), Throws.InvalidOperationException);

        unsafe void Add(WideBlock to, int exponent)
        {
            fixed (long* values = integers) to.Add(values, 1, exponent);
        }
    }
}

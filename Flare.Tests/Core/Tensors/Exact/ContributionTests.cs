
namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>What goes in, what is refused, and what is taken out again.</summary>
public class ContributionTests
{
    private static readonly TensorLayout Layout = ExactModels.Floats(1000, 20, 700);

    private static (StateDict Tensors, double Weight)[] Contributions(int count, string kind = "ordinary")
    {
        var random = new Random(1);
        return [
            .. Enumerable.Range(0, count)
            .Select(k => (ExactModels.Of(Layout, random, kind, k), ExactModels.AnyWeight(random, "fraction")))];
    }

    private static byte[] Mean(params (StateDict, double)[] contributions)
    {
        using var mean = new ExactSum(Layout);
        mean.Add(contributions);
        return ExactModels.Bytes(mean.Complete());
    }

    [Test]
    public void Subtracting_leaves_no_trace([Values("ordinary", "two scales", "any bits")]
    string kind, [Values("ordinary", "huge", "any bits")] string intruderKind)
    {
        var contributions = Contributions(5, kind);
        var intruder = (ExactModels.Of(Layout, new Random(2), intruderKind, 0), 1e9 / 7);
        using var mean = new ExactSum(Layout);
        mean.Add(contributions.AsSpan(0, 2));
        mean.Add(intruder);
        mean.Add(contributions.AsSpan(2));
        mean.Subtract(intruder.Item1, intruder.Item2);
        Assert.That(mean.Count, Is.EqualTo(5));
        Assert.That(ExactModels.Bytes(mean.Complete()), Is.EqualTo(Mean(contributions)));
    }

    [Test]
    public void What_was_never_added_cannot_be_subtracted()
    {
        var contributions = Contributions(2);
        using var mean = new ExactSum(Layout);
        mean.Add(contributions[0].Tensors, 2);
        Assert.That(
            () => mean.Subtract(contributions[0].Tensors, 2.5),
            Throws.TypeOf<RefusedContributionException>().With.Message.Contains("never added"));
        Assert.That(() => mean.Subtract(contributions[0].Tensors, 1.5), Throws.TypeOf<RefusedContributionException>());
        mean.Subtract(contributions[0].Tensors, 2);
        Assert.That(() => mean.Subtract(contributions[0].Tensors, 2), Throws.TypeOf<RefusedContributionException>());
        Assert.That(
            () => mean.Complete(), Throws.TypeOf<FlareException>().With.Property("ErrorId")
            .EqualTo(ErrorIds.NothingToAggregate));
    }

    [Test]
    public void A_value_that_is_not_finite_is_refused_with_its_tensor_and_leaves_no_trace(
        [Values(float.NaN, float.PositiveInfinity, float.NegativeInfinity)] float poison, [Values(0, 1, 2)]
        int tensor, [Values(0, 10)] int at, [Values(1, 2, 64)] int threads)
    {
        var contributions = Contributions(12, "two scales");
        var bad = contributions[at].Tensors.Clone();
        bad[tensor].AsSpan<float>()[^1] = poison;
        var batch = contributions.ToArray();
        batch[at].Tensors = bad;

        using var mean = new ExactSum(Layout, scheduler: new BackwardScheduler(threads));
        mean.Add(contributions[0].Tensors, 5);
        using var result = new StateDict(Layout);
        foreach (var refused in new Action[] { () => mean.Add(batch), () => mean.Complete(batch, result) })
        {
            var refusal = Assert.Throws<RefusedContributionException>(refused)!;
            Assert.That((refusal.Index, refusal.Tensor), Is.EqualTo((at, $"t{tensor}")));
            Assert.That(refusal.Message, Does.Contain($"at element {Layout[tensor].Length - 1}"));
        }
        Assert.That(mean.Count, Is.EqualTo(1));
        mean.Add(contributions[1].Tensors, 7);
        Assert.That(
            ExactModels.Bytes(mean.Complete()),
            Is.EqualTo(Mean((contributions[0].Tensors, 5), (contributions[1].Tensors, 7))));
    }

    [Test]
    public void The_first_bad_block_is_named_whichever_part_finds_one_first()
    {
        var contributions = Contributions(4);
        var (a, b) = (contributions[1].Tensors.Clone(), contributions[2].Tensors.Clone());
        a[2].AsSpan<float>()[5] = float.NaN;
        b[0].AsSpan<float>()[900] = float.NaN;
        (contributions[1].Tensors, contributions[2].Tensors) = (a, b);
        foreach (var threads in new[] { 1, 2, 64 })
        {
            using var mean = new ExactSum(Layout, scheduler: new BackwardScheduler(threads));
            Assert.That(
                () => mean.Add(contributions), Throws.TypeOf<RefusedContributionException>().With.Property("Index")
                .EqualTo(2).And.Property("Tensor").EqualTo("t0"));
        }
    }

    [TestCase(DType.Float64), TestCase(DType.Float16), TestCase(DType.BFloat16)]
    public void Every_floating_type_is_checked_for_finite_values(DType dtype)
    {
        var layout = new TensorLayout(new TensorSpec("x", dtype, [600]));
        var (good, bad) = (new StateDict(layout), new StateDict(layout));
        switch (dtype)
        {
            case DType.Float64: good[0].AsSpan<double>()[599] = 1.5;
            bad[0].AsSpan<double>()[599] = double.PositiveInfinity; break;
            case DType.Float16: good[0].AsSpan<Half>()[599] = (Half)1.5; bad[0].AsSpan<Half>()[599] = Half.NaN; break;
            default: good[0].AsSpan<BFloat16>()[599] = (BFloat16)1.5f;
            bad[0].AsSpan<BFloat16>()[599] = (BFloat16)float.NaN; break;
        }
        using var mean = new ExactSum(layout);
        Assert.That(
            () => mean.Add((good, 1), (good, 1), (bad, 1)),
            Throws.TypeOf<RefusedContributionException>().With.Property("Index")
            .EqualTo(2).And.Message.Contains("element 599"));
        mean.Add(good, 3);
        using var result = mean.Complete();
        Assert.That(dtype switch
        {
            DType.Float64 => result[0].AsReadOnlySpan<double>()[599],
            DType.Float16 => (double)result[0].AsReadOnlySpan<Half>()[599],
            _ => (float)result[0].AsReadOnlySpan<BFloat16>()[599],
        }, Is.EqualTo(1.5));
    }

    [TestCase(0), TestCase(-1), TestCase(double.NaN), TestCase(double.PositiveInfinity), TestCase(1e-30),
        TestCase(1e30)]
    public void Weights_out_of_range_are_refused(double weight)
    {
        var contributions = Contributions(2);
        using var mean = new ExactSum(Layout);
        Assert.That(() => mean.Add((contributions[0].Tensors, 1), (contributions[1].Tensors, weight)),
            Throws.TypeOf<RefusedContributionException>().With.Property("Index")
            .EqualTo(1).And.Message.Contains("weight"));
        Assert.That(mean.Count, Is.Zero);
        Assert.That(mean.WeightOf(0), Is.Zero);
    }

    [Test]
    public void Denominators_are_per_tensor_and_what_nobody_sends_keeps_the_global_value()
    {
        var part = new TensorLayout(Layout[2], Layout[0]);
        var random = new Random(3);
        var whole = ExactModels.Of(Layout, random, "ordinary", 0);
        var some = ExactModels.Of(part, random, "ordinary", 1);
        using var mean = new ExactSum(Layout);
        var result = ExactModels.Of(Layout, random, "ordinary", 2).Clone();
        var global = result[1].AsReadOnlySpan<float>().ToArray();

        mean.Complete([(some, 2), (some, 1)], result);
        Assert.That(
            result["t0"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(some["t0"].AsReadOnlySpan<float>().ToArray()));
        Assert.That(result["t1"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(global));

        mean.Add((whole, 1), (some, 3));
        Assert.That(new[] { mean.WeightOf(0), mean.WeightOf(1), mean.WeightOf(2) }, Is.EqualTo(new[] { 4.0, 1, 4 }));
        mean.Complete(result);
        Assert.That(
            result["t1"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(whole["t1"].AsReadOnlySpan<float>().ToArray()));
        for (var i = 0; i < 700; i++)
        {
            var (x, y) = (whole["t2"].AsReadOnlySpan<float>()[i], some["t2"].AsReadOnlySpan<float>()[i]);
            Assert.That(
                result["t2"].AsReadOnlySpan<float>()[i],
                Is.EqualTo((float)Oracle.Mean([(x, 1), (y, 3)], DType.Float32)));
        }
    }

    [Test]
    public void Excluded_tensors_and_booleans_keep_the_global_value()
    {
        var layout = new TensorLayout(
            new TensorSpec("a", DType.Float32, [600]), new TensorSpec("mask", DType.Bool, [600]),
            new TensorSpec("b", DType.Float32, [5]));
        var (x, result) = (new StateDict(layout), new StateDict(layout));
        x["a"].AsSpan<float>().Fill(float.NaN);
        x["b"].AsSpan<float>().Fill(2);
        x["mask"].AsSpan<bool>().Fill(true);
        result["a"].AsSpan<float>().Fill(7);
        using var mean = new ExactSum(layout, excluded: [true, false, false]);
        mean.Add(x, 1);
        mean.Complete(result);
        Assert.That(result["a"].AsReadOnlySpan<float>().ToArray(), Is.All.EqualTo(7));
        Assert.That(result["b"].AsReadOnlySpan<float>().ToArray(), Is.All.EqualTo(2));
        Assert.That(result["mask"].AsReadOnlySpan<bool>().ToArray(), Is.All.False);
    }

    [Test]
    public void Unknown_tensors_and_other_shapes_are_refused_by_name()
    {
        using var mean = new ExactSum(Layout);
        Assert.That(() => mean.Add(new StateDict(new TensorLayout(new TensorSpec("head", DType.Float32, [3]))), 1),
            Throws.TypeOf<RefusedContributionException>().With.Property("Tensor")
            .EqualTo("head").And.Message.Contains("no tensor 'head'"));
        Assert.That(() => mean.Add(new StateDict(new TensorLayout(new TensorSpec("t1", DType.Float32, [4, 5]))), 1),
            Throws.TypeOf<RefusedContributionException>().With.Message.Contains("Float32[4,5]"));
        Assert.That(
            () => mean.Complete([(new StateDict(Layout), 1)], new StateDict(ExactModels.Floats(1))),
            Throws.ArgumentException);
        Assert.That(
            () => mean.Complete([(new StateDict(Layout), 1)], new StateDict(Layout).Freeze()),
            Throws.InvalidOperationException);
        Assert.That(() => new ExactSum(Layout, excluded: [true]), Throws.ArgumentException);
    }

    [Test]
    public void Padding_stays_zero()
    {
        var contributions = Contributions(3);
        using var mean = new ExactSum(Layout);
        using var result = StateDict.CreateUninitialized(Layout);
        mean.Complete(contributions, result);
        using var copy = new StateDict(Layout);
        for (var i = 0; i < Layout.Count; i++) result[i].AsReadOnlySpan<float>().CopyTo(copy[i].AsSpan<float>());
        unsafe
        {
            Assert.That(
                new ReadOnlySpan<byte>(result.Pointer, (int)Layout.ByteLength).SequenceEqual(
                    new ReadOnlySpan<byte>(copy.Pointer, (int)Layout.ByteLength)));
        }
    }
}

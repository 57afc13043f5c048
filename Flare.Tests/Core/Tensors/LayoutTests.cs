namespace Flare.Tests.Core.Tensors;

public class LayoutTests
{
    /// <summary>A model whose fingerprint and hash were computed outside .NET.</summary>
    public static StateDict Frozen() => new StateDictBuilder()
        .Add("fc.weight", [1f, 2, 3, 4, 5, -0.5f], 2, 3)
        .Add(new TensorSpec("bn.num_batches_tracked", DType.Int64, [], TensorRole.Buffer), [7L])
        .Add<BFloat16>("größe", [], 0, 5)
        .Build();

    [Test]
    public void The_fingerprint_never_changes()
    {
        using var model = Frozen();
        Assert.That(
            model.Layout.Fingerprint, Is.EqualTo("581a2c7f56551895bb86a807c877bcfffc6e73eb4df6e337f299ce86657cc09d"));
    }

    [Test]
    public void The_numbers_of_dtypes_and_roles_never_change()
    {
        Assert.That(Enum.GetValues<DType>().Select(d => $"{d}={(int)d}"), Is.EqualTo(new[]
        {
            "Float32=1", "Float64=2", "Float16=3", "BFloat16=4", "Int8=5", "Int16=6", "Int32=7", "Int64=8",
            "UInt8=9", "UInt16=10", "UInt32=11", "UInt64=12", "Bool=13",
        }));
        Assert.That(((int)TensorRole.Parameter, (int)TensorRole.Buffer), Is.EqualTo((0, 1)));
    }

    [Test]
    public void Each_property_of_a_tensor_and_the_order_make_another_fingerprint()
    {
        TensorSpec a = new("a", DType.Float32, [2, 3]), b = new("b", DType.Float32, [2, 3]);
        TensorLayout[] layouts =
        [
            new(), new(a), new(b), new(a, b), new(b, a), new(new TensorSpec("a", DType.Int32, [2, 3])),
            new(new TensorSpec("a", DType.Float32, [3, 2])),
            new(new TensorSpec("a", DType.Float32, [6])),
            new(new TensorSpec("a", DType.Float32, [2, 3], TensorRole.Buffer)),
        ];
        Assert.That(layouts.Select(l => l.Fingerprint), Is.Unique);
        Assert.That(
            new TensorLayout(a, b), Is.EqualTo(new TensorLayout(new TensorSpec("a", DType.Float32, [2, 3]), b)));
    }

    [Test]
    public void A_difference_names_the_tensor()
    {
        TensorSpec a = new("a", DType.Float32, [2]), b = new("b", DType.Float32, [2]);
        var expected = new TensorLayout(a, b);
        Assert.That(new TensorLayout(a, b).DifferenceFrom(expected), Is.Null);
        Assert.That(new TensorLayout(a).DifferenceFrom(expected), Is.EqualTo("tensor 'b' is missing"));
        Assert.That(
            new TensorLayout(a, b, new("c", DType.Int8, [])).DifferenceFrom(expected),
            Is.EqualTo("tensor 'c' is not expected"));
        Assert.That(new TensorLayout(b, a).DifferenceFrom(expected), Is.EqualTo("the tensors are in another order"));
        Assert.That(new TensorLayout(a, new("b", DType.Float32, [2], TensorRole.Buffer)).DifferenceFrom(expected),
            Is.EqualTo("tensor 'b' is Float32[2] buffer where Float32[2] is expected"));
    }

    [Test]
    public void Tensors_begin_aligned_and_in_order_and_runs_cover_them()
    {
        var layout = SampleModels.MixedLayout();
        using var model = new StateDict(layout);
        for (var i = 0; i < layout.Count; i++)
        {
            Assert.That(layout.OffsetOf(i) % TensorLayout.Alignment, Is.Zero);
            Assert.That(i == 0 || layout.OffsetOf(i) >= layout.OffsetOf(i - 1) + layout[i - 1].ByteLength);
        }
        Assert.That(layout.Runs.Sum(r => r.ByteLength), Is.EqualTo(layout.ByteLength));
        Assert.That(layout.Runs.SelectMany(r => Enumerable.Range(r.First, r.Count).Select(i => (i, r.DType))),
            Is.EqualTo(layout.Select((spec, i) => (i, spec.DType))));
        Assert.That(layout.ElementCount, Is.EqualTo(layout.Sum(s => s.Length)));
    }

    [Test]
    public void Impossible_tensors_are_refused_by_name()
    {
        Assert.That(
            () => new TensorSpec("w", DType.Float32, [-1]), Throws.ArgumentException.With.Message.Contains("'w'"));
        Assert.That(
            () => new TensorSpec("w", DType.Float32, [1L << 40, 1L << 40]),
            Throws.ArgumentException.With.Message.Contains("'w'"));
        Assert.That(
            () => new TensorSpec("w", DType.Float64, [1L << 58]),
            Throws.ArgumentException.With.Message.Contains("2^60"));
        Assert.That(
            () => new TensorSpec("w", DType.Int8, new long[65]),
            Throws.ArgumentException.With.Message.Contains("65 dimensions"));
        Assert.That(() => new TensorSpec("", DType.Int8, []), Throws.ArgumentException);
        Assert.That(
            () => new TensorSpec("w\ud800", DType.Int8, []), Throws.ArgumentException.With.Message.Contains("Unicode"));
        Assert.That(() => new TensorSpec("w", (DType)14, []), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(
            () => new TensorSpec("w", DType.Int8, [], (TensorRole)2), Throws.InstanceOf<ArgumentOutOfRangeException>());
        var spec = new TensorSpec("w", DType.Int8, []);
        Assert.That(() => new TensorLayout(spec, spec), Throws.ArgumentException.With.Message.Contains("'w'"));
        Assert.That(
            () => new TensorLayout([new("a", DType.Int8, [1L << 60]), new("b", DType.Int8, [1])]),
            Throws.ArgumentException.With.Message.Contains("2^60"));
    }

    [Test]
    public void A_model_larger_than_an_array_can_hold_is_refused_as_out_of_memory() =>
        Assert.That(() => new StateDict(new TensorLayout(new TensorSpec("w", DType.Int8, [1L << 40]))),
            Throws.InstanceOf<OutOfMemoryException>().With.Message.Contains("1,099,511,627,776"));
}

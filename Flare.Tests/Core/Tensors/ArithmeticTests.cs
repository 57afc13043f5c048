using System.Numerics;

namespace Flare.Tests.Core.Tensors;

/// <summary>Every operation on every dtype, element by element, against double or unbounded integers.</summary>
public class ArithmeticTests
{
    private static readonly TensorLayout Mixed = SampleModels.MixedLayout();
    private static readonly TensorLayout Scalable = SampleModels.MixedLayout(d => d != DType.Bool);

    [TestCase(1), TestCase(2), TestCase(3)]
    public void Sums_are_rounded_once_and_integers_wrap(int seed) => Check(Mixed, seed,
        (a, b) => a + b, (a, b) => a.AddInPlace(b),
        (dtype, x, y) => SampleModels.Rounded(dtype, x + y),
        (dtype, x, y) => Wrapped(dtype, x + y));

    [TestCase(1), TestCase(2), TestCase(3)]
    public void Differences_are_rounded_once_and_integers_wrap(int seed) => Check(Mixed, seed,
        (a, b) => a - b, (a, b) => a.SubtractInPlace(b),
        (dtype, x, y) => SampleModels.Rounded(dtype, x - y),
        (dtype, x, y) => Wrapped(dtype, x - y));

    // What is no Float64 computes in float: factor, product and sum are each rounded to it.
    [TestCase(1, 0.3), TestCase(2, -1.75), TestCase(3, 0.0), TestCase(4, 1e4)]
    public void Products_are_rounded_and_integers_held_in_their_range(int seed, double factor) => Check(Scalable, seed,
        (a, _) => a * factor, (a, _) => a.ScaleInPlace(factor),
        (dtype, x, _) => dtype == DType.Float64 ? x * factor : SampleModels.Rounded(dtype, (float)(x * (float)factor)),
        (dtype, x, _) => Held(dtype, Nearest(x) * factor));

    [TestCase(1, 0.3), TestCase(2, -1.75), TestCase(3, 1.0)]
    public void Scaled_sums_round_the_product_and_then_the_sum(int seed, double factor) => Check(Scalable, seed,
        null, (a, b) => a.AddScaledInPlace(b, factor),
        (dtype, x, y) => dtype == DType.Float64 ? x + y * factor
        : SampleModels.Rounded(dtype, (float)(x + (float)(y * (float)factor))),
        (dtype, x, y) => Held(dtype, Nearest(x) + Nearest(y) * factor));

    [Test]
    public void A_difference_brings_the_newer_model_back_in_integers_and_bools()
    {
        var layout = SampleModels.MixedLayout(d => !d.IsFloatingPoint());
        using var older = SampleModels.Random(layout, 1);
        using var newer = SampleModels.Random(layout, 2);
        using var back = older + (newer - older);
        foreach (var tensor in newer.Where(t => !t.Spec.DType.IsFloatingPoint()))
            SampleModels.AssertSame(
                SampleModels.Elements(back[tensor.Name]), SampleModels.Elements(tensor), tensor.Name);
    }

    [Test]
    public void A_state_dict_may_be_its_own_operand()
    {
        using var model = StateDict.Create(("w", [1, -2, 3.5f]));
        model.AddInPlace(model);
        Assert.That(model["w"].ToArray<float>(), Is.EqualTo(new float[] { 2, -4, 7 }));
        model.SubtractInPlace(model);
        Assert.That(model["w"].ToArray<float>(), Is.EqualTo(new float[3]));
    }

    [TestCase(2.4, 2), TestCase(2.5, 2), TestCase(3.5, 4), TestCase(-7, -7), TestCase(1e30, -1)]
    public void Fill_sets_the_nearest_value_each_dtype_has(double value, int expected)
    {
        using var model = new StateDict(Mixed);
        model.Fill(value);
        foreach (var tensor in model)
        {
            var (dtype, elements) = (tensor.Spec.DType, SampleModels.Elements(tensor));
            if (dtype.IsFloatingPoint())
            {
                Assert.That(
                    elements.Distinct(), Is.SubsetOf(new object[] { SampleModels.Rounded(dtype, value) }), tensor.Name);
                continue;
            }
            var (min, max) = SampleModels.Range(dtype);
            Assert.That(
                elements.Distinct(),
                Is.EqualTo(new object[] { value > 1e20 ? max : BigInteger.Clamp(expected, min, max) }), tensor.Name);
        }
        Assert.That(SampleModels.GapsAreZero(model));
    }

    [Test]
    public void Fill_takes_NaN_only_where_every_tensor_has_one()
    {
        using var floats = StateDict.Create(("w", [1f]));
        floats.Fill(double.NaN);
        Assert.That(floats["w"].ToArray<float>(), Is.All.NaN);
        using var mixed = new StateDictBuilder().Add("w", [1f]).AddBuffer("steps", [1L]).Build();
        Assert.That(() => mixed.Fill(double.NaN), Throws.ArgumentException.With.Message.Contains("'steps'"));
        Assert.That(mixed["w"].ToArray<float>(), Is.All.EqualTo(1f), "nothing is written when an operation is refused");
    }

    [Test]
    public void Scaling_refuses_bools_and_factors_that_are_not_finite_in_a_tensors_arithmetic()
    {
        using var mask = new StateDictBuilder().Add("w", [1f]).Add("mask", [true]).Build();
        Assert.That(() => mask.ScaleInPlace(2), Throws.ArgumentException.With.Message.Contains("'mask'"));
        Assert.That(() => mask.AddScaledInPlace(mask, 2), Throws.ArgumentException.With.Message.Contains("'mask'"));
        Assert.That(mask["w"].ToArray<float>(), Is.All.EqualTo(1f));

        using var model = new StateDictBuilder().Add("wide", [1.0]).Add("narrow", [1f]).Build();
        Assert.That(
            () => model * 1e300, Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("'narrow'"));
        Assert.That(() => model.ScaleInPlace(double.NaN), Throws.InstanceOf<ArgumentOutOfRangeException>());
        using var wide = model.Select(s => s.DType == DType.Float64) * 1e300;
        Assert.That(wide["wide"].ToArray<double>(), Is.EqualTo(new[] { 1e300 }));
    }

    [Test]
    public void Operands_of_another_layout_are_refused_with_the_tensors_name()
    {
        using var model = StateDict.Create(("w", [1, 2]), ("b", [0]));
        using var shorter = StateDict.Create(("w", [1, 2]));
        using var wider = StateDict.Create(("w", [1, 2, 3]), ("b", [0]));
        Assert.That(() => model + shorter, Throws.ArgumentException.With.Message.Contains("'b' is missing"));
        Assert.That(
            () => model.AddInPlace(wider),
            Throws.ArgumentException.With.Message.Contains("'w' is Float32[3] where Float32[2] is expected"));
        Assert.That(() => model.CopyFrom(shorter), Throws.ArgumentException.With.Message.Contains("'b' is missing"));
        Assert.That(() => model - null!, Throws.ArgumentNullException);
    }

    [Test]
    public void A_frozen_state_dict_is_an_operand_but_never_a_target()
    {
        using var model = StateDict.Create(("w", [1, 2])).Freeze();
        using var sum = model + model;
        Assert.That(sum["w"].ToArray<float>(), Is.EqualTo(new float[] { 2, 4 }));
        Assert.That(sum.IsReadOnly, Is.False);
        Action[] writes =
        [
            () => model.AddInPlace(sum), () => model.SubtractInPlace(sum), () => model.ScaleInPlace(2),
            () => model.AddScaledInPlace(sum, 1),
            () => model.Fill(0), () => model.Clear(), () => model.CopyFrom(sum), () => model["w"].AsSpan<float>(),
        ];
        foreach (var write in writes)
            Assert.That(() => write(), Throws.InvalidOperationException.With.Message.Contains("Clone()"));
        Assert.That(model["w"].ToArray<float>(), Is.EqualTo(new float[] { 1, 2 }));
    }

    private static BigInteger Wrapped(DType dtype, BigInteger value)
    {
        var (min, max) = SampleModels.Range(dtype);
        var size = max - min + 1;
        return ((value - min) % size + size) % size + min;
    }

    // BigInteger's own conversion to double truncates.
    private static double Nearest(BigInteger value) => value < 0 ? (long)value : (ulong)value;

    private static BigInteger Held(DType dtype, double value)
    {
        var (min, max) = SampleModels.Range(dtype);
        return BigInteger.Clamp((BigInteger)Math.Round(value), min, max);
    }

    private static void Check(
        TensorLayout layout, int seed, Func<StateDict, StateDict, StateDict>? operation,
        Action<StateDict, StateDict> inPlace,
        Func<DType, double, double, double> floats, Func<DType, BigInteger, BigInteger, BigInteger> integers)
    {
        using var left = SampleModels.Random(layout, seed);
        using var right = SampleModels.Random(layout, seed + 1000);
        using var result = left.Clone();
        inPlace(result, right);
        foreach (var tensor in result)
        {
            var dtype = tensor.Spec.DType;
            object[] expected =
                [.. SampleModels.Elements(left[tensor.Name]).Zip(SampleModels.Elements(right[tensor.Name]), (x, y) =>
                dtype.IsFloatingPoint() ? (object)floats(dtype, (double)x, (double)y)
                : integers(dtype, (BigInteger)x, (BigInteger)y))];
            SampleModels.AssertSame(SampleModels.Elements(tensor), expected, tensor.Name);
        }
        Assert.That(
            SampleModels.GapsAreZero(result),
            "what lies between the tensors is hashed and compared, and must stay zero");
        if (operation is null) return;
        using var other = operation(left, right);
        Assert.That(other.ContentEquals(result), "the operator and the method in place agree");
    }
}

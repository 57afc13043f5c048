namespace Flare.Tests.Core.Tensors;

public class ContentTests
{
    [Test]
    public void The_hash_is_SHA_256_over_fingerprint_and_elements()
    {
        // Computed with Python's hashlib from the description of the two methods.
        using var model = LayoutTests.Frozen();
        Assert.That(model.Sha256(), Is.EqualTo("a3fda14b542041e1090420b9c930295c0cfed8e97a2f7c6ed311d922f669f92c"));
        model["fc.weight"].AsSpan<float>()[5] = 0.5f;
        Assert.That(model.Sha256(), Is.Not.EqualTo("a3fda14b542041e1090420b9c930295c0cfed8e97a2f7c6ed311d922f669f92c"));
    }

    [Test]
    public void Content_is_equal_bit_by_bit()
    {
        using var model = SampleModels.Random(SampleModels.MixedLayout(), 1);
        using var same = model.Clone();
        Assert.That(same.ContentEquals(model));
        Assert.That(same.Sha256(), Is.EqualTo(model.Sha256()));

        same["Float32.scalar"].AsSpan<float>()[0] = float.NaN;
        using var nan = same.Clone();
        Assert.That(same.ContentEquals(model), Is.False);
        Assert.That(nan.ContentEquals(same), "a NaN has the bits of itself");

        using var zero = StateDict.Create(("w", [0f]));
        using var negative = StateDict.Create(("w", [-0f]));
        using var renamed = StateDict.Create(("v", [0f]));
        Assert.That(negative.ContentEquals(zero), Is.False);
        Assert.That(renamed.ContentEquals(zero), Is.False);
    }

    [TestCase(DType.Float32), TestCase(DType.Float64), TestCase(DType.Float16), TestCase(DType.BFloat16)]
    public void The_first_tensor_with_a_NaN_or_an_infinity_is_named_wherever_it_lies(DType dtype)
    {
        var layout = new TensorLayout(
            new("before", DType.Int64, [3]), new("a", dtype, [37]), new("none", dtype, [0]), new("b", dtype, [300]),
            new("c", dtype, [1]));
        double[] bad = [double.NaN, double.PositiveInfinity, double.NegativeInfinity];
        for (var at = 0; at < 338; at++)
        {
            using var model = SampleModels.Random(layout, at);
            model["before"].AsSpan<long>().Fill(-1);
            Assert.That(model.FirstNonFiniteTensor(), Is.Null);
            var (name, index) = at < 37 ? ("a", at) : at < 337 ? ("b", at - 37) : ("c", 0);
            Set(model[name], index, bad[at % 3]);
            Set(model["c"], 0, double.NaN);
            Assert.That(model.FirstNonFiniteTensor(), Is.EqualTo(name), $"element {at}");
        }

        static void Set(TensorView tensor, int index, double value)
        {
            switch (tensor.Spec.DType)
            {
                case DType.Float32: tensor.AsSpan<float>()[index] = (float)value; break;
                case DType.Float64: tensor.AsSpan<double>()[index] = value; break;
                case DType.Float16: tensor.AsSpan<Half>()[index] = (Half)value; break;
                case DType.BFloat16: tensor.AsSpan<BFloat16>()[index] = (BFloat16)(float)value; break;
            }
        }
    }

    [Test]
    public void A_bad_element_far_into_a_large_model_is_found()
    {
        using var model = new StateDict(
            new TensorLayout(new("first", DType.Float32, [300_000]), new("second", DType.Float32, [200_001])));
        model.Fill(float.MaxValue);
        Assert.That(model.FirstNonFiniteTensor(), Is.Null);
        model["second"].AsSpan<float>()[^1] = float.NegativeInfinity;
        Assert.That(model.FirstNonFiniteTensor(), Is.EqualTo("second"));
    }

    [TestCase(1), TestCase(15), TestCase(16), TestCase(4095), TestCase(4096), TestCase(4097), TestCase(20_000)]
    public void The_norm_sums_in_its_documented_order(int length)
    {
        using var model = SampleModels.Random(new TensorLayout(
            new("a", DType.Float32, [length]), new("b", DType.Float64, [length]), new("c", DType.Float16, [length]),
            new("d", DType.BFloat16, [length]),
            new("steps", DType.Int64, [length], TensorRole.Buffer)), length);
        var expected = Math.Sqrt(
            model.Take(4).Sum(tensor => SumOfSquares([.. SampleModels.Elements(tensor).Cast<double>()])));
        Assert.That(model.L2Norm(), Is.EqualTo(expected), "bit for bit, integers not counted");
        Assert.That(
            model.L2Norm(spec => spec.Name == "b"), Is.EqualTo(Math.Sqrt(SumOfSquares(model["b"].ToArray<double>()))));
        Assert.That(
            expected, Is.EqualTo(
                Math.Sqrt(model.Take(4).Sum(t => SampleModels.Elements(t).Sum(x => (double)x * (double)x))))
                .Within(1e-12).Percent);
    }

    [Test]
    public void A_selection_is_a_copy_in_the_same_order()
    {
        using var model = SampleModels.Random(SampleModels.MixedLayout(), 5);
        using var buffers = model.Select(spec => spec.Role == TensorRole.Buffer);
        Assert.That(
            buffers.Select(t => t.Name),
            Is.EqualTo(model.Where(t => t.Spec.Role == TensorRole.Buffer).Select(t => t.Name)));
        foreach (var tensor in buffers)
        {
            Assert.That(tensor.Spec, Is.EqualTo(model[tensor.Name].Spec));
            SampleModels.AssertSame(
                SampleModels.Elements(tensor), SampleModels.Elements(model[tensor.Name]), tensor.Name);
        }
        Assert.That(SampleModels.GapsAreZero(buffers));
        using var none = model.Select(_ => false);
        Assert.That(
            (none.Count, none.Layout.ByteLength, none.L2Norm(), none.FirstNonFiniteTensor()),
            Is.EqualTo((0, 0L, 0.0, (string?)null)));
    }

    // The order as SquaredNorm states it, in plain loops.
    private static double SumOfSquares(double[] elements)
    {
        var sum = 0.0;
        foreach (var block in elements.Chunk(4096))
        {
            var lanes = new double[16];
            for (var i = 0; i < block.Length; i++) lanes[i % 16] += block[i] * block[i];
            var four = new double[4];
            for (var j = 0; j < 4; j++) four[j] = (lanes[j] + lanes[j + 4]) + (lanes[j + 8] + lanes[j + 12]);
            sum += (four[0] + four[1]) + (four[2] + four[3]);
        }
        return sum;
    }
}

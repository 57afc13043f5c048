
namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>The mean against rational arithmetic.</summary>
public class ExactnessTests
{
    private static readonly string[] WeightKinds = ["one", "integer", "large integer", "fraction", "power", "any"];

    [Test]
    public void Floats_are_the_exact_mean_correctly_rounded(
        [ValueSource(typeof(ExactModels), nameof(ExactModels.Kinds))] string kind,
        [ValueSource(nameof(WeightKinds))] string weightKind,
        [Values(1, 2, 3, 8, 25)] int contributions)
    {
        var random = new Random(HashCode.Combine(1, contributions));
        var layout = ExactModels.Floats(37, 1, 530);
        // All of a short tensor, some of a long one, and both sides of a block's end.
        static bool Checked(int i) => i < 40 || i > 508 || i % 16 == 3;
        var models = Enumerable.Range(0, contributions)
            .Select(
                k =>
                (Model: ExactModels.Of(layout, random, kind, k), Weight: ExactModels.AnyWeight(random, weightKind)))
                .ToArray();

        using var mean = new ExactSum(layout);
        var result = new StateDict(layout);
        mean.Complete(models, result);

        // A sum of weights beyond 53 bits leaves the last bit of the quotient in doubt.
        var exactDivisor = IsDouble(models.Select(m => m.Weight));
        for (var t = 0; t < layout.Count; t++)
            for (var i = 0; i < layout[t].Length; i++)
            {
                if (!Checked(i)) continue;
                var expected = (float)Oracle.Mean(
                    models.Select(m => ((double)m.Model[t].AsReadOnlySpan<float>()[i], m.Weight)), DType.Float32);
                var actual = result[t].AsReadOnlySpan<float>()[i];
                if (exactDivisor)
                    Assert.That(
                        BitConverter.SingleToInt32Bits(actual), Is.EqualTo(BitConverter.SingleToInt32Bits(expected)),
                        $"tensor {t}, element {i}: {actual:R}, not {expected:R}");
                else Assert.That(actual, Is.EqualTo(expected).Within(1).Ulps, $"tensor {t}, element {i}");
            }
    }

    [Test]
    public void Weights_whose_sum_needs_more_bits_than_a_double_has_move_no_mean(
        [Values(2, 6)] int beyond, [Values] bool portable)
    {
        // 2^54 and a little: the nearest double is below it, or above, and the mean follows unless what is left counts.
        (float Low, float High) around = beyond == 2
            ? (1, MathF.BitIncrement(1))
            : (MathF.BitIncrement(1), MathF.BitIncrement(MathF.BitIncrement(1)));
        (int Which, double Weight)[] weights = [(0, 1L << 53), (1, 1L << 53), (0, beyond / 2), (1, beyond / 2)];
        var kernels = portable ? BlockKernels.PortableKernels : BlockKernels.Best;
        Assert.Multiple(() =>
        {
            // Half way between two neighbours: the even one of them, unless the mean moves.
            Assert.That(
                Mean(w => w == 0 ? around.Low : around.High),
                Is.EqualTo(beyond == 2 ? around.Low : around.High));
            foreach (var value in new[] { 1.5, 1 / 3.0, Math.BitDecrement(2), -1.75e300 })
                Assert.That(Mean(_ => value), Is.EqualTo(value));
        });

        T Mean<T>(Func<int, T> value) where T : unmanaged
        {
            StateDict Model(int which) => new StateDictBuilder().Add<T>("w", [value(which)]).Build();
            var result = Model(0);
            using var sum = new ExactSum(result.Layout, [], null, kernels);
            foreach (var (which, weight) in weights) sum.Add(Model(which), weight);
            sum.Complete(result);
            return result[0].AsReadOnlySpan<T>()[0];
        }
    }

    [Test]
    public void Two_thousand_contributions_lose_nothing([Values("ordinary", "cancelling", "any bits")]
    string kind, [Values("integer", "fraction")] string weightKind)
    {
        var random = new Random(2);
        var layout = ExactModels.Floats(20);
        var models = Enumerable.Range(0, 2000)
            .Select(
                k =>
                (Model: ExactModels.Of(layout, random, kind, k), Weight: ExactModels.AnyWeight(random, weightKind)))
                .ToArray();

        using var fused = new ExactSum(layout);
        using var streaming = new ExactSum(layout);
        var (result, streamed) = (new StateDict(layout), new StateDict(layout));
        fused.Complete(models, result);
        foreach (var (model, weight) in models) streaming.Add(model, weight);
        streaming.Complete(streamed);

        Assert.That(ExactModels.Bytes(streamed), Is.EqualTo(ExactModels.Bytes(result)));
        for (var i = 0; i < 20; i++)
            Assert.That(
                result[0].AsReadOnlySpan<float>()[i],
                Is.EqualTo(
                    (float)Oracle.Mean(
                        models.Select(m => ((double)m.Model[0].AsReadOnlySpan<float>()[i], m.Weight)), DType.Float32)));
    }

    [Test]
    public void Doubles_are_within_one_ulp_over_their_whole_range([Values("ordinary", "wide", "any bits", "extremes")]
    string kind, [ValueSource(nameof(WeightKinds))] string weightKind)
    {
        var random = new Random(3);
        var layout = new TensorLayout(new TensorSpec("d", DType.Float64, [600]));
        var models = Enumerable.Range(0, 5)
            .Select(_ => (Model: new StateDict(layout), Weight: ExactModels.AnyWeight(random, weightKind))).ToArray();
        foreach (var (model, _) in models)
            foreach (ref var x in model[0].AsSpan<double>())
                x = kind switch
                {
                    "ordinary" => random.NextDouble() - 0.5,
                    "wide" => (random.NextDouble() - 0.5) * Math.ScaleB(1, random.Next(-60, 60)),
                    "extremes" =>
                    random.Next(3) switch { 0 => double.MaxValue, 1 => double.Epsilon * random.Next(9), _ => -1e300 },
                    _ => AnyDouble(random),
                };

        using var mean = new ExactSum(layout);
        var result = new StateDict(layout);
        mean.Complete(models, result);
        for (var i = 0; i < 600; i++)
            Assert.That(result[0].AsReadOnlySpan<double>()[i],
                Is.EqualTo(
                    Oracle.Mean(models.Select(m => (m.Model[0].AsReadOnlySpan<double>()[i], m.Weight)), DType.Float64))
                    .Within(1).Ulps, $"element {i}");
    }

    [Test]
    public void Half_precision_is_correctly_rounded([Values("any bits", "ordinary")]
    string kind, [Values("one", "integer", "power")] string weightKind)
    {
        var random = new Random(4);
        var layout = new TensorLayout(
            new TensorSpec("h", DType.Float16, [1000]), new TensorSpec("b", DType.BFloat16, [1000]));
        var models = Enumerable.Range(0, 6)
            .Select(_ => (Model: new StateDict(layout), Weight: ExactModels.AnyWeight(random, weightKind))).ToArray();
        foreach (var (model, _) in models)
        {
            foreach (ref var x in model[0].AsSpan<Half>())
                do x = kind == "ordinary" ? (Half)random.NextDouble()
                    : BitConverter.UInt16BitsToHalf((ushort)random.Next(1 << 16)); while (!Half.IsFinite(x));
            foreach (ref var x in model[1].AsSpan<BFloat16>())
                do x = kind == "ordinary" ? (BFloat16)(float)random.NextDouble()
                    : new BFloat16((ushort)random.Next(1 << 16)); while (!float.IsFinite((float)x));
        }

        using var mean = new ExactSum(layout);
        var result = new StateDict(layout);
        mean.Complete(models, result);
        for (var i = 0; i < 1000; i++)
        {
            Assert.That((double)result[0].AsReadOnlySpan<Half>()[i],
                Is.EqualTo(
                    Oracle.Mean(
                        models.Select(m => ((double)m.Model[0].AsReadOnlySpan<Half>()[i], m.Weight)), DType.Float16)),
                        $"half {i}");
            Assert.That((double)(float)result[1].AsReadOnlySpan<BFloat16>()[i],
                Is.EqualTo(
                    Oracle.Mean(
                        models.Select(m => ((double)(float)m.Model[1].AsReadOnlySpan<BFloat16>()[i], m.Weight)),
                        DType.BFloat16)), $"bfloat16 {i}");
        }
    }

    [Test]
    public void Integers_are_rounded_to_nearest_ties_to_even([Values("one", "integer", "fraction", "any")]
    string weightKind, [Values(2, 5)] int contributions)
    {
        Check<sbyte>(DType.Int8, weightKind, contributions);
        Check<short>(DType.Int16, weightKind, contributions);
        Check<int>(DType.Int32, weightKind, contributions);
        Check<long>(DType.Int64, weightKind, contributions);
        Check<byte>(DType.UInt8, weightKind, contributions);
        Check<ushort>(DType.UInt16, weightKind, contributions);
        Check<uint>(DType.UInt32, weightKind, contributions);
        Check<ulong>(DType.UInt64, weightKind, contributions);
    }

    private static void Check<T>(DType dtype, string weightKind, int contributions)
        where T : unmanaged, System.Numerics.IBinaryInteger<T>
    {
        var random = new Random(5);
        var layout = new TensorLayout(new TensorSpec("n", dtype, [300]));
        var models = Enumerable.Range(0, contributions)
            .Select(_ => (Model: new StateDict(layout), Weight: ExactModels.AnyWeight(random, weightKind))).ToArray();
        foreach (var (model, _) in models)
        {
            var elements = model[0].AsSpan<T>();
            random.NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(elements));
            // Small ones make ties.
            for (var i = 0; i < 100; i++) elements[i] = T.CreateTruncating(random.Next(5));
        }
        using var mean = new ExactSum(layout);
        var result = new StateDict(layout);
        mean.Complete(models, result);
        for (var i = 0; i < 300; i++)
        {
            var expected = Oracle.IntegerMean(
                models.Select(m => (Int128.CreateChecked(m.Model[0].AsReadOnlySpan<T>()[i]), m.Weight)));
            Assert.That(result[0].AsReadOnlySpan<T>()[i], Is.EqualTo(T.CreateChecked(expected)), $"{dtype} {i}");
        }
    }

    [Test]
    public void A_mean_of_zero_is_positive_zero()
    {
        var layout = ExactModels.Floats(3);
        var (a, b) = (new StateDict(layout), new StateDict(layout));
        (a[0].AsSpan<float>()[0], b[0].AsSpan<float>()[0]) = (-0f, -0f);
        (a[0].AsSpan<float>()[1], b[0].AsSpan<float>()[1]) = (3, -3);
        (a[0].AsSpan<float>()[2], b[0].AsSpan<float>()[2]) = (-float.Epsilon, 0);
        using var mean = new ExactSum(layout);
        mean.Add((a, 1), (b, 1));
        var result = mean.Complete()[0].AsReadOnlySpan<float>().ToArray();
        Assert.That(
            result.Select(BitConverter.SingleToInt32Bits), Is.EqualTo(new[] { 0, 0, int.MinValue }),
            "the last is not zero, but rounds to it from below");
    }

    private static bool IsDouble(IEnumerable<double> weights)
    {
        var sum = weights.Aggregate(System.Numerics.BigInteger.Zero, (total, weight) => total + Oracle.Fixed(weight));
        while (sum.IsEven) sum >>= 1;
        return sum.GetBitLength() <= 53;
    }

    private static double AnyDouble(Random random)
    {
        while (true)
        {
            var value = BitConverter.Int64BitsToDouble(random.NextInt64(long.MinValue, long.MaxValue));
            if (double.IsFinite(value)) return value;
        }
    }
}

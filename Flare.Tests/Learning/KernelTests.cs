using Flare.Learning;

namespace Flare.Tests.Learning;

/// <summary>The two products behind all layers: every width of vectors gives the bits of a plain loop.</summary>
public unsafe class KernelTests
{
    [Test]
    public void Products_of_all_widths_have_the_bits_of_a_plain_loop(
        [Range(1, 14)] int rows, [Values(16, 32, 48, 96)] int columns, [Values(1, 7)] int steps)
    {
        var a = Random(rows * steps, 1);
        var b = Random(steps * 100 + columns, 2);
        var bias = Random(rows, 3);
        var offsets = Enumerable.Range(0, steps).Select(k => k * 100).ToArray();
        var expected = new float[rows * columns];
        for (var r = 0; r < rows; r++)
            for (var j = 0; j < columns; j++)
            {
                var sum = bias[r];
                for (var k = 0; k < steps; k++) sum = a[r * steps + k] * b[offsets[k] + j] + sum;
                expected[r * columns + j] = sum;
            }

        Assert.That(Run(o => Product.Compute<Lanes1>(o)), Is.EqualTo(expected));
        Assert.That(Run(o => Product.Compute<Lanes4>(o)), Is.EqualTo(expected));
        Assert.That(Run(o => Product.Compute<Lanes8>(o)), Is.EqualTo(expected));
        Assert.That(Run(o => Product.Compute<Lanes16>(o)), Is.EqualTo(expected));

        float[] Run(Action<Product.Operands> compute)
        {
            var c = new float[rows * columns];
            fixed (float* pa = a, pb = b, pBias = bias, pc = c)
            fixed (int* pOffsets = offsets)
            {
                compute(new()
                {
                    A = pa, RowStride = steps, StepStride = 1, B = pb, Offsets = pOffsets, Bias = pBias,
                    C = pc, CStride = columns, Rows = rows, Steps = steps, Columns = columns,
                });
            }
            return c;
        }
    }

    [Test]
    public void Correlations_of_all_widths_have_the_bits_of_a_plain_loop(
        [Range(1, 14)] int rows, [Values(16, 80)] int columns, [Values(1, 2, 5)] int steps)
    {
        var d = Random(rows * columns, 4);
        var b = Random(steps * 100 + columns, 5);
        var offsets = Enumerable.Range(0, steps).Select(k => k * 100).ToArray();
        var expected = Random(rows * steps * 16, 6);
        for (var r = 0; r < rows; r++)
            for (var k = 0; k < steps; k++)
                for (var j = 0; j < columns; j++)
                {
                    ref var sum = ref expected[(r * steps + k) * 16 + j % 16];
                    sum = d[r * columns + j] * b[offsets[k] + j] + sum;
                }

        Assert.That(Run(o => Correlation.Accumulate<Lanes1>(o)), Is.EqualTo(expected));
        Assert.That(Run(o => Correlation.Accumulate<Lanes4>(o)), Is.EqualTo(expected));
        Assert.That(Run(o => Correlation.Accumulate<Lanes8>(o)), Is.EqualTo(expected));
        Assert.That(Run(o => Correlation.Accumulate<Lanes16>(o)), Is.EqualTo(expected));

        float[] Run(Action<Correlation.Operands> accumulate)
        {
            var sums = Random(rows * steps * 16, 6);
            fixed (float* pd = d, pb = b, pSums = sums)
            fixed (int* pOffsets = offsets)
            {
                accumulate(new()
                {
                    D = pd, DStride = columns, B = pb, Offsets = pOffsets, Sums = pSums,
                    Rows = rows, Steps = steps, Columns = columns,
                });
            }
            return sums;
        }
    }

    [Test]
    public void Partial_sums_fold_in_halves()
    {
        var values = Random(16, 7);
        var sums = values.ToArray();
        for (var half = 8; half >= 1; half /= 2)
            for (var i = 0; i < half; i++) sums[i] += sums[i + half];
        fixed (float* p = values) Assert.That(Correlation.Fold(p), Is.EqualTo(sums[0]));
    }

    [Test]
    public void The_random_generator_is_xoshiro256_seeded_by_splitmix64()
    {
        // Blackman and Vigna's algorithm step by step, in arbitrary precision.
        System.Numerics.BigInteger mask = ulong.MaxValue, state = 42;
        var s = new System.Numerics.BigInteger[4];
        for (var i = 0; i < 4; i++)
        {
            state = (state + 0x9E3779B97F4A7C15) & mask;
            var z = state;
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask;
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask;
            s[i] = z ^ (z >> 31);
        }
        var random = new SeededRandom(42);
        for (var i = 0; i < 100; i++)
        {
            Assert.That(random.NextUInt64(), Is.EqualTo((ulong)((Rotate((s[1] * 5) & mask, 7) * 9) & mask)));
            var t = (s[1] << 17) & mask;
            s[2] ^= s[0];
            s[3] ^= s[1];
            s[1] ^= s[2];
            s[0] ^= s[3];
            s[2] ^= t;
            s[3] = Rotate(s[3], 45);
        }

        System.Numerics.BigInteger Rotate(System.Numerics.BigInteger x, int k) => ((x << k) | (x >> (64 - k))) & mask;
    }

    [Test]
    public void Gamma_variates_have_their_mean_and_variance([Values(0.3, 1, 5)] double shape)
    {
        var random = new SeededRandom(1);
        var values = Enumerable.Range(0, 40_000).Select(_ => Math.Exp(random.NextLogGamma(shape))).ToArray();
        var mean = values.Average();
        Assert.That(mean, Is.EqualTo(shape).Within(4 * Math.Sqrt(shape / values.Length)));
        Assert.That(values.Average(v => (v - mean) * (v - mean)), Is.EqualTo(shape).Within(8).Percent);
    }

    private static float[] Random(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(random.NextDouble() * 2 - 1))];
    }
}

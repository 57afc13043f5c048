using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class QuantizationTests
{
    [TestCase(1.0, 22)]
    [TestCase(4.0, 22)]
    [TestCase(0.3, 16)]
    [TestCase(1e-6, 8)]
    [TestCase(12345.6, 32)]
    [TestCase(1.0, 2)]
    public void A_range_gets_its_finest_format(double limit, int bits)
    {
        var format = Quantization.ForRange(limit, bits);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(format.Limit, Is.GreaterThanOrEqualTo(limit));
            Assert.That(new Quantization(bits, format.FractionBits + 1).Limit, Is.LessThan(limit));
        }
    }

    [Test]
    public void Values_round_to_the_nearest_integer_with_ties_to_even_in_vectors_and_at_their_end()
    {
        var format = new Quantization(8, 1);
        float[] values = [0.25f, 0.75f, 1.25f, -0.25f, -0.75f, 0.2f, 0.3f, -63.5f, 63.5f, 1.75f, -1.25f];
        var integers = new int[11];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(format.Quantize(values, integers), Is.Zero);
            Assert.That(integers, Is.EqualTo(new[] { 0, 2, 2, 0, -2, 0, 1, -127, 127, 4, -2 }));
        }
    }

    [Test]
    public void Values_beyond_the_range_are_clipped_and_counted()
    {
        var format = new Quantization(8, 0);
        var integers = new int[10];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                format.Quantize([1, 127.4f, 127.6f, -128, float.MaxValue, -1e30f, 0, 5, 1e9f, -127], integers),
                Is.EqualTo(5));
            Assert.That(integers, Is.EqualTo(new[] { 1, 127, 127, -127, 127, -127, 0, 5, 127, -127 }));
        }
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    [TestCase(float.NegativeInfinity)]
    public void What_is_not_a_number_is_refused_and_named(float bad)
    {
        for (var position = 0; position < 11; position++)
        {
            var values = new float[11];
            values[position] = bad;
            Assert.That(() => new Quantization(22, 19).Quantize(values, new int[11]),
                KeyTests.Fails(CryptoFault.ValueOutOfRange).With.Message.Contains($"Value {position} "));
        }
    }

    // Whatever bits a float has, at formats whose scale overflows it, underflows it, and whose integers it cannot all
    // hold.
    [Test]
    public void Any_value_becomes_what_double_arithmetic_makes_of_it([Values(2, 16, 24, 25, 26, 32)]
    int bits, [Values(-100, -3, 0, 19, 100)] int fraction)
    {
        var random = new Random(bits + fraction);
        var format = new Quantization(bits, fraction);
        var values = new float[4003];
        for (var i = 0; i < values.Length; i++)
            values[i] = random.Next(4) switch
            {
                0 => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)),
                1 => (float)(format.Limit * (1 + ((random.NextDouble() - 0.5) * 1e-7))),
                2 => (float)Math.ScaleB(random.Next(-1000, 1000) + 0.5, -fraction),
                _ => (float)(((random.NextDouble() * 2) - 1) * format.Limit),
            };
        values = Array.ConvertAll(values, value => float.IsFinite(value) ? value : 0);
        var integers = new int[values.Length];
        var clipped = format.Quantize(values, integers);
        var rounded = Array.ConvertAll(values, value => Math.Round(value * Math.ScaleB(1, fraction)));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                integers, Is.EqualTo(rounded.Select(value => (int)Math.Clamp(value, -format.Largest, format.Largest))));
            Assert.That(clipped, Is.EqualTo(rounded.Count(value => Math.Abs(value) > format.Largest)));
        }
    }

    [Test]
    public void Means_are_the_same_in_vectors_and_at_their_end()
    {
        var random = new Random(1);
        var sums = Enumerable.Range(0, 1003).Select(_ => random.NextInt64(-1L << 44, 1L << 44)).ToArray();
        var (values, alone) = (new float[sums.Length], new float[1]);
        var format = new Quantization(32, 27);
        format.Dequantize(sums, 7.3, values);
        for (var i = 0; i < sums.Length; i++)
        {
            format.Dequantize(sums.AsSpan(i, 1), 7.3, alone);
            Assert.That(values[i], Is.EqualTo(alone[0]));
        }
    }

    [Test]
    public void Means_are_sums_over_the_divisor()
    {
        var values = new float[3];
        new Quantization(22, 4).Dequantize([16, -8, 3], 2, values);
        Assert.That(values, Is.EqualTo(new[] { 0.5f, -0.25f, 0.09375f }));
    }

    [TestCase(0.0)]
    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    public void A_divisor_that_makes_no_mean_is_refused(double divisor)
        => Assert.That(
            () => new Quantization(22, 4).Dequantize([1], divisor, new float[1]),
            Throws.InstanceOf<ArgumentOutOfRangeException>());
}

using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class FixedPointTests
{
    [TestCase(1.0, 22)]
    [TestCase(4.0, 22)]
    [TestCase(0.3, 16)]
    [TestCase(1e-6, 8)]
    [TestCase(12345.6, 32)]
    [TestCase(1.0, 2)]
    public void A_range_gets_its_finest_format(double limit, int bits)
    {
        var format = FixedPoint.ForRange(limit, bits);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(format.Limit, Is.GreaterThanOrEqualTo(limit));
            Assert.That(new FixedPoint(bits, format.FractionBits + 1).Limit, Is.LessThan(limit));
        }
    }

    [Test]
    public void Values_round_to_the_nearest_integer_with_ties_to_even_in_vectors_and_at_their_end()
    {
        var format = new FixedPoint(8, 1);
        float[] values = [0.25f, 0.75f, 1.25f, -0.25f, -0.75f, 0.2f, 0.3f, -63.5f, 63.5f, 1.75f, -1.25f];
        var integers = new int[11];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(format.Quantise(values, integers), Is.Zero);
            Assert.That(integers, Is.EqualTo(new[] { 0, 2, 2, 0, -2, 0, 1, -127, 127, 4, -2 }));
        }
    }

    [Test]
    public void Values_beyond_the_range_are_clipped_and_counted()
    {
        var format = new FixedPoint(8, 0);
        var integers = new int[10];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(format.Quantise([1, 127.4f, 127.6f, -128, float.MaxValue, -1e30f, 0, 5, 1e9f, -127], integers), Is.EqualTo(5));
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
            Assert.That(() => new FixedPoint(22, 19).Quantise(values, new int[11]),
                KeyTests.Fails(CryptoFault.ValueOutOfRange).With.Message.Contains($"Value {position} "));
        }
    }

    [Test]
    public void Means_are_sums_over_the_divisor()
    {
        var values = new float[3];
        new FixedPoint(22, 4).Dequantise([16, -8, 3], 2, values);
        Assert.That(values, Is.EqualTo(new[] { 0.5f, -0.25f, 0.09375f }));
    }

    [TestCase(0.0)]
    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    public void A_divisor_that_makes_no_mean_is_refused(double divisor)
        => Assert.That(() => new FixedPoint(22, 4).Dequantise([1], divisor, new float[1]), Throws.InstanceOf<ArgumentOutOfRangeException>());
}

using System.Numerics;

namespace Flare.Tests.Core.Tensors.Exact;

public unsafe class LongAccumulatorTests
{
    [Test]
    public void Sums_and_their_double_doubles_agree_with_big_integers([Values(1, 2, 3, 4, 5)] int seed)
    {
        var random = new Random(seed);
        for (var trial = 0; trial < 300; trial++)
        {
            var words = new long[random.Next(6, 20)];
            var exact = BigInteger.Zero;
            for (var i = random.Next(1, 30); i > 0; i--)
            {
                var magnitude = new UInt128(
                    (ulong)random.NextInt64(1L << random.Next(1, 53)),
                    (ulong)random.NextInt64(long.MinValue, long.MaxValue)) >> random.Next(100);
                var position = random.Next(32 * (words.Length - 5));
                var negative = random.Next(2) == 0;
                fixed (long* pointer = words) LongAccumulator.Add(
                    pointer, position, (ulong)(magnitude >> 64), (ulong)magnitude, negative);
                exact += (negative ? -1 : 1) * ((BigInteger)magnitude << position);
            }

            LongAccumulator.Round(words, -1074, out var nearest, out var rest, out var exponent);
            if (exact.IsZero)
            {
                Assert.That((nearest, rest), Is.EqualTo((0.0, 0.0)));
                continue;
            }
            Assert.That(Math.Abs(nearest), Is.InRange(1, 2));
            // In units of 2^-2000, below all bits.
            var scaled = exact << (2000 - 1074 - exponent);
            var error = scaled - Scaled(nearest);
            Assert.That(BigInteger.Abs(error) << 53, Is.LessThanOrEqualTo(BigInteger.One << 2000), "half an ulp");
            Assert.That(
                Scaled(rest),
                Is.EqualTo(error).Or.Matches<BigInteger>(
                    r => (BigInteger.Abs(r - error) << 53) <= BigInteger.Abs(error)), "the rest, to its 53 bits");
        }

        static BigInteger Scaled(double value) => Oracle.Fixed(value) << (2000 - 1074);
    }

    [Test]
    public void A_bit_far_below_decides_a_tie([Values(70, 100, 133, 200, 250)] int below, [Values(0, 17, 31)]
    int shift, [Values] bool up, [Values] bool negative)
    {
        // 1 + 2^-53 lies between two doubles; a bit more or less far below decides.
        var words = new long[12];
        var top = 256 + shift;
        fixed (long* pointer = words)
        {
            LongAccumulator.Add(pointer, top, 0, 1, negative);
            LongAccumulator.Add(pointer, top - 53, 0, 1, negative);
            LongAccumulator.Add(pointer, top - below, 0, 1, up ? negative : !negative);
        }
        LongAccumulator.Round(words, 0, out var nearest, out var rest, out var exponent);
        var sign = negative ? -1 : 1;
        Assert.That(nearest, Is.EqualTo(sign * (up ? Math.BitIncrement(1.0) : 1.0)));
        Assert.That(rest, Is.EqualTo(sign * (up ? -1 : 1) * (Math.ScaleB(1, -53) - Math.ScaleB(1, -below))));
        Assert.That(exponent, Is.EqualTo(top));
    }
}

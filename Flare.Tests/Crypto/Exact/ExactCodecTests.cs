using System.Numerics;
using Flare.Crypto;

namespace Flare.Tests.Crypto;

/// <summary>Coefficients against big integers, with noise at its bounds.</summary>
public class ExactCodecTests
{
    private const ulong AllPlus = (1ul << 21) - 1, AllMinus = AllPlus << 21;

    public static IEnumerable<ExactParameters> Sets()
    {
        yield return ExactParameters.Choose(8, FixedPoint.ForRange(4, 22)); // three values, two primes
        yield return ExactParameters.Choose(8, FixedPoint.ForRange(4, 16)); // four values
        yield return ExactParameters.Choose(1000, FixedPoint.ForRange(4, 32)); // two values of 42 bits
        yield return new ExactParameters(FixedPoint.ForRange(4, 20), 8, 2048, PrimeSearch.NttPrimes(2048, 40), 1, 9, 0); // one, one prime
    }

    [TestCaseSource(nameof(Sets))]
    public void A_coefficient_is_message_plus_noise_plus_randomness_rounded(ExactParameters parameters)
    {
        var codec = new ExactCodec(parameters);
        var q = (BigInteger)parameters.Modulus;
        var random = new Random(1);
        var p = parameters.ValuesPerCoefficient;
        for (var trial = 0; trial < 2000; trial++)
        {
            var integers = Enumerable.Range(0, p).Select(_ => Extreme(random, parameters.Format.Largest)).ToArray();
            var noise = trial % 3 == 0 ? AllPlus : trial % 3 == 1 ? AllMinus : (ulong)random.NextInt64();
            var mask = trial % 5 == 0 ? 0 : trial % 5 == 1 ? q - 1 : new BigInteger(random.NextDouble() * (double)q) % q;
            var words = new UInt128[1];
            codec.Encode(integers, [noise], [Residue(mask, parameters.Moduli[0])], [Residue(mask, parameters.Moduli[^1])], words);

            var message = Enumerable.Range(0, p).Aggregate(BigInteger.Zero, (sum, k) => sum + ((BigInteger)integers[k] << (k * parameters.SlotBits)));
            var full = (((message << parameters.MessageShift) + Samplers.Noise(noise) + mask) % q + q) % q;
            var rounding = (BigInteger.One << parameters.DroppedBits) >> 1;
            Assert.That((BigInteger)words[0], Is.EqualTo((full + rounding) >> parameters.DroppedBits));
            Assert.That(UInt128.Log2(words[0] | 1), Is.LessThan((UInt128)parameters.UploadBits));
        }
    }

    [TestCaseSource(nameof(Sets))]
    public void Sums_come_back_whatever_the_noise_within_the_bound(ExactParameters parameters)
    {
        var codec = new ExactCodec(parameters);
        var q = (BigInteger)parameters.Modulus;
        var random = new Random(2);
        var p = parameters.ValuesPerCoefficient;
        var largest = parameters.MaxSummands * (long)parameters.Format.Largest;
        for (var trial = 0; trial < 2000; trial++)
        {
            var sums = Enumerable.Range(0, p).Select(_ => Extreme(random, largest)).ToArray();
            var message = Enumerable.Range(0, p).Aggregate(BigInteger.Zero, (sum, k) => sum + ((BigInteger)sums[k] << (k * parameters.SlotBits)));

            // A coefficient whose multiple of 2^d is as far from the message as the bound allows, and some turns around q.
            var noise = (BigInteger)(trial % 3 == 0 ? parameters.NoiseBound : trial % 3 == 1 ? -parameters.NoiseBound : random.NextInt64(-parameters.NoiseBound, parameters.NoiseBound + 1));
            var mask = new BigInteger(random.NextDouble() * (double)q) % q;
            var turns = random.Next(parameters.MaxSummands);
            var total = (((message << parameters.MessageShift) + noise + mask) % q + q) % q + (turns * q);
            var off = (int)(total % (BigInteger.One << parameters.DroppedBits));
            mask = ((mask - off) % q + q) % q; // makes total a multiple of 2^d
            var word = (UInt128)((total - off) >> parameters.DroppedBits);

            var decoded = new long[p];
            codec.Decode([word], [Residue(mask, parameters.Moduli[0])], [Residue(mask, parameters.Moduli[^1])], decoded);
            Assert.That(decoded, Is.EqualTo(sums), $"trial {trial}");
        }
    }

    [Test]
    public void One_more_unit_of_noise_than_the_bound_can_break_a_sum()
    {
        // 2^9 carries noise below 256: the bound of the proof is the true one.
        var parameters = new ExactParameters(FixedPoint.ForRange(4, 20), 8, 2048, PrimeSearch.NttPrimes(2048, 40), 1, 9, 0);
        var codec = new ExactCodec(parameters);
        var sums = new long[1];
        codec.Decode([(5 << 9) + 255], [0], [0], sums);
        Assert.That(sums[0], Is.EqualTo(5));
        codec.Decode([(5 << 9) + 256], [0], [0], sums);
        Assert.That(sums[0], Is.EqualTo(6));
    }

    [Test]
    public void Packed_words_come_back_at_every_width()
    {
        var random = new Random(3);
        for (var width = 1; width <= 127; width++)
            foreach (var count in new[] { 1, 2, 7, 64 })
            {
                var words = Enumerable.Range(0, count)
                    .Select(_ => new UInt128((ulong)random.NextInt64(), (ulong)random.NextInt64(long.MinValue, long.MaxValue)) >> (128 - width))
                    .ToArray();
                words[0] = (UInt128.One << width) - 1;
                var packed = new byte[((count * width) + 7) / 8];
                BitPacking.Pack(words, width, packed);

                var oracle = BigInteger.Zero;
                for (var i = 0; i < count; i++)
                    oracle += (BigInteger)words[i] << (i * width);
                var sums = new UInt128[count];
                BitPacking.AddTo(packed, width, sums);
                Assert.That(new BigInteger(packed, isUnsigned: true), Is.EqualTo(oracle), $"width {width}");
                Assert.That(sums, Is.EqualTo(words), $"width {width}");
                Assert.That(BitPacking.IsPaddedWithZeros(packed, count, width), Is.True);
            }
    }

    [Test]
    public void A_tag_is_the_sum_of_products_in_its_field()
    {
        var prime = (BigInteger.One << 127) - 1;
        var key = ExactFixture.Entropy(1, "tag");
        var random = new Random(4);
        using var factors = new AesStream(key, new AesBuffer());
        foreach (var count in new[] { 1, 2, 1024, 1500, 8192 })
        {
            var largest = (UInt128.One << 115) - 1;
            var words = Enumerable.Range(0, count)
                .Select(i => i % 2 == 0 ? largest : new UInt128((ulong)random.NextInt64(1L << 51), (ulong)random.NextInt64())).ToArray();
            var expected = BigInteger.Zero;
            using var oracle = new AesStream(key, new AesBuffer());
            oracle.Seek(9);
            for (var i = 0; i < count; i += 2)
            {
                var pair = oracle.Next(2);
                expected += pair[0] * (BigInteger)words[i];
                expected += i + 1 < count ? pair[1] * (BigInteger)words[i + 1] : 0;
            }

            Assert.That((BigInteger)LinearTag.Hash(factors, 9, words), Is.EqualTo(expected % prime));
        }
    }

    private static ulong Residue(BigInteger x, ulong q) => (ulong)(x % q);

    private static int Extreme(Random random, int largest) => (int)Extreme(random, (long)largest);

    private static long Extreme(Random random, long largest)
        => random.Next(4) switch { 0 => largest, 1 => -largest, 2 => 0, _ => random.NextInt64(-largest, largest + 1) };
}

using System.Numerics;
using Flare.Crypto;

namespace Flare.Tests.Crypto;

/// <summary>Coefficients against big integers, with noise at its bounds, on every path.</summary>
public class RlweCodecTests
{
    public static IEnumerable<RlweParameters> Sets()
    {
        yield return RlweParameters.Choose(8, Quantization.ForRange(4, 22)); // three values, two primes
        yield return RlweParameters.Choose(8, Quantization.ForRange(4, 16)); // four values
        yield return RlweParameters.Choose(1000, Quantization.ForRange(4, 32)); // two values of 42 bits
        yield return RlweParameters.Choose(8192, Quantization.ForRange(4, 22)); // the most sites
        yield return new RlweParameters(
            Quantization.ForRange(4, 20), 8, 2048, PrimeSearch.NttPrimes(2048, 40), 1, 9, 0); // one, one prime
        yield return new RlweParameters(
            Quantization.ForRange(4, 32), 8192, 4096, PrimeSearch.NttPrimes(4096, 50, 50), 1, 50,
            0); // as far as it goes
    }

    [Test]
    public void A_coefficient_is_message_plus_noise_plus_randomness_rounded(
        [ValueSource(nameof(Sets))] RlweParameters parameters, [Values] bool portable)
    {
        const int n = 2003; // not a multiple of any vector
        var codec = new RlweCodec(parameters, Path(portable));
        var q = (BigInteger)parameters.Modulus;
        var random = new Random(1);
        var p = parameters.ValuesPerCoefficient;
        var (integers, noise, masks) = (new int[p * n], new long[n], new BigInteger[n]);
        for (var i = 0; i < n; i++)
        {
            for (var k = 0; k < p; k++)
                integers[(k * n) + i] = Extreme(random, parameters.Format.Largest);
            noise[i] = random.Next(
                3) switch { 0 => Samplers.NoiseBound, 1 => -Samplers.NoiseBound, _ => random.Next(-21, 22) };
            masks[i] = Mask(random, q);
        }

        var (first, last) = Digits(parameters, masks);
        var (low, high) = (new ulong[n], new ulong[n]);
        codec.Encode(integers, noise, first, last, low, high);
        for (var i = 0; i < n; i++)
        {
            var message = Enumerable.Range(0, p)
                .Aggregate(
                    BigInteger.Zero, (sum, k) => sum
                    + ((BigInteger)integers[(k * n) + i] << (k * parameters.SlotBits)));
            var full = (((message << parameters.MessageShift) + noise[i] + masks[i]) % q + q) % q;
            var rounding = (BigInteger.One << parameters.DroppedBits) >> 1;
            var word = new UInt128(high[i], low[i]);
            Assert.That((BigInteger)word, Is.EqualTo((full + rounding) >> parameters.DroppedBits));
            Assert.That(UInt128.Log2(word | 1), Is.LessThan((UInt128)parameters.UploadBits));
        }
    }

    [Test]
    public void Sums_come_back_whatever_the_noise_within_the_bound(
        [ValueSource(nameof(Sets))] RlweParameters parameters, [Values] bool portable, [Values(0, 1)] int missing)
    {
        const int n = 2003;
        var codec = new RlweCodec(parameters, Path(portable));
        var q = (BigInteger)parameters.Modulus;
        var random = new Random(2);
        var p = parameters.ValuesPerCoefficient;
        var largest = parameters.MaxSummands * (long)parameters.Format.Largest;
        missing = p == 1 ? 0 : missing; // of the last coefficient's values
        var (expected, masks, low, high) = (new long[p * n], new BigInteger[n], new ulong[n], new ulong[n]);
        for (var i = 0; i < n; i++)
        {
            var message = BigInteger.Zero;
            for (var k = 0; k < p; k++)
            {
                var sum = expected[(k * n) + i] = (k * n) + i < (p * n) - missing ? Extreme(random, largest) : 0;
                message += (BigInteger)sum << (k * parameters.SlotBits);
            }

            // A coefficient whose multiple of 2^d is as far from the message as the bound allows, and some turns around
            // q.
            var noise = (BigInteger)random.NextInt64(-parameters.NoiseBound, parameters.NoiseBound + 1);
            noise = random.Next(3) switch { 0 => parameters.NoiseBound, 1 => -parameters.NoiseBound, _ => noise };
            var mask = Mask(random, q);
            var turns = random.Next(parameters.MaxSummands);
            var total = (message << parameters.MessageShift) + noise + mask + (turns * q);
            total = total < 0 ? total + q : total;
            var off = (int)(total % (BigInteger.One << parameters.DroppedBits));
            masks[i] = ((mask - off) % q + q) % q; // makes total a multiple of 2^d
            var word = (UInt128)((total - off) >> parameters.DroppedBits);
            (low[i], high[i]) = ((ulong)word, (ulong)(word >> 64));
        }

        var (first, last) = Digits(parameters, masks);
        var decoded = new long[(p * n) - missing];
        codec.Decode(low, high, first, last, decoded);
        Assert.That(decoded.AsSpan().SequenceEqual(expected.AsSpan(0, decoded.Length)), Is.True);
    }

    [Test]
    public void One_more_unit_of_noise_than_the_bound_can_break_a_sum()
    {
        // 2^9 carries noise below 256: the bound of the proof is the true one.
        var parameters = new RlweParameters(
            Quantization.ForRange(4, 20), 8, 2048, PrimeSearch.NttPrimes(2048, 40), 1, 9, 0);
        var codec = new RlweCodec(parameters);
        var sums = new long[1];
        codec.Decode([(5 << 9) + 255], [0], [0], [0], sums);
        Assert.That(sums[0], Is.EqualTo(5));
        codec.Decode([(5 << 9) + 256], [0], [0], [0], sums);
        Assert.That(sums[0], Is.EqualTo(6));
    }

    [Test]
    public void Packed_coefficients_come_back_at_every_width([Values] bool portable)
    {
        var random = new Random(3);
        for (var width = 1; width <= 127; width++)
            foreach (var count in new[] { 1, 2, 7, 8, 31, 64 })
            {
                var words = Enumerable.Range(0, count)
                    .Select(
                        _ => new UInt128(
                            (ulong)random.NextInt64(), (ulong)random.NextInt64(long.MinValue, long.MaxValue))
                            >> (128 - width))
                    .ToArray();
                words[0] = (UInt128.One << width) - 1;
                var (low, high) =
                    (Array.ConvertAll(words, word => (ulong)word),
                        Array.ConvertAll(words, word => (ulong)(word >> 64)));
                var packed = new byte[((count * width) + 7) / 8];
                BitPacking.Pack(low, high, width, packed);

                // Lower words, then runs of bits: both are sums of powers of two.
                var oracle = BigInteger.Zero;
                for (var i = 0; i < count; i++)
                    oracle += width <= 64
                        ? (BigInteger)low[i] << (i * width)
                        : ((BigInteger)low[i] << (i * 64))
                        + ((BigInteger)high[i] << ((count * 64) + (i * (width - 64))));
                Assert.That(new BigInteger(packed, isUnsigned: true), Is.EqualTo(oracle), $"width {width}");
                Assert.That(BitPacking.IsPaddedWithZeros(packed, count, width), Is.True);

                // Added to what carries into the upper word as often as not.
                var sums = Enumerable.Range(0, count)
                    .Select(_ => new UInt128(0, (ulong)random.NextInt64(long.MinValue, long.MaxValue))).ToArray();
                var (lowSums, highSums) = (Array.ConvertAll(sums, sum => (ulong)sum), new ulong[count]);
                BitPacking.AddTo(packed, width, lowSums, highSums, Path(portable));
                Assert.That(
                    lowSums.Zip(highSums, (l, h) => new UInt128(h, l)),
                    Is.EqualTo(sums.Zip(words, (sum, word) => sum + word)), $"width {width}");
            }
    }

    [Test]
    public void A_tag_is_the_sum_of_products_in_its_field([Values] bool portable)
    {
        var prime = (BigInteger.One << 127) - 1;
        var key = RlweFixture.Entropy(1, "tag");
        var random = new Random(4);
        using var secrets = new AesStream(key, new AesBuffer());
        foreach (var count in new[] { 1, 2, 63, 1024, 1502, 8192 })
            foreach (var (bits, largest) in new[] { (115, false), (115, true), (84, false), (84, true), (40, true) })
            {
                var bound = (UInt128.One << bits) - 1;
                var words = Enumerable.Range(0, count)
                    .Select(
                        i => largest || i % 2 == 0 ? bound
                        : new UInt128((ulong)random.NextInt64(1L << 51), (ulong)random.NextInt64()) & bound).ToArray();
                var factors = new ulong[count];
                LinearTag.Factors(secrets, factors);
                using var oracle = new AesStream(key, new AesBuffer(), KernelPath.Portable);
                for (var i = 0; i < count; i += 2)
                    Assert.That(oracle.Next(2).StartsWith(factors.AsSpan(i, Math.Min(2, count - i))));
                if (largest)
                    factors.AsSpan().Fill(ulong.MaxValue);
                var inner = factors.Zip(words, (factor, word) => factor * (BigInteger)word)
                    .Aggregate(BigInteger.Zero, (sum, product) => sum + product);
                oracle.Seek(10);
                var block = oracle.Next(2);
                var outer = new UInt128(block[1], block[0]);
                var hash = LinearTag.Hash(
                    secrets, 9, factors, Array.ConvertAll(words, word => (ulong)word),
                    Array.ConvertAll(words, word => (ulong)(word >> 64)), bits, Path(portable));
                Assert.That((BigInteger)hash, Is.EqualTo(outer * inner % prime));
            }
    }

    [Test]
    public void Products_in_the_tags_field_are_those_of_integers()
    {
        UInt128[] values =
            [0, 1, 2, (UInt128.One << 64) - 1, UInt128.One << 64, UInt128.One << 126, LinearTag.Prime - 1,
                new(0x123456789ABCDEF0, 0xFEDCBA9876543210)];
        foreach (var a in values)
            foreach (var b in values)
                Assert.That(
                    (BigInteger)LinearTag.Multiply(a, b), Is.EqualTo((BigInteger)a * b % LinearTag.Prime),
                    $"{a} · {b}");
    }

    private static BigInteger Mask(Random random, BigInteger q)
        => random.Next(
            5) switch { 0 => 0, 1 => q - 1, 2 => q / 2, _ => new BigInteger(random.NextDouble() * (double)q) % q };

    /// <summary>For each prime, the number times the inverse of the other prime, modulo this one.</summary>
    private static (ulong[] First, ulong[] Last) Digits(RlweParameters parameters, BigInteger[] numbers)
    {
        var digits = parameters.Moduli.Select((q, prime) =>
        {
            var inverse = BigInteger.ModPow(parameters.Modulus / q, q - 2, q);
            return Array.ConvertAll(numbers, x => (ulong)(x * inverse % q));
        }).ToArray();
        return (digits[0], digits[^1]);
    }

    private static int Extreme(Random random, int largest) => (int)Extreme(random, (long)largest);

    private static long Extreme(Random random, long largest)
        => random.Next(4) switch { 0 => largest, 1 => -largest, 2 => 0, _ => random.NextInt64(-largest, largest + 1) };

    private static KernelPath Path(bool portable) => portable ? KernelPath.Portable : KernelPath.Best;
}

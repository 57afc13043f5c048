using System.Numerics;
using Flare.Crypto;

namespace Flare.Tests.Crypto.Ckks;

public class CkksTests
{
    private const double Scale = 1L << 40;

    private static readonly CkksParameters Parameters = CkksParameters.NvFlare;
    private static readonly CkksSecretKey Key = CkksSecretKey.Generate(Parameters, TestEntropy.Seeded(1));
    private static readonly CkksPublicKey PublicKey = Key.CreatePublicKey(TestEntropy.Seeded(2));

    [OneTimeTearDown]
    public void DisposeOfTheKey() => Key.Dispose();

    private static double[] Values(int seed, double size = 1)
    {
        var random = new Random(seed);
        return Enumerable.Range(0, Parameters.SlotCount).Select(_ => size * (2 * random.NextDouble() - 1)).ToArray();
    }

    private static CkksCiphertext Encrypt(double[] values, int seed = 10, double scale = Scale, bool seeded = true)
    {
        using var encryptor = new CkksEncryptor(Key, TestEntropy.Seeded(seed)) { Seeded = seeded };
        var ciphertext = new CkksCiphertext(Parameters);
        encryptor.Encrypt(values, scale, ciphertext);
        return ciphertext;
    }

    private static double[] Raw(CkksCiphertext ciphertext, CkksSecretKey? key = null)
    {
        using var decryptor = new CkksDecryptor(key ?? Key);
        var values = new double[Parameters.SlotCount];
        decryptor.DecryptRaw(ciphertext, values);
        return values;
    }

    private static double Distance(IEnumerable<double> a, IEnumerable<double> b) =>
        a.Zip(b, (x, y) => Math.Abs(x - y)).Max();

    [Test]
    public void Parameters_are_SEALs()
    {
        Assert.That(Parameters.Primes, Is.EqualTo(new ulong[] { 1152921504606830593, 1099510890497, 1099511480321 }));
        Assert.That(
            Parameters.Transforms.Select(t => t.Root), Is.EqualTo(new ulong[] { 25959043411404, 5405730, 30370987 }));
        Assert.That(
            Parameters.KeyLevel.Id.ToString(),
            Is.EqualTo("85781cbcb880e0f0e18ecd8ee52fbb09392439b574582e884252d89c1c867689"));
        Assert.That(
            Parameters.FirstLevel.Id.ToString(),
            Is.EqualTo("12d07a83d1477fc4b90a7075c1428058d1e88b6c7186932e7c200d2289ff8f2e"));
        Assert.That(Parameters.Levels.Select(l => l.PrimeCount), Is.EqualTo(new[] { 2, 1 }));
    }

    [TestCase(4096, 60, 50)]
    [TestCase(8192, 60, 60, 60, 60)]
    [TestCase(1000, 20)]
    [TestCase(512, 20)]
    [TestCase(8192, 61)]
    [TestCase(8192, 12)]
    [TestCase(8192)]
    public void Parameters_that_are_insecure_or_impossible_are_refused(int degree, params int[] bits)
        => Assert.That(() => CkksParameters.Create(degree, bits), Throws.TypeOf<FlareCryptoException>());

    [Test]
    public void Primes_must_be_distinct_and_prime()
    {
        var q = Parameters.Primes[0];
        Assert.That(
            () => new CkksParameters(8192, q, q), Throws.TypeOf<FlareCryptoException>().With.Message.Contains("twice"));
        Assert.That(() => new CkksParameters(8192, q + 16384), Throws.TypeOf<FlareCryptoException>());
        Assert.That(() => new CkksParameters(8192, 16384 * 15 + 1), Throws.TypeOf<FlareCryptoException>());
    }

    [Test]
    public void Complex_values_survive_encoding()
    {
        var encoder = new CkksEncoder(Parameters);
        var random = new Random(3);
        var values = Enumerable.Range(0, Parameters.SlotCount)
            .Select(_ => new Complex(random.NextDouble(), random.NextDouble())).ToArray();
        var decoded = new Complex[values.Length];
        encoder.Decode(encoder.Encode(values, Scale), decoded);
        Assert.That(values.Zip(decoded, (a, b) => (a - b).Magnitude).Max(), Is.LessThan(1e-9));
    }

    // 2^45 and 2^75 make coefficients above the smaller prime, and above 64 bits: other ways through the encoder.
    [TestCase(40, 1e-9)]
    [TestCase(45, 1e-10)]
    [TestCase(62, 1e-14)]
    [TestCase(75, 1e-14)]
    public void Values_of_every_size_survive_encryption(int logScale, double tolerance)
    {
        var values = Values(4);
        values[^1] = 1000;
        var scale = Math.ScaleB(1, logScale);
        var actual = Raw(Encrypt(values, scale: scale));
        Assert.That(Distance(actual, values), Is.LessThan(Math.Max(tolerance, 1e-12)));
        var encoder = new CkksEncoder(Parameters);
        var decoded = new Complex[values.Length];
        encoder.Decode(encoder.Encode(values, scale), decoded);
        Assert.That(Distance(decoded.Select(z => z.Real), values), Is.LessThan(Math.Max(tolerance, 1e-12)));
    }

    [Test]
    public void Every_kind_of_encryption_decrypts()
    {
        var values = Values(5);
        var encoder = new CkksEncoder(Parameters);
        using var symmetric = new CkksEncryptor(Key);
        using var @public = new CkksEncryptor(PublicKey);
        using var shake = new CkksEncryptor(Key) { SeedKind = SealGeneratorKind.Shake256 };
        foreach (var encryptor in new[] { symmetric, @public, shake })
        {
            var fresh = new CkksCiphertext(Parameters);
            encryptor.Encrypt(values, Scale, fresh);
            Assert.That(Distance(Raw(fresh), values), Is.LessThan(2e-8));
            Assert.That(fresh.IsSeeded, Is.EqualTo(encryptor != @public));
            foreach (var level in Parameters.Levels)
            {
                var lower = encryptor.Encrypt(encoder.Encode(values, Scale, level));
                Assert.That(lower.Level, Is.SameAs(level));
                Assert.That(Distance(Raw(lower), values), Is.LessThan(2e-8));
            }
        }
    }

    [Test]
    public void Floats_encrypt_as_the_same_doubles()
    {
        var floats = Values(6).Select(v => (float)v).ToArray();
        using var encryptor = new CkksEncryptor(Key, TestEntropy.Seeded(7));
        using var same = new CkksEncryptor(Key, TestEntropy.Seeded(7));
        var (a, b) = (new CkksCiphertext(Parameters), new CkksCiphertext(Parameters));
        encryptor.Encrypt(floats, Scale, a);
        same.Encrypt(floats.Select(v => (double)v).ToArray(), Scale, b);
        Assert.That(a.Words.SequenceEqual(b.Words), Is.True);
    }

    [Test]
    public void Two_encryptions_of_the_same_values_differ_everywhere()
    {
        var values = Values(6);
        using var encryptor = new CkksEncryptor(Key);
        var (a, b) = (new CkksCiphertext(Parameters), new CkksCiphertext(Parameters));
        encryptor.Encrypt(values, Scale, a);
        encryptor.Encrypt(values, Scale, b);
        var equal = a.Words.ToArray().Zip(b.Words.ToArray(), (x, y) => x == y).Count(same => same);
        Assert.That(equal, Is.LessThan(3));
    }

    [Test]
    public void Sums_differences_and_products_decrypt()
    {
        var (x, y) = (Values(8), Values(9));
        var sum = Encrypt(x, 11);
        CkksEvaluator.Add(sum, Encrypt(y, 12));
        Assert.That(Distance(Raw(sum), x.Zip(y, (a, b) => a + b)), Is.LessThan(3e-9));

        var difference = Encrypt(x, 11);
        CkksEvaluator.Subtract(difference, Encrypt(y, 12));
        Assert.That(Distance(Raw(difference), x.Zip(y, (a, b) => a - b)), Is.LessThan(3e-9));

        var product = Encrypt(x, 11);
        CkksEvaluator.Multiply(product, new CkksEncoder(Parameters).Encode(y, Scale));
        Assert.That(product.Scale, Is.EqualTo(Scale * Scale));
        Assert.That(Distance(Raw(product), x.Zip(y, (a, b) => a * b)), Is.LessThan(3e-9));
        CkksEvaluator.Rescale(product);
        Assert.That(product.Scale, Is.EqualTo(Scale).Within(1).Percent);
        Assert.That(product.Level, Is.SameAs(Parameters.Levels[1]));
        Assert.That(Distance(Raw(product), x.Zip(y, (a, b) => a * b)), Is.LessThan(2e-8));
        Assert.That(
            () => CkksEvaluator.Rescale(product),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("lowest"));

        var lower = Encrypt(x, 11);
        CkksEvaluator.SwitchDown(lower);
        Assert.That(Distance(Raw(lower), x), Is.LessThan(3e-9));
        Assert.That(lower.IsSeeded, Is.False);
    }

    [Test]
    public void Three_levels_compose_and_rescale()
    {
        var parameters = CkksParameters.Create(16384, 60, 40, 40, 50, 60);
        using var key = CkksSecretKey.Generate(parameters, TestEntropy.Seeded(20));
        using var encryptor = new CkksEncryptor(key, TestEntropy.Seeded(21));
        using var decryptor = new CkksDecryptor(key);
        var values = Enumerable.Range(0, parameters.SlotCount).Select(i => Math.Cos(i)).ToArray();
        var ciphertext = new CkksCiphertext(parameters);
        encryptor.Encrypt(values, Math.ScaleB(1, 40), ciphertext);
        var factor = Enumerable.Repeat(-1.5, parameters.SlotCount).ToArray();
        for (var round = 1; round <= 3; round++)
        {
            CkksEvaluator.Multiply(
                ciphertext, new CkksEncoder(parameters).Encode(
                    factor, parameters.Primes[ciphertext.Level.PrimeCount - 1], ciphertext.Level));
            CkksEvaluator.Rescale(ciphertext);
            var actual = new double[values.Length];
            decryptor.DecryptRaw(ciphertext, actual);
            Assert.That(
                Distance(actual, values.Select(v => v * Math.Pow(-1.5, round))), Is.LessThan(1e-7), $"round {round}");
        }
    }

    [Test]
    public void Operands_that_do_not_belong_together_are_refused()
    {
        var values = Values(13);
        var a = Encrypt(values);
        Assert.That(
            () => CkksEvaluator.Add(a, Encrypt(values, scale: Scale * 2)),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("scales differ"));
        var lower = Encrypt(values);
        CkksEvaluator.SwitchDown(lower);
        Assert.That(
            () => CkksEvaluator.Add(a, lower),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("levels differ"));
        Assert.That(
            () => CkksEvaluator.Subtract(lower, a),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("levels differ"));
        Assert.That(
            () => CkksEvaluator.Add(a, new CkksCiphertext(Parameters)),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("empty"));
        var others = CkksParameters.Create(4096, 60, 49);
        Assert.That(
            () => CkksEvaluator.Add(a, new CkksCiphertext(others)),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("other parameters"));
        var encoder = new CkksEncoder(Parameters);
        Assert.That(
            () => CkksEvaluator.Multiply(a, encoder.Encode(values, Scale, lower.Level)),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("levels differ"));
        Assert.That(
            () => CkksEvaluator.Multiply(a, encoder.Encode(values, Math.ScaleB(1, 70))),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("scale"));
        Assert.That(
            () => CkksEvaluator.Multiply(a, encoder.Encode([0.0], Scale)),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("zero"));
        using var decryptor = new CkksDecryptor(Key);
        Assert.That(
            () => decryptor.Decrypt(new CkksCiphertext(others), new double[1]), Throws.TypeOf<FlareCryptoException>());
    }

    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    [TestCase(double.NegativeInfinity)]
    [TestCase(1e300)]
    [TestCase(1e22)]
    public void Values_that_cannot_be_encrypted_are_refused(double bad)
    {
        var values = Values(14);
        values[100] = bad;
        Assert.That(() => Encrypt(values), Throws.TypeOf<FlareCryptoException>());
    }

    [TestCase(0)]
    [TestCase(-1)]
    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    [TestCase(1e40)]
    public void Scales_out_of_range_are_refused(double scale)
        => Assert.That(() => Encrypt(Values(15), scale: scale), Throws.TypeOf<FlareCryptoException>());

    [Test]
    public void Another_key_and_damage_are_noticed()
    {
        using var other = CkksSecretKey.Generate(Parameters, TestEntropy.Seeded(30));
        var ciphertext = Encrypt(Values(16));
        Assert.That(
            () => Raw(ciphertext, other), Throws.TypeOf<FlareCryptoException>().With.Message.Contains("another key"));
        var random = new Random(17);
        for (var i = 0; i < 10; i++)
        {
            var damaged = new CkksCiphertext(Parameters);
            damaged.CopyFrom(ciphertext);
            ref var word = ref damaged.Words[random.Next(damaged.Words.Length)];
            word = word == 0 ? 1 : word - 1;
            Assert.That(() => Raw(damaged), Throws.TypeOf<FlareCryptoException>());
        }
    }

    [Test]
    public void Decryptions_are_rounded_to_bits_that_are_not_noise()
    {
        using var decryptor = new CkksDecryptor(Key);
        var sum = Encrypt(new double[Parameters.SlotCount], 40);
        for (var i = 1; i < 8; i++) CkksEvaluator.Add(sum, Encrypt(new double[Parameters.SlotCount], 40 + i));
        var raw = Raw(sum);
        var values = new double[Parameters.SlotCount];
        var bits = decryptor.Decrypt(sum, values);
        Assert.That(bits, Is.EqualTo(27));
        Assert.That(raw.Count(v => v == 0), Is.Zero, "the raw decryption shows the noise");
        Assert.That(values, Is.All.EqualTo(0), "and the rounded one does not");

        var x = Values(18);
        bits = decryptor.Decrypt(Encrypt(x), values);
        Assert.That(values.Select(v => v * Math.ScaleB(1, bits)), Is.All.Matches<double>(double.IsInteger));
        Assert.That(Distance(values, x), Is.LessThan(Math.ScaleB(1, -bits)));
    }

    [Test]
    public void Noise_estimates_match_what_is_measured()
    {
        using var symmetric = new CkksEncryptor(Key, TestEntropy.Seeded(50));
        using var @public = new CkksEncryptor(PublicKey, TestEntropy.Seeded(51));
        Assert.That(Measured(symmetric), Is.EqualTo(NoiseEstimate.Symmetric.Variance).Within(10).Percent);
        Assert.That(Measured(@public), Is.EqualTo(NoiseEstimate.PublicKey(Parameters).Variance).Within(10).Percent);

        double Measured(CkksEncryptor encryptor)
        {
            var ciphertext = new CkksCiphertext(Parameters);
            encryptor.Encrypt(new double[] { 0 }, Scale, ciphertext);
            return Raw(ciphertext).Sum(v => v * v) / Parameters.SlotCount * Scale * Scale * 2 / Parameters.Degree;
        }
    }

    [Test]
    public void Encrypting_adding_and_decrypting_allocate_no_polynomial()
    {
        using var encryptor = new CkksEncryptor(Key);
        using var decryptor = new CkksDecryptor(Key);
        var values = new float[Parameters.SlotCount];
        var (a, b) = (new CkksCiphertext(Parameters), new CkksCiphertext(Parameters));
        Round();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10; i++) Round();
        Assert.That(
            GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(10 * sizeof(ulong) * Parameters.Degree / 2));

        void Round()
        {
            encryptor.Encrypt(values, Scale, a);
            encryptor.Encrypt(values, Scale, b);
            CkksEvaluator.Add(a, b);
            decryptor.Decrypt(a, a.Noise, values);
        }
    }
}

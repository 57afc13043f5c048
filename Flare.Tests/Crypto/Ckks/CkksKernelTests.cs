using Flare.Crypto;

namespace Flare.Tests.Crypto.Ckks;

public class CkksKernelTests
{
    private static readonly CkksParameters Parameters = CkksParameters.NvFlare;

    [Test]
    public void Secrets_are_ternary_in_even_parts_and_noise_is_centred_binomial()
    {
        var stream = new SealGenerator(SealGeneratorKind.Blake2xb, new byte[64]);
        var ternary = new long[30000];
        CkksSampling.Ternary(stream, ternary);
        foreach (var value in new long[] { -1, 0, 1 })
            Assert.That(ternary.Count(v => v == value), Is.EqualTo(10000).Within(350));
        Assert.That(ternary, Is.All.InRange(-1, 1));

        var noise = new long[100000];
        CkksSampling.Noise(stream, noise, new byte[6 * noise.Length + 8]);
        Assert.That(noise, Is.All.InRange(-21, 21));
        Assert.That(noise.Average(), Is.EqualTo(0).Within(0.05));
        Assert.That(noise.Select(v => (double)(v * v)).Average(), Is.EqualTo(10.5).Within(0.2));
    }

    [Test]
    public void Uniform_residues_are_the_same_on_every_path()
    {
        // 0.7·2^60 leaves nearly 4 % of all words to be drawn again.
        var uneven = 807045053224796161UL;
        while (!PrimeSearch.IsPrime(uneven)) uneven += 16384;
        var transforms = new[] { Ntt.For(8192, uneven), Parameters.Transforms[0], Parameters.Transforms[1],
            Ntt.For(8192, 65537) };
        var (plain, fast) = (new ulong[8192 * 4], new ulong[8192 * 4]);
        CkksSampling.Uniform(
            new SealGenerator(SealGeneratorKind.Blake2xb, new byte[64]), transforms, 8192, plain, KernelPath.Portable);
        CkksSampling.Uniform(new SealGenerator(SealGeneratorKind.Blake2xb, new byte[64]), transforms, 8192, fast);
        Assert.That(fast, Is.EqualTo(plain));

        // What SEAL's source says, with the slowest arithmetic there is.
        var stream = new SealGenerator(SealGeneratorKind.Blake2xb, new byte[64]);
        var expected = new UInt128[plain.Length];
        for (var i = 0; i < expected.Length; i++) expected[i] = stream.NextWord();
        var redrawn = 0;
        for (var i = 0; i < expected.Length; i++)
        {
            UInt128 q = transforms[i / 8192].Modulus.Value;
            for (; expected[i] >= ulong.MaxValue - ulong.MaxValue % q - 1; redrawn++) expected[i] = stream.NextWord();
            expected[i] %= q;
        }
        Assert.That(plain.Select(r => (UInt128)r), Is.EqualTo(expected));
        Assert.That(redrawn, Is.GreaterThan(200));
    }

    [Test]
    public void Products_with_the_key_are_the_same_on_every_path()
    {
        using var key = CkksSecretKey.Generate(Parameters, TestEntropy.Seeded(60));
        using var plain = new KeyProduct(key, KernelPath.Portable);
        using var fast = new KeyProduct(key);
        var random = new Random(61);
        for (var prime = 0; prime < 3; prime++)
        {
            var q = Parameters.Primes[prime];
            var a = Enumerable.Range(0, Parameters.Degree)
                .Select(i => i == 0 ? 0 : i == 1 ? q - 1 : (ulong)random.NextInt64((long)q)).ToArray();
            var expected = new ulong[a.Length];
            for (var j = 0; j < a.Length; j++)
                expected[j] = (ulong)((a[^(j + 1)] + (UInt128)a[j] * key.Residues[prime * a.Length + j]) % q);
            foreach (var product in new[] { plain, fast })
            {
                var c = Enumerable.Reverse(a).ToArray();
                product.AddTo(c, a, prime);
                Assert.That(c, Is.EqualTo(expected));
                product.SubtractFrom(c, a, prime);
                Assert.That(c, Is.EqualTo(Enumerable.Reverse(a)));
            }
        }
    }

    [Test]
    public void Sums_and_differences_of_residues_stay_below_the_prime()
    {
        foreach (var q in Parameters.Primes)
        {
            ulong[] edges = [0, 1, q / 2, q / 2 + 1, q - 1];
            var a = (from x in edges from y in edges select x).ToArray();
            var b = (from x in edges from y in edges select y).ToArray();
            var (sum, difference) = ((ulong[])a.Clone(), (ulong[])a.Clone());
            Residues.Add(sum, b, q);
            Residues.Subtract(difference, b, q);
            Assert.That(sum, Is.EqualTo(a.Zip(b, (x, y) => (x + y) % q)));
            Assert.That(difference, Is.EqualTo(a.Zip(b, (x, y) => (x + q - y) % q)));
        }
    }
}

using System.Numerics;
using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class NttTests
{
    [TestCase(2, 20)]
    [TestCase(16, 30)]
    [TestCase(128, 48)]
    [TestCase(256, 60)]
    [TestCase(64, 61)]
    public void Value_j_is_the_polynomial_at_an_odd_power_of_the_root(int degree, int bits)
    {
        var ntt = new Ntt(degree, new Modulus(PrimeSearch.NttPrimes(degree, bits)[0]));
        var coefficients = Residues(ntt, seed: 1);
        var values = coefficients.ToArray();
        ntt.Forward(values);

        var log = BitOperations.Log2((uint)degree);
        for (var j = 0; j < degree; j++)
        {
            var reversed = 0;
            for (var b = 0; b < log; b++)
                reversed |= ((j >> b) & 1) << (log - 1 - b);
            var point = BigInteger.ModPow(ntt.Root, (2 * reversed) + 1, ntt.Modulus.Value);
            var expected = BigInteger.Zero;
            for (var i = degree - 1; i >= 0; i--)
                expected = ((expected * point) + coefficients[i]) % ntt.Modulus.Value;
            Assert.That((BigInteger)values[j], Is.EqualTo(expected), $"value {j}");
        }
    }

    [TestCase(2, 20)]
    [TestCase(8, 30)]
    [TestCase(2048, 48)]
    [TestCase(4096, 54)]
    [TestCase(8192, 60)]
    [TestCase(1024, 61)]
    public void Inverse_undoes_forward(int degree, int bits)
    {
        var ntt = new Ntt(degree, new Modulus(PrimeSearch.NttPrimes(degree, bits)[0]));
        foreach (var input in new[] { Residues(ntt, 2), Filled(ntt, ntt.Modulus.Value - 1), Filled(ntt, 0) })
        {
            var values = input.ToArray();
            ntt.Forward(values);
            Assert.That(values.Max(), Is.LessThan(ntt.Modulus.Value));
            ntt.Inverse(values);
            Assert.That(values, Is.EqualTo(input));
        }
    }

    [Test]
    public void Products_of_values_are_negacyclic_products_of_polynomials()
    {
        var ntt = Ntt.For(64, PrimeSearch.NttPrimes(64, 60)[0]);
        var q = ntt.Modulus.Value;
        var (a, b) = (Residues(ntt, 3), Residues(ntt, 4));
        var expected = new BigInteger[64];
        for (var i = 0; i < 64; i++)
            for (var j = 0; j < 64; j++)
                expected[(i + j) % 64] += (i + j < 64 ? 1 : -1) * (BigInteger)a[i] * b[j];

        ntt.Forward(a);
        ntt.Forward(b);
        for (var i = 0; i < 64; i++)
            a[i] = ntt.Modulus.Multiply(a[i], b[i]);
        ntt.Inverse(a);
        Assert.That(
            Array.ConvertAll(a, x => (BigInteger)x), Is.EqualTo(Array.ConvertAll(expected, x => ((x % q) + q) % q)));
    }

    [Test]
    public void A_span_of_another_length_is_refused()
    {
        var ntt = Ntt.For(64, PrimeSearch.NttPrimes(64, 40)[0]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => ntt.Forward(new ulong[63]), Throws.ArgumentException);
            Assert.That(() => ntt.Inverse(new ulong[65]), Throws.ArgumentException);
        }
    }

    [TestCase(3)]
    [TestCase(1)]
    [TestCase(1 << 18)]
    public void A_degree_that_is_no_power_of_two_in_range_is_refused(int degree)
        => Assert.That(() => new Ntt(degree, new Modulus(97)), Throws.InstanceOf<ArgumentException>());

    private static ulong[] Residues(Ntt ntt, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, ntt.Degree).Select(_ => (ulong)random.NextInt64((long)ntt.Modulus.Value))];
    }

    private static ulong[] Filled(Ntt ntt, ulong value) => [.. Enumerable.Repeat(value, ntt.Degree)];
}

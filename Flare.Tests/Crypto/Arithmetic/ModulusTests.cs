using System.Numerics;
using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class ModulusTests
{
    private static readonly ulong[] Moduli =
        [2, 3, 4, 17, 12289, 1ul << 32, (1ul << 32) + 15, 281474976694273, 1152921504606830593, (1ul << 60)
            + 1, (1ul << 61) - 1];

    [TestCaseSource(nameof(Moduli))]
    public void Operations_agree_with_big_integers(ulong q)
    {
        var modulus = new Modulus(q);
        var random = new Random(11);
        foreach (var (x, y) in Pairs(q, random))
        {
            BigInteger a = x % q, b = y % q;
            var (ra, rb) = ((ulong)a, (ulong)b);
            using (Assert.EnterMultipleScope())
            {
                Assert.That((BigInteger)modulus.Add(ra, rb), Is.EqualTo((a + b) % q));
                Assert.That((BigInteger)modulus.Subtract(ra, rb), Is.EqualTo((a - b + q) % q));
                Assert.That((BigInteger)modulus.Negate(ra), Is.EqualTo((q - a) % q));
                Assert.That((BigInteger)modulus.Multiply(x, y), Is.EqualTo((BigInteger)x * y % q));
                Assert.That((BigInteger)modulus.Reduce(x, y), Is.EqualTo((((BigInteger)x << 64) + y) % q));
                Assert.That(modulus.Reduce(x), Is.EqualTo(x % q));
                Assert.That(
                    (BigInteger)modulus.MultiplyFixed(x, rb, modulus.Quotient(rb)), Is.EqualTo((BigInteger)x * b % q));
                Assert.That((BigInteger)modulus.Power(x, y), Is.EqualTo(BigInteger.ModPow(x, y, q)));
                Assert.That(modulus.FromSigned(modulus.ToSigned(ra)), Is.EqualTo(ra));
                Assert.That((BigInteger)modulus.FromSigned((long)x), Is.EqualTo(((((BigInteger)(long)x) % q) + q) % q));
            }
        }
    }

    [TestCaseSource(nameof(Moduli))]
    public void An_inverse_multiplies_to_one_or_does_not_exist(ulong q)
    {
        var modulus = new Modulus(q);
        var random = new Random(12);
        for (var i = 0; i < 200; i++)
        {
            var a = (ulong)random.NextInt64() % q;
            if (BigInteger.GreatestCommonDivisor(a, q).IsOne)
                Assert.That(modulus.Multiply(a, modulus.Inverse(a)), Is.EqualTo(1ul));
            else
                Assert.That(() => modulus.Inverse(a), Throws.ArgumentException);
        }
    }

    [TestCase(0ul)]
    [TestCase(1ul)]
    [TestCase(1ul << 61)]
    public void A_modulus_out_of_range_is_refused(ulong q)
        => Assert.That(() => new Modulus(q), Throws.InstanceOf<ArgumentOutOfRangeException>());

    private static IEnumerable<(ulong X, ulong Y)> Pairs(ulong q, Random random)
    {
        ulong[] edges = [0, 1, q - 1, q, q + 1, (2 * q) - 1, 1ul << 63, ulong.MaxValue - 1, ulong.MaxValue];
        foreach (var x in edges)
            foreach (var y in edges)
                yield return (x, y);
        for (var i = 0; i < 300; i++)
            yield return ((ulong)random.NextInt64(long.MinValue, long.MaxValue),
                (ulong)random.NextInt64(long.MinValue, long.MaxValue));
    }
}

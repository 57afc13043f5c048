using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class PrimeSearchTests
{
    [Test]
    public void Primality_agrees_with_a_sieve()
    {
        const int limit = 20_000;
        var composite = new bool[limit];
        for (var p = 2; p < limit; p++)
        {
            for (var k = 2 * p; k < limit; k += p)
                composite[k] = true;
            Assert.That(PrimeSearch.IsPrime((ulong)p), Is.EqualTo(!composite[p]), $"{p}");
        }

        Assert.That(PrimeSearch.IsPrime(0) || PrimeSearch.IsPrime(1), Is.False);
    }

    [TestCase(3_215_031_751ul)] // passes bases 2, 3, 5, 7
    [TestCase(341_550_071_728_321ul)] // passes 2 to 17
    [TestCase(3_825_123_056_546_413_051ul)] // passes 2 to 23
    [TestCase(18_446_744_073_709_551_615ul)]
    public void Strong_pseudoprimes_are_not_primes(ulong n) => Assert.That(PrimeSearch.IsPrime(n), Is.False);

    [TestCase(18_446_744_073_709_551_557ul)]
    [TestCase(2_305_843_009_213_693_951ul)]
    public void Large_primes_are_primes(ulong n) => Assert.That(PrimeSearch.IsPrime(n), Is.True);

    [Test]
    public void Primes_come_in_SEALs_order()
    {
        Assert.That(PrimeSearch.NttPrimes(8192, 60, 40, 40),
            Is.EqualTo(new[] { 1152921504606830593ul, 1099510890497ul, 1099511480321ul }));
    }

    [Test]
    public void The_smallest_roots_are_SEALs()
    {
        ulong[] primes = [1152921504606830593, 1099510890497, 1099511480321];
        Assert.That(Array.ConvertAll(primes, q => PrimeSearch.MinimalRoot(8192, new Modulus(q))),
            Is.EqualTo(new[] { 25959043411404ul, 5405730ul, 30370987ul }));
    }

    [Test]
    public void Too_few_primes_of_a_size_are_an_error()
        => Assert.That(
            () => PrimeSearch.NttPrimes(8192, 15), Throws.ArgumentException.With.Message.Contains("15 bits"));

    [TestCase(1ul << 40)]
    [TestCase(1099510890499ul)]
    public void A_modulus_without_roots_is_refused(ulong q)
        => Assert.That(() => PrimeSearch.MinimalRoot(8192, new Modulus(q)), Throws.ArgumentException);
}

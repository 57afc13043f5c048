using System.Numerics;
using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class RlweParametersTests
{
    private static readonly Quantization Format = Quantization.ForRange(4, 22);

    [Test]
    public void Choice_is_frozen_and_the_same_everywhere()
    {
        var parameters = RlweParameters.Choose(8, Format);
        Assert.That(
            (parameters.Degree, parameters.ModulusBits, parameters.ValuesPerCoefficient, parameters.MessageShift,
                parameters.DroppedBits, parameters.Id),
            Is.EqualTo((4096, 85, 3, 10, 6, "d6efd0d04039f083e1c808e54daaa2a7")));
    }

    [Test]
    public void Every_choice_is_secure_and_within_its_bound([Values(1, 2, 8, 9, 64, 1000, 8192)]
    int sites, [Values(2, 8, 16, 22, 32)] int bits,
        [Values] SecurityLevel level)
    {
        var parameters = RlweParameters.Choose(sites, Quantization.ForRange(1, bits), level);

        // The two inequalities of docs/encryption.md, from the public numbers alone.
        var dropped = parameters.DroppedBits == 0 ? BigInteger.Zero : BigInteger.One << (parameters.DroppedBits - 1);
        var noise = sites * (21 + dropped);
        var delta = BigInteger.One << parameters.MessageShift;
        var slot = bits + (int)Math.Ceiling(Math.Log2(sites));
        var message = Enumerable.Range(0, parameters.ValuesPerCoefficient)
            .Aggregate(
                BigInteger.Zero, (sum, k) => sum + (((BigInteger)parameters.Format.Largest * sites) << (slot * k)));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(delta, Is.GreaterThanOrEqualTo((2 * noise) + 1));
            Assert.That((BigInteger)parameters.Modulus, Is.GreaterThan(2 * ((delta * message) + noise)));
            Assert.That(
                (BigInteger)parameters.Format.Largest * sites, Is.LessThan(BigInteger.One << (slot - 1)),
                "a sum fits its slot");
            Assert.That(parameters.Reaches(level), Is.True);
            Assert.That(parameters.ModulusBits, Is.LessThanOrEqualTo(109 * parameters.Degree / 4096));
        }
    }

    [Test]
    public void The_bound_on_noise_is_tight()
    {
        // Δ = 2^10 carries noise up to 511 = 9 · (21 + 32) + 34: nine uploads with six bits left out, and not ten.
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => With(summands: 9, shift: 10, dropped: 6), Throws.Nothing);
            Assert.That(
                () => With(summands: 10, shift: 10, dropped: 6),
                Throws.ArgumentException.With.Message.Contains("too many"));
            Assert.That(() => With(summands: 24, shift: 10, dropped: 0), Throws.Nothing); // 24 · 21 = 504
            Assert.That(
                () => With(summands: 25, shift: 10, dropped: 0),
                Throws.ArgumentException.With.Message.Contains("too many"));
        }
    }

    [Test]
    public void A_message_that_could_wrap_around_is_refused()
        => Assert.That(
            () => new RlweParameters(Format, 8, 4096, PrimeSearch.NttPrimes(4096, 42, 42), 3, 10, 6),
            Throws.ArgumentException.With.Message.Contains("do not fit"));

    [Test]
    public void Less_than_128_bits_of_security_is_refused()
        => Assert.That(
            () => new RlweParameters(Format, 8, 2048, PrimeSearch.NttPrimes(2048, 43, 43), 3, 10, 6),
            Throws.ArgumentException.With.Message.Contains("128-bit security"));

    [TestCase(0)]
    [TestCase(8193)]
    public void A_number_of_sites_out_of_range_is_refused(int sites)
        => Assert.That(() => RlweParameters.Choose(sites, Format), Throws.InstanceOf<ArgumentOutOfRangeException>());

    [Test]
    public void Every_number_is_in_the_id()
    {
        string[] ids =
        [
            RlweParameters.Choose(8, Format).Id, RlweParameters.Choose(7, Format).Id,
            RlweParameters.Choose(8, new Quantization(22, 5)).Id,
            RlweParameters.Choose(8, Quantization.ForRange(4, 21)).Id,
            RlweParameters.Choose(8, Format, SecurityLevel.Classical256).Id,
        ];
        Assert.That(ids, Is.Unique);
    }

    private static RlweParameters With(int summands, int shift, int dropped)
        => new(Quantization.ForRange(4, 16), summands, 4096, PrimeSearch.NttPrimes(4096, 45, 45), 3, shift, dropped);
}

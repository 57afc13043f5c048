using System.Security.Cryptography;
using Flare.Crypto;

namespace Flare.Tests.Crypto;

/// <summary>
/// Distributions, on fixed seeds: each statistic is a constant, its threshold the 99.9 % point of its law.
/// </summary>
public class SamplersTests
{
    private const int Samples = 1 << 18;

    [TestCase(281474976694273ul)] // just below 2^48
    [TestCase(12289ul)] // one word in four is rejected
    [TestCase(4295229441ul)] // just above 2^32: half are
    public void Residues_are_uniform(ulong q)
    {
        var residues = new ulong[Samples];
        Draw(1, stream => Samplers.Uniform(stream, new Modulus(q), residues));
        Assert.That(residues.Max(), Is.LessThan(q));

        const int cells = 256;
        var counts = new double[cells];
        foreach (var residue in residues)
            counts[(int)((UInt128)residue * cells / q)]++;
        var widths = Enumerable.Range(0, cells).Select(cell => Width(cell, cells, q));
        Assert.That(ChiSquare(counts, widths), Is.LessThan(330.5), "255 degrees of freedom");
    }

    [Test]
    public void Low_bits_of_residues_are_uniform_too()
    {
        var residues = new ulong[Samples];
        Draw(2, stream => Samplers.Uniform(stream, new Modulus(281474976694273), residues));
        var counts = new double[256];
        foreach (var residue in residues)
            counts[residue % 256]++;
        Assert.That(ChiSquare(counts, Enumerable.Repeat(1 / 256.0, 256)), Is.LessThan(330.5));
    }

    [Test]
    public void Residues_are_the_accepted_draws_in_order(
        [Values(12289ul, 4295229441ul, 4398046486529ul, 281474976694273ul, 1125899906826241ul)] ulong q,
        [Values(1, 4095, 5001)] int count, [Values] bool portable)
    {
        var modulus = new Modulus(q);
        var residues = new ulong[count];
        Draw(3, stream => Samplers.Uniform(stream, modulus, residues, Path(portable)));
        var bytes = new List<byte>();
        Draw(3, stream =>
        {
            for (var i = 0; i < 20; i++)
                bytes.AddRange(stream.NextBlocks(AesBuffer.Blocks));
        });
        var words = bytes.Chunk((modulus.Bits + 7) / 8)
            .Select(draw => draw.Reverse().Aggregate(0ul, (word, part) => (word << 8) | part));
        Assert.That(
            residues, Is.EqualTo(
                words.Select(word => word & ((1ul << modulus.Bits) - 1)).Where(word => word < q).Take(count)));

        var sums = new ulong[count];
        sums.AsSpan().Fill(q - 1);
        Draw(3, stream => Samplers.AddUniform(stream, modulus, sums, Path(portable)));
        Assert.That(sums, Is.EqualTo(residues.Select(residue => residue == 0 ? q - 1 : residue - 1)), "added to -1");
    }

    [Test]
    public void Noise_is_of_six_bytes_each([Values(1, 4095, 5002)] int count, [Values] bool portable)
    {
        var noise = new long[count];
        Draw(7, stream => Samplers.Noise(stream, noise, Path(portable)));
        var bytes = new List<byte>();
        Draw(7, stream =>
        {
            for (var i = 0; i < 4; i++)
                bytes.AddRange(stream.NextBlocks(AesBuffer.Blocks));
        });
        var words = bytes.Chunk(6).Select(draw => draw.Reverse().Aggregate(0ul, (word, part) => (word << 8) | part));
        Assert.That(noise, Is.EqualTo(words.Select(word => (long)Samplers.Noise(word)).Take(count)));
    }

    [Test]
    public void Noise_is_centred_binomial()
    {
        const int eta = Samplers.NoiseBound;
        var counts = new double[(2 * eta) + 1];
        Draw(4, stream =>
        {
            var noise = new long[Samples];
            Samplers.Noise(stream, noise);
            foreach (var e in noise)
                counts[e + eta]++;
        });

        // P(e) = C(2η, η + e) / 2^2η; the tails beyond ±12 in one cell each.
        var law = new double[counts.Length];
        var term = Math.Pow(2, -2 * eta);
        for (var k = 0; k < law.Length; term *= (double)(2 * eta - k) / (k + 1), k++)
            law[k] = term;
        var (low, high) = (eta - 12, eta + 12);
        double[] cells = [counts[..low].Sum(), .. counts[low..(high + 1)], counts[(high + 1)..].Sum()];
        double[] expected = [law[..low].Sum(), .. law[low..(high + 1)], law[(high + 1)..].Sum()];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ChiSquare(cells, expected), Is.LessThan(54.1), "26 degrees of freedom");
            var variance = counts.Select((n, i) => n * (i - eta) * (i - eta)).Sum() / Samples;
            Assert.That(variance, Is.EqualTo(eta / 2.0).Within(0.15));
        }
    }

    [Test]
    public void Noise_reaches_its_bound_and_no_further()
    {
        const ulong ones = (1ul << Samplers.NoiseBound) - 1;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Samplers.Noise(ones), Is.EqualTo(21));
            Assert.That(Samplers.Noise(ones << Samplers.NoiseBound), Is.EqualTo(-21));
            Assert.That(Samplers.Noise(ulong.MaxValue), Is.Zero);
            Assert.That(Samplers.Noise(ulong.MaxValue << 42), Is.Zero);
        }
    }

    [Test]
    public void Secrets_are_uniform_over_minus_one_zero_and_one()
    {
        var counts = new double[3];
        Draw(5, stream =>
        {
            for (var done = 0; done < Samples; done += AesBuffer.Words)
                foreach (var word in stream.Next(AesBuffer.Words))
                    counts[Samplers.Ternary(word) + 1]++;
        });
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ChiSquare(counts, [1 / 3.0, 1 / 3.0, 1 / 3.0]), Is.LessThan(13.8), "2 degrees of freedom");
            Assert.That((Samplers.Ternary(0), Samplers.Ternary(ulong.MaxValue)), Is.EqualTo((-1, 1)));
        }
    }

    [Test]
    public void The_expansion_is_frozen()
    {
        var residues = new ulong[4096];
        Draw(6, stream => Samplers.Uniform(stream, new Modulus(281474976694273), residues));
        var digest = SHA256.HashData([.. residues.SelectMany(BitConverter.GetBytes)]);
        Assert.That(Convert.ToHexStringLower(digest)[..16], Is.EqualTo("e8eaf1e8186368d6"));
    }

    private static void Draw(int seed, Action<AesStream> draw)
    {
        using var stream = new AesStream(RlweFixture.Entropy(seed, "samples"), new AesBuffer());
        draw(stream);
    }

    private static double Width(int cell, int cells, ulong q)
    {
        var (from, to) =
            ((((UInt128)cell * q) + (uint)cells - 1) / (uint)cells,
                (((UInt128)(cell + 1) * q) + (uint)cells - 1) / (uint)cells);
        return (double)(to - from) / q;
    }

    private static double ChiSquare(double[] counts, IEnumerable<double> law)
    {
        var total = counts.Sum();
        return counts.Zip(law, (count, p) => (count - (total * p)) * (count - (total * p)) / (total * p)).Sum();
    }

    private static KernelPath Path(bool portable) => portable ? KernelPath.Portable : KernelPath.Best;
}

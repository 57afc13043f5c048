using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class RlweSumTests
{
    private static readonly Quantization Format = Quantization.ForRange(4, 22);

    [TestCase(1, 22, 30_000)]
    [TestCase(8, 22, 30_000)]
    [TestCase(8, 16, 5)]
    [TestCase(9, 24, 12_289)]
    [TestCase(64, 20, 9_000)]
    [TestCase(8, 32, 1)]
    [TestCase(3, 2, 20_000)]
    public void The_sum_is_exactly_that_of_the_quantised_values(int sites, int bits, int elements)
    {
        using var federation = new RlweFixture(RlweParameters.Choose(sites, Quantization.ForRange(4, bits)));
        var expected = new long[elements];
        var accumulator = federation.Accumulator(elements);
        for (var site = 0; site < sites; site++)
        {
            var values = RlweFixture.Values(elements, federation.Parameters.Format.Limit * 0.999, site);
            Count(federation.Parameters.Format, values, expected);
            accumulator.Add(federation.Upload(values, site));
        }

        Assert.That(
            federation.Decrypt(RlweFixture.Written(accumulator), elements, sites).AsSpan()
            .SequenceEqual(expected), Is.True);
    }

    [TestCase(1)]
    [TestCase(8)]
    [TestCase(64)]
    [TestCase(1000)]
    public void The_largest_values_of_the_most_sites_sum_exactly(int sites)
    {
        const int elements = 512;
        using var federation = new RlweFixture(RlweParameters.Choose(sites, Format));
        var values = new float[elements];
        for (var i = 0; i < elements; i++)
            values[i] = (float)(i % 3 == 0 ? -Format.Limit : Format.Limit);
        var accumulator = federation.Accumulator(elements);
        for (var site = 0; site < sites; site++)
            accumulator.Add(federation.Upload(values, site));

        var expected = Array.ConvertAll(values, v => Math.Sign(v) * (long)Format.Largest * sites);
        Assert.That(federation.Decrypt(RlweFixture.Written(accumulator), elements, sites), Is.EqualTo(expected));
    }

    [Test]
    public void Order_and_grouping_do_not_change_a_byte_of_the_sum()
    {
        const int elements = 700;
        using var federation = new RlweFixture(RlweParameters.Choose(8, Format));
        var uploads = Enumerable.Range(0, 7)
            .Select(site => federation.Upload(RlweFixture.Values(elements, 3, site), site)).ToArray();

        var plain = federation.Sum(elements, uploads);
        var reversed = federation.Sum(elements, uploads.Reverse());
        var east = federation.Sum(elements, uploads[4], uploads[1]);
        var west = federation.Sum(elements, uploads[0], uploads[6], uploads[3]);
        var tree = federation.Sum(elements, west, uploads[5], east, uploads[2]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(reversed, Is.EqualTo(plain));
            Assert.That(tree, Is.EqualTo(plain));
        }
    }

    [Test]
    public void Threads_do_not_change_a_byte()
    {
        const int elements = 60_000;
        using var federation = new RlweFixture(RlweParameters.Choose(8, Format));
        ChunkLoop threads = (chunks, process) => Parallel.For(0, chunks, process);
        var values = RlweFixture.Values(elements, 3, 1);
        var alone = federation.Upload(values, 1);
        Assert.That(federation.Upload(values, 1, loop: threads).AsSpan().SequenceEqual(alone), Is.True);

        var accumulator = federation.Accumulator(elements);
        accumulator.Add(alone, threads);
        var sum = RlweFixture.Written(accumulator, threads);
        var (one, many) = (new long[elements], new long[elements]);
        federation.Decryptor.Decrypt(sum, new ExpectedSum(RlweFixture.Round, 1), one);
        federation.Decryptor.Decrypt(sum, new ExpectedSum(RlweFixture.Round, 1), many, threads);
        Assert.That(many.AsSpan().SequenceEqual(one), Is.True);
    }

    [Test]
    public void An_upload_of_nothing_sums_to_nothing()
    {
        using var federation = new RlweFixture(RlweParameters.Choose(8, Format));
        Assert.That(
            federation.Decrypt(federation.Sum(0, federation.Upload([], 1), federation.Upload([], 2)), 0, 2), Is.Empty);
    }

    [Test]
    public void Fresh_randomness_hides_equal_values()
    {
        using var federation = new RlweFixture(RlweParameters.Choose(8, Format));
        var size = federation.Encryptor.UploadBytes(RlweFixture.Round, "a", 3000);
        var (first, second) = (new byte[size], new byte[size]);
        var report = federation.Encryptor.Encrypt(new float[3000], RlweFixture.Round, "a", first);
        federation.Encryptor.Encrypt(new float[3000], RlweFixture.Round, "a", second);

        // Unrelated bytes agree once in 256 times: about 40 of these 10,000.
        var equal = first.Zip(second).Skip(100).Count(pair => pair.First == pair.Second);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(report, Is.EqualTo(new EncryptionReport(size, 0)));
            Assert.That(equal, Is.LessThan(size / 128));
        }
    }

    [Test]
    public void Uploads_cost_less_than_three_and_a_half_bytes_a_parameter()
    {
        using var federation = new RlweFixture(RlweParameters.Choose(8, Format));
        var size = federation.Encryptor.UploadBytes(RlweFixture.Round, "hospital-3", 1_000_000);
        Assert.That(size / 1e6, Is.LessThan(3.5), federation.Parameters.ToString());
    }

    private static void Count(Quantization format, float[] values, long[] sums)
    {
        // The oracle scales exactly (a power of two) and rounds by hand: nearest, ties to even.
        for (var i = 0; i < values.Length; i++)
        {
            var scaled = values[i] * Math.ScaleB(1, format.FractionBits);
            var floor = Math.Floor(scaled);
            var up = scaled - floor > 0.5 || (scaled - floor == 0.5 && floor % 2 != 0);
            sums[i] += (long)floor + (up ? 1 : 0);
        }
    }
}

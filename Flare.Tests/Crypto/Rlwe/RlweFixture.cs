using System.Security.Cryptography;
using Flare.Crypto;

namespace Flare.Tests.Crypto;

/// <summary>A federation that encrypts, sums and opens, with every random choice from a seed.</summary>
internal sealed class RlweFixture : IDisposable
{
    public static readonly AggregationRound Round = new("digits", 3);

    public RlweFixture(RlweParameters parameters, int keySeed = 1)
    {
        Parameters = parameters;
        Ring = new KeyRing(Key(keySeed));
        Encryptor = new RlweEncryptor(parameters, Ring.Current);
        Decryptor = new RlweDecryptor(parameters, Ring);
    }

    public RlweParameters Parameters { get; }

    public KeyRing Ring { get; }

    public RlweEncryptor Encryptor { get; }

    public RlweDecryptor Decryptor { get; }

    public static SecretKey Key(int seed) => SecretKey.FromBytes(Entropy(seed, "key"));

    public static byte[] Entropy(int seed, string what) =>
        SHA256.HashData(System.Text.Encoding.UTF8.GetBytes($"{what} {seed}"));

    public static float[] Values(int count, double limit, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(((random.NextDouble() * 2) - 1) * limit))];
    }

    public byte[] Upload(float[] values, int site, AggregationRound? round = null, ChunkLoop? loop = null)
    {
        round ??= Round;
        var upload = new byte[Encryptor.UploadBytes(round, $"site-{site}", values.Length)];
        Encryptor.Encrypt(values, round, $"site-{site}", upload, OutOfRange.Refuse, loop, Entropy(site, "upload"));
        return upload;
    }

    public RlweAccumulator Accumulator(int elements) => new(Parameters, Round, Encryptor.Key, elements);

    public byte[] Sum(int elements, params IEnumerable<byte[]> uploads)
    {
        var accumulator = Accumulator(elements);
        foreach (var upload in uploads)
            accumulator.Add(upload);
        return Written(accumulator);
    }

    public static byte[] Written(RlweAccumulator accumulator, ChunkLoop? loop = null)
    {
        var sum = new byte[accumulator.SumBytes];
        Assert.That(accumulator.Write(sum, loop), Is.EqualTo(sum.Length));
        return sum;
    }

    public long[] Decrypt(byte[] sum, int elements, int summands)
    {
        var sums = new long[elements];
        Decryptor.Decrypt(sum, new ExpectedSum(Round, summands), sums);
        return sums;
    }

    public void Dispose()
    {
        Encryptor.Dispose();
        Decryptor.Dispose();
        Ring.Dispose();
    }
}

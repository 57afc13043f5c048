using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class RlweAllocationTests
{
    [Test]
    public void Chunks_allocate_nothing()
    {
        var parameters = RlweParameters.Choose(8, Quantization.ForRange(4, 22));
        using var federation = new RlweFixture(parameters);
        var (few, many) = (new float[parameters.ChunkValues], new float[20 * parameters.ChunkValues]);
        Cost(federation, many); // builds what is kept
        Cost(federation, few);

        // What an operation allocates besides is one array with a 16-byte hash a chunk; an object a chunk would be 19 ·
        // 24 more.
        const int hashes = 19 * 16, objects = 19 * 24;
        var (less, more) = (LeastCost(federation, few), LeastCost(federation, many));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(more.Encrypt - less.Encrypt, Is.LessThan(hashes + objects), "encrypt");
            Assert.That(more.Add - less.Add, Is.Zero, "add");
            Assert.That(more.Decrypt - less.Decrypt, Is.LessThan(hashes + objects), "decrypt");
        }
    }

    // Of several: on a busy machine the runtime itself allocates on this thread now and then.
    private static (long Encrypt, long Add, long Decrypt) LeastCost(RlweFixture federation, float[] values)
    {
        var costs = Enumerable.Range(0, 5).Select(_ => Cost(federation, values)).ToArray();
        return (costs.Min(c => c.Encrypt), costs.Min(c => c.Add), costs.Min(c => c.Decrypt));
    }

    private static (long Encrypt, long Add, long Decrypt) Cost(RlweFixture federation, float[] values)
    {
        var upload = new byte[federation.Encryptor.UploadBytes(RlweFixture.Round, "site-1", values.Length)];
        var accumulator = federation.Accumulator(values.Length);
        var sums = new long[values.Length];
        var expected = new ExpectedSum(RlweFixture.Round, 1);
        return (
            Allocated(() => federation.Encryptor.Encrypt(values, RlweFixture.Round, "site-1", upload)),
            Allocated(() => accumulator.Add(upload)),
            Allocated(() => federation.Decryptor.Decrypt(upload, expected, sums)));
    }

    private static long Allocated(Action action)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        action();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}

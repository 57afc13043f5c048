using System.Buffers.Binary;
using System.Security.Cryptography;
using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class AesStreamTests
{
    [Test]
    public void The_block_cipher_is_AES_256([Values] bool portable)
    {
        // The key is that of FIPS 197, C.3; the block is stream 0, block 0.
        using var stream = new AesStream(
            Convert.FromHexString("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), new AesBuffer(),
            Path(portable));
        stream.Seek(0);
        Assert.That(Convert.ToHexStringLower(Bytes(stream.Next(2))), Is.EqualTo("f29000b62a499fd0a9f39a6add2e7780"));
    }

    [Test]
    public void Words_are_those_of_counter_blocks_however_they_are_fetched([Values] bool portable)
    {
        var key = RlweFixture.Entropy(1, "stream");
        using var aes = Aes.Create();
        aes.Key = key;
        var expected = new byte[3000 * 8];
        for (var block = 0; block < 1500; block++)
        {
            var counter = new byte[16];
            BinaryPrimitives.WriteUInt64LittleEndian(counter, 0x1122334455667788);
            BinaryPrimitives.WriteUInt64LittleEndian(counter.AsSpan(8), (ulong)block);
            aes.EncryptEcb(counter, PaddingMode.None).CopyTo(expected, 16 * block);
        }

        using var stream = new AesStream(key, new AesBuffer(), Path(portable));
        stream.Seek(0x1122334455667788);
        var actual = new List<byte>();
        foreach (var words in new[] { 2, 1022, 40, 936, 1000 })
            actual.AddRange(Bytes(stream.Next(words)));
        stream.Seek(0x1122334455667788);
        var blocks = new List<byte>();
        foreach (var count in new[] { 1, 6, 512, 493, 488 })
            blocks.AddRange(stream.NextBlocks(count));
        Assert.That(blocks, Is.EqualTo(expected));
        Assert.That(actual, Is.EqualTo(expected));
    }

    [Test]
    public void A_batch_is_never_longer_than_the_buffer()
    {
        using var stream = new AesStream(new byte[32], new AesBuffer());
        Assert.That(stream.Next(5000).Length, Is.EqualTo(AesBuffer.Words));
    }

    [Test]
    public void Streams_that_share_a_buffer_do_not_disturb_each_other()
    {
        var buffer = new AesBuffer();
        using var one = new AesStream(RlweFixture.Entropy(1, "a"), buffer);
        using var two = new AesStream(RlweFixture.Entropy(2, "a"), buffer);
        using var alone = new AesStream(RlweFixture.Entropy(1, "a"), new AesBuffer());
        one.Next(10);
        alone.Next(10);
        two.Next(100);
        Assert.That(one.Next(10).ToArray(), Is.EqualTo(alone.Next(10).ToArray()));
    }

    private static byte[] Bytes(ReadOnlySpan<ulong> words)
    {
        var bytes = new byte[8 * words.Length];
        for (var i = 0; i < words.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8 * i), words[i]);
        return bytes;
    }

    private static KernelPath Path(bool portable) => portable ? KernelPath.Portable : KernelPath.Best;
}

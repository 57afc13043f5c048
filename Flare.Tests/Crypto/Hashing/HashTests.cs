using System.Security.Cryptography;
using System.Text;
using Flare.Crypto;

namespace Flare.Tests.Crypto.Hashing;

public class HashTests
{
    // Digests from Python's hashlib.blake2b, digest_size=32.
    [TestCase("", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8")]
    [TestCase("abc", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")]
    public void Blake2b_agrees_with_known_digests(string text, string digest)
    {
        var actual = new byte[32];
        Blake2b.Hash256(Encoding.ASCII.GetBytes(text), actual);
        Assert.That(Convert.ToHexStringLower(actual), Is.EqualTo(digest));
    }

    // The same, of so many bytes 0, 1, 2, ... : around one and two blocks.
    [TestCase(127, "f2fe67ff342e21b8f45e8f2e0bcd1d9243245d50ee6c78042e9c491388791c72")]
    [TestCase(128, "c3582f71ebb2be66fa5dd750f80baae97554f3b015663c8be377cfcb2488c1d1")]
    [TestCase(129, "f7f3c46ba2564ff4c4c162da1f5b605f9f1c4aa6a20652a9f9a337c1a2f5b9c9")]
    [TestCase(256, "39a7eb9fedc19aabc83425c6755dd90e6f9d0c804964a1f4aaeea3b9fb599835")]
    public void Blake2b_takes_messages_around_the_block_size(int length, string digest)
    {
        var actual = new byte[32];
        Blake2b.Hash256(Enumerable.Range(0, length).Select(i => (byte)i).ToArray(), actual);
        Assert.That(Convert.ToHexStringLower(actual), Is.EqualTo(digest));
    }

    [Test]
    public void Generators_start_as_SEALs_do_for_a_zero_seed()
    {
        Assert.That(Start(SealGeneratorKind.Blake2xb), Is.EqualTo("881fc3cb56026ecb0a1d5ad59a95f74e"));
        Assert.That(Start(SealGeneratorKind.Shake256), Is.EqualTo("64ff78306d2ec7b31beddb9b444f1d3f"));

        static string Start(SealGeneratorKind kind)
        {
            var bytes = new byte[16];
            new SealGenerator(kind, new byte[64]).Fill(bytes);
            return Convert.ToHexStringLower(bytes);
        }
    }

    [Test]
    public void Every_path_of_Blake2xb_gives_the_same_bytes()
    {
        var key = Enumerable.Range(7, 64).Select(i => (byte)(i * 37)).ToArray();
        foreach (var counter in new ulong[] { 0, 1, 255, ulong.MaxValue })
        {
            var plain = Expand(KernelPath.Portable, counter);
            if (System.Runtime.Intrinsics.X86.Avx2.IsSupported)
                Assert.That(Expand(KernelPath.Vector256, counter), Is.EqualTo(plain));
            if (System.Runtime.Intrinsics.X86.Avx512F.IsSupported)
                Assert.That(Expand(KernelPath.Vector512, counter), Is.EqualTo(plain));
            Assert.That(Expand(KernelPath.Best, counter), Is.EqualTo(plain));
        }

        byte[] Expand(KernelPath path, ulong counter)
        {
            var output = new byte[Blake2xb.OutputSize];
            new Blake2xb(key, path).Expand(counter, output);
            return output;
        }
    }

    [TestCase(SealGeneratorKind.Blake2xb)]
    [TestCase(SealGeneratorKind.Shake256)]
    public void A_stream_is_the_same_however_it_is_cut(SealGeneratorKind kind)
    {
        var seed = new byte[64];
        seed[5] = 9;
        var whole = new byte[20000];
        new SealGenerator(kind, seed).Fill(whole);
        var cut = new byte[whole.Length];
        var stream = new SealGenerator(kind, seed);
        var random = new Random(3);
        for (var at = 0; at < cut.Length;)
        {
            var count = Math.Min(random.Next(0, 9000), cut.Length - at);
            stream.Fill(cut.AsSpan(at, count));
            at += count;
        }
        Assert.That(cut, Is.EqualTo(whole));
    }

    [Test]
    public void Managed_SHAKE256_agrees_with_the_known_answer_and_the_platform()
    {
        var empty = new byte[32];
        Keccak.ManagedShake256([], empty);
        Assert.That(
            Convert.ToHexStringLower(empty),
            Is.EqualTo("46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f"));
        Assume.That(Shake256.IsSupported);
        for (var length = 0; length < 300; length++)
        {
            var message = Enumerable.Range(0, length).Select(i => (byte)(i * 11 + length)).ToArray();
            var output = new byte[1 + length * 3 % 700];
            Keccak.ManagedShake256(message, output);
            Assert.That(output, Is.EqualTo(Shake256.HashData(message, output.Length)));
        }
    }
}

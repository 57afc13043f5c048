using System.Buffers;
using Flare.Crypto;
using static Flare.Tests.Crypto.Seal.SealVectors;

namespace Flare.Tests.Crypto.Seal;

public class SealVectorTests
{
    private static readonly SealFormat Stamped44 = new() { Version = SealVersion.V44 };

    private readonly CkksSecretKey _key = SealFile.ReadSecretKey(Read("secret-key.seal"), Parameters);
    private readonly CkksPublicKey _publicKey = SealFile.ReadPublicKey(Read("public-key.zlib.seal"), Parameters);

    [OneTimeTearDown]
    public void DisposeOfTheKey() => _key.Dispose();

    [Test]
    public void Parameters_are_those_of_the_readme()
    {
        Assert.That(Parameters.Degree, Is.EqualTo(4096));
        Assert.That(Parameters.Matches(CkksParameters.Create(4096, 60, 49)), Is.True);
    }

    [TestCaseSource(typeof(SealVectors), nameof(Ciphertexts))]
    public void SEALs_ciphertexts_decrypt_to_the_formula(string name)
    {
        using var decryptor = new CkksDecryptor(_key);
        var ciphertext = SealFile.ReadCiphertext(Read(name), Parameters);
        Assert.That(ciphertext.Scale, Is.EqualTo(1L << 40));
        Assert.That(ciphertext.IsSeeded, Is.EqualTo(name.Contains("seeded", StringComparison.Ordinal)));
        var values = new double[Parameters.SlotCount];
        decryptor.DecryptRaw(ciphertext, values);
        var worst = values.Select((v, i) => Math.Abs(v - Expected(name, i))).Max();
        Assert.That(worst, Is.LessThan(1e-8));

        var bits = decryptor.Decrypt(ciphertext, values);
        Assert.That(values.Select((v, i) => Math.Abs(v - Expected(name, i))).Max(), Is.LessThan(1e-8));
        Assert.That(bits, Is.EqualTo(27));
    }

    [Test]
    public void Adding_SEALs_files_gives_SEALs_sum()
    {
        var sum = SealFile.ReadCiphertext(Read("a.symmetric.seal"), Parameters);
        CkksEvaluator.Add(sum, SealFile.ReadCiphertext(Read("b.public.zlib.seal"), Parameters));
        Assert.That(Bytes(b => SealFile.Write(sum, b, Stamped44)), Is.EqualTo(Read("sum.seal")));
    }

    [Test]
    public void Files_are_written_back_byte_for_byte()
    {
        Assert.That(Bytes(b => SealFile.Write(Parameters, b, Stamped44)), Is.EqualTo(Read("parms.seal")));
        Assert.That(Bytes(b => SealFile.Write(_key, b, Stamped44)), Is.EqualTo(Read("secret-key.seal")));
        foreach (var name in new[] { "a.symmetric.seal", "a.seeded.seal", "sum.seal" })
        {
            var ciphertext = SealFile.ReadCiphertext(Read(name), Parameters);
            Assert.That(Bytes(b => SealFile.Write(ciphertext, b, Stamped44)), Is.EqualTo(Read(name)), name);
        }
    }

    [Test]
    public void SEALs_public_key_encrypts_for_its_secret_key()
    {
        using var encryptor = new CkksEncryptor(_publicKey);
        using var decryptor = new CkksDecryptor(_key);
        var ciphertext = new CkksCiphertext(Parameters);
        var values = Enumerable.Range(0, Parameters.SlotCount).Select(i => Expected("b", i)).ToArray();
        encryptor.Encrypt(values, 1L << 40, ciphertext);
        var actual = new double[values.Length];
        decryptor.DecryptRaw(ciphertext, actual);
        Assert.That(actual.Zip(values, (x, y) => Math.Abs(x - y)).Max(), Is.LessThan(1e-8));
    }

    [Test]
    public void Everything_comes_back_from_every_format(
        [Values("3.6", "3.7", "4.0", "4.1", "4.4")] string version,
        [Values] SealCompression compression)
    {
        var format = new SealFormat
        {
            Version = new SealVersion((byte)(version[0] - '0'), (byte)(version[2] - '0')),
            Compression = compression,
        };
        var parameters = SealFile.ReadParameters(Bytes(b => SealFile.Write(Parameters, b, format)));
        Assert.That(parameters.Matches(Parameters), Is.True);

        using var key = SealFile.ReadSecretKey(Bytes(b => SealFile.Write(_key, b, format)), parameters);
        Assert.That(key.Residues, Is.EqualTo(_key.Residues));

        var publicKey = SealFile.ReadPublicKey(Bytes(b => SealFile.Write(_publicKey, b, format)), parameters);
        Assert.That(publicKey.Zero.Words.SequenceEqual(_publicKey.Zero.Words), Is.True);

        var plaintext = new CkksEncoder(parameters).Encode([1, -2, 3.5], 1 << 30);
        var plaintextAgain = SealFile.ReadPlaintext(Bytes(b => SealFile.Write(plaintext, b, format)), parameters);
        Assert.That(plaintextAgain.Residues, Is.EqualTo(plaintext.Residues));
        Assert.That(plaintextAgain.Scale, Is.EqualTo(plaintext.Scale));

        foreach (var kind in Enum.GetValues<SealGeneratorKind>())
            foreach (var seeded in new[] { true, false })
            {
                using var encryptor = new CkksEncryptor(key) { Seeded = seeded, SeedKind = kind };
                var ciphertext = encryptor.Encrypt(plaintext);
                var again = new CkksCiphertext(parameters);
                SealFile.ReadCiphertext(Bytes(b => SealFile.Write(ciphertext, b, format)), again);
                Assert.That(again.Words.SequenceEqual(ciphertext.Words), Is.True);
                Assert.That(again.Scale, Is.EqualTo(ciphertext.Scale));
                Assert.That(again.IsSeeded, Is.EqualTo(seeded));
            }
    }

    [Test]
    public void A_seeded_file_is_half_as_long()
    {
        using var encryptor = new CkksEncryptor(_key);
        var ciphertext = new CkksCiphertext(Parameters);
        encryptor.Encrypt(new double[] { 1 }, 1 << 30, ciphertext);
        Assert.That(
            Bytes(b => SealFile.Write(ciphertext, b, Stamped44)), Has.Length.EqualTo(Read("a.seeded.seal").Length));
    }

    [Test]
    public void A_vector_of_TenSEAL_is_read_and_written()
    {
        var ciphertexts = new[] { "a.seeded.seal", "sum.seal" }.Select(
            n => SealFile.ReadCiphertext(Read(n), Parameters)).ToArray();
        var message = Bytes(b => new TenSealVector(ciphertexts, [2048, 5], 1L << 40).Write(b, Stamped44));

        // The same by hand, sizes packed: 0A 03 80 10 05, then two blocks, then the scale.
        var byHand = new ArrayBufferWriter<byte>();
        byHand.Write((byte[])[0x0A, 3, 0x80, 0x10, 5]);
        byHand.Write((byte[])[0x12, 0xC2, 0x81, 0x02]); // 32962 bytes
        byHand.Write(Read("a.seeded.seal").AsSpan());
        byHand.Write((byte[])[0x12, 0xF1, 0x80, 0x04]); // 65649 bytes
        byHand.Write(Read("sum.seal").AsSpan());
        byHand.Write((byte[])[0x19, 0, 0, 0, 0, 0, 0, 0x70, 0x42]);
        Assert.That(message, Is.EqualTo(byHand.WrittenSpan.ToArray()));

        var vector = TenSealVector.Read(message, Parameters);
        Assert.That(vector.Sizes, Is.EqualTo(new[] { 2048, 5 }));
        Assert.That(vector.Scale, Is.EqualTo(1L << 40));
        Assert.That(vector.Ciphertexts[1].Words.SequenceEqual(ciphertexts[1].Words), Is.True);

        // Sizes one by one, as proto2 writes them, and fields from a later version.
        byte[] unpacked = [8, 0x80, 0x10, 8, 5, 0x78, 1, 0x7D, 1, 2, 3, 4, .. message.AsSpan(5)];
        Assert.That(TenSealVector.Read(unpacked, Parameters).Sizes, Is.EqualTo(new[] { 2048, 5 }));

        Assert.That(
            () => TenSealVector.Read(message, Parameters, maxCiphertexts: 1),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains("limit"));
        Assert.That(() => TenSealVector.Read(message.AsSpan(5), Parameters), Throws.TypeOf<FlareCryptoException>());
        Assert.That(
            () => new TenSealVector(ciphertexts, [2048, 2049], 1L << 40), Throws.TypeOf<FlareCryptoException>());
    }
}

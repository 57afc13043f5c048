using System.Buffers.Binary;
using Flare.Crypto;
using static Flare.Tests.Crypto.Seal.SealVectors;

namespace Flare.Tests.Crypto.Seal;

public class SealHostileInputTests
{
    private delegate object Reader(ReadOnlySpan<byte> file);

    private static readonly CkksParameters Others = CkksParameters.Create(4096, 58, 49);

    private static IEnumerable<TestCaseData> Files()
    {
        foreach (var name in Ciphertexts)
            yield return Case(name, file => SealFile.ReadCiphertext(file, Parameters));
        yield return Case("parms.seal", file => SealFile.ReadParameters(file));
        yield return Case("secret-key.seal", file => SealFile.ReadSecretKey(file, Parameters));
        yield return Case("public-key.zlib.seal", file => SealFile.ReadPublicKey(file, Parameters));

        static TestCaseData Case(string name, Reader reader) => new TestCaseData(name, reader).SetArgDisplayNames(name);
    }

    [TestCaseSource(nameof(Files))]
    public void Truncated_files_are_refused(string name, object reader)
    {
        var read = (Reader)reader;
        var file = Read(name);
        for (var length = 0; length < Math.Min(file.Length, 200); length++) Refuse(file[..length]);
        for (var length = 200; length < file.Length; length += file.Length / 20) Refuse(file[..length]);
        Refuse([.. file, 0]);

        // The same with a header that has been told.
        for (var length = 16; length < file.Length; length += 1 + file.Length / 40) Refuse(WithSize(file[..length]));
        if (file[5] == 0) Refuse(WithSize([.. file, 0]));

        void Refuse(byte[] bytes) =>
            Assert.That(() => read(bytes), Throws.TypeOf<FlareCryptoException>(), $"{bytes.Length} bytes");
    }

    [TestCaseSource(nameof(Files))]
    public void Mutated_files_are_refused_or_read_and_nothing_else(string name, object reader)
    {
        var read = (Reader)reader;
        var file = Read(name);
        var random = new Random(5);
        using var key = SealFile.ReadSecretKey(Read("secret-key.seal"), Parameters);
        using var decryptor = new CkksDecryptor(key);
        var values = new double[Parameters.SlotCount];
        var garbage = 0;
        for (var i = 0; i < 250; i++)
        {
            var mutant = (byte[])file.Clone();
            var changes = random.Next(1, 4);
            for (var c = 0; c < changes; c++)
            {
                // Half of them where the structure is, half anywhere.
                var at = random.Next(random.Next(2) == 0 ? Math.Min(160, file.Length) : file.Length);
                mutant[at] = random.Next(
                    3) switch { 0 => (byte)(mutant[at] ^ 1 << random.Next(8)), 1 => 0xFF, _ => (byte)random.Next(256) };
            }
            if (mutant.AsSpan().SequenceEqual(file)) continue;
            try
            {
                if (read(mutant) is CkksCiphertext ciphertext)
                {
                    decryptor.DecryptRaw(ciphertext, values);
                    if (ciphertext.Scale == 1L << 40 && values.Select((v, j) => Math.Abs(v - Expected(name, j)))
                        .Max() > 1e-8) garbage++;
                }
            }
            catch (FlareCryptoException)
            {
                // the only one that may surface
            }
        }
        Assert.That(garbage, Is.Zero, "decrypted to garbage with no error");
    }

    [TestCaseSource(nameof(Files))]
    public void Whatever_unpacking_throws_is_one_exception(string name, object reader)
    {
        var read = (Reader)reader;
        byte[][] bodies =
        [
            [0x78, 0x20, 1, 2, 3, 4, 5, 6, 7, 8], // asks for a preset dictionary: not an InvalidDataException
            [0x78, 0xBB, 0, 0, 0, 0, 0, 0, 0, 0], [0x78], [0x78, 0x9C], [0x78, 0x9C, 0xFF, 0xFF], [0x18, 0x95, 3, 0],
            [0x28, 0xB5, 0x2F, 0xFD], [0x28, 0xB5, 0x2F, 0xFD, 0x27, 1, 2, 3, 4, 9, 9, 9, 9, 9],
            [0x50, 0x2A, 0x4D, 0x18, 0xFF, 0xFF, 0xFF, 0x7F],
        ];
        foreach (var compression in new[] { SealCompression.Zlib, SealCompression.Zstandard })
            foreach (var body in bodies)
            {
                var file = WithSize([.. Read(name)[..16], .. body, .. new byte[64]]);
                file[5] = (byte)compression;
                Assert.That(
                    () => read(file), Throws.TypeOf<FlareCryptoException>(),
                    $"{compression} {Convert.ToHexString(body)}");
            }
    }

    [Test]
    public void Objects_of_other_parameters_are_refused()
    {
        Assert.That(() => SealFile.ReadCiphertext(Read("sum.seal"), Others), Refused("Read it with those"));
        Assert.That(() => SealFile.ReadSecretKey(Read("secret-key.seal"), Others), Refused("Read it with those"));
        Assert.That(() => SealFile.ReadPublicKey(Read("public-key.zlib.seal"), Others), Refused(""));
        Assert.That(() => SealFile.ReadCiphertext(Read("secret-key.seal"), Parameters), Refused(""));
        Assert.That(() => SealFile.ReadSecretKey(Read("sum.seal"), Parameters), Refused(""));
    }

    [Test]
    public void A_secret_key_of_another_polynomial_is_refused()
    {
        var file = Read("secret-key.seal");
        var word = BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(1000));
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(1000), word == 0 ? 1 : word - 1);
        Assert.That(() => SealFile.ReadSecretKey(file, Parameters), Refused("ternary"));
    }

    [Test]
    public void A_ciphertext_that_hides_nothing_is_refused()
    {
        var file = Read("sum.seal");
        file.AsSpan(file.Length - 8 * 4096).Clear();
        Assert.That(() => SealFile.ReadCiphertext(file, Parameters), Refused("hides nothing"));
    }

    [Test]
    public void A_refused_file_leaves_its_buffer_empty()
    {
        var buffer = SealFile.ReadCiphertext(Read("sum.seal"), Parameters);
        var file = Read("sum.seal");
        file.AsSpan(file.Length - 8).Fill(0xFF);
        Assert.That(() => SealFile.ReadCiphertext(file, buffer), Refused("not below its prime"));
        Assert.That(() => CkksEvaluator.Add(buffer, buffer), Refused("empty"));
    }

    [TestCase(SealCompression.Zlib)]
    [TestCase(SealCompression.Zstandard)]
    public void A_file_that_unpacks_to_too_much_is_refused_before_it_does(SealCompression compression)
    {
        var body = SealPacking.Pack(new byte[50_000_000], compression);
        var file = new byte[16 + body.Length];
        body.CopyTo(file, 16);
        new SealHeader(SealVersion.V44, compression, file.Length).Write(file);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(() => SealFile.ReadCiphertext(file, Parameters), Refused(""));
        Assert.That(() => SealFile.ReadParameters(file), Refused(""));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(2_000_000));
    }

    [Test]
    public void Sizes_that_would_take_all_memory_are_refused_by_their_number()
    {
        // The array's length, the number of polynomials, the degree and the number of primes, each at its place.
        foreach (var at in new[] { 16 + 33, 16 + 41, 16 + 49, 16 + 73 + 16 })
        {
            var file = Read("sum.seal");
            BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(at), 1UL << 60);
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.That(() => SealFile.ReadCiphertext(file, Parameters), Refused(""));
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(200_000));
        }
        foreach (var at in new[] { 17, 25 })
        {
            var file = Read("parms.seal");
            BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(at), 1UL << 60);
            Assert.That(() => SealFile.ReadParameters(file), Refused(""));
        }
    }

    [TestCase(3, 3, 5, "SEAL 3.5")]
    [TestCase(3, 5, 0, "SEAL 5.4")]
    [TestCase(4, 5, 0, "SEAL 4.5")]
    [TestCase(5, 3, 0, "header")]
    [TestCase(6, 1, 0, "header")]
    [TestCase(0, 0, 0, "SEAL's format")]
    [TestCase(2, 8, 0, "SEAL's format")]
    public void Headers_that_are_not_understood_are_refused_by_name(int at, byte value, byte minor, string message)
    {
        var file = Read("sum.seal");
        file[at] = value;
        if (minor != 0) file[4] = minor;
        Assert.That(() => SealFile.ReadCiphertext(file, Parameters), Refused(message));
    }

    [Test]
    public void Mutated_vectors_of_TenSEAL_are_refused_or_read_and_nothing_else()
    {
        var ciphertexts = new[] { "a.seeded.seal", "a.symmetric.seal" }.Select(
            n => SealFile.ReadCiphertext(Read(n), Parameters)).ToArray();
        var message = Bytes(b => new TenSealVector(ciphertexts, [2048, 5], 1L << 40).Write(b));
        var random = new Random(6);
        var refused = 0;
        for (var i = 0; i < 300; i++)
        {
            var mutant = i % 3 == 0 ? message[..random.Next(message.Length)] : (byte[])message.Clone();
            if (mutant.Length > 0) mutant[random.Next(Math.Min(40, mutant.Length))] = (byte)random.Next(256);
            try
            {
                TenSealVector.Read(mutant, Parameters);
            }
            catch (FlareCryptoException)
            {
                refused++;
            }
        }
        Assert.That(refused, Is.GreaterThan(200));
    }

    private static NUnit.Framework.Constraints.ContainsConstraint Refused(string message)
        => Throws.TypeOf<FlareCryptoException>().With.Message.Contains(message);

    private static byte[] WithSize(byte[] file)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(8), (ulong)file.Length);
        return file;
    }
}

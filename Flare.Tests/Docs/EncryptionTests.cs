using System.Buffers;
using Flare.Crypto;
using Flare.Learning;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/encryption.md and of Flare.Crypto's README, compiled and run.</summary>
public class EncryptionTests
{
    private static readonly Quantization Format = Quantization.ForRange(limit: 1.0, bits: 22);

    private string _directory = "";

    [SetUp]
    public void Create() => _directory = Directory.CreateTempSubdirectory("flare-keys-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(_directory, recursive: true);

    [Test]
    public void A_server_adds_what_it_cannot_read()
    {
        using var ring = new KeyRing(SecretKey.Generate());
        var keyId = ring.Current.Id;
        float[] update = [.. Enumerable.Range(0, 5000).Select(i => MathF.Sin(i))];
        byte[][] others = [.. Enumerable.Range(0, 7).Select(i => Upload(ring.Current, $"clinic-{i}", update))];
        var mean = new float[update.Length];

        var parameters = RlweParameters.Choose(maxSummands: 8, Quantization.ForRange(limit: 1.0, bits: 22));
        var round = new AggregationRound("chest-xray", 12);

        // At a site.
        using var encryptor = new RlweEncryptor(parameters, ring.Current);
        var upload = new byte[encryptor.UploadBytes(round, "hospital-3", update.Length)];
        encryptor.Encrypt(update, round, "hospital-3", upload);

        // At the server, which has no key, only its id.
        var accumulator = new RlweAccumulator(parameters, round, keyId, update.Length);
        accumulator.Add(upload);
        foreach (var other in others) accumulator.Add(other);
        var sum = new byte[accumulator.SumBytes];
        accumulator.Write(sum);

        // At every site.
        using var decryptor = new RlweDecryptor(parameters, ring);
        var sums = new long[update.Length];
        decryptor.Decrypt(sum, new ExpectedSum(round, Summands: 8), sums);
        parameters.Format.Dequantize(sums, divisor: 8, mean);

        Assert.That(mean, Is.EqualTo(update).Within(Math.ScaleB(1, -Format.FractionBits)));
    }

    [Test]
    public async Task A_federation_is_encrypted_in_one_line()
    {
        var shards = Datasets.Digits().Test.SplitDirichlet(sites: 8, alpha: 0.5, seed: 7);

        await using var federation = Federation.InProcess(f => f
            .AddSites(8, site => new ClassifierTrainer(Models.DigitsCnn, shards[site.Index]))
            .UseController(new FedAvg { Rounds = 10, MinSites = 8 })
            .UseHomomorphicEncryption());

        await federation.RunToEndAsync(Models.DigitsCnn(seed: 42).StateDict());
        var model = federation.Feature<HomomorphicEncryption>().Decrypt(federation.Model);

        var network = Models.DigitsCnn();
        network.Load(model);
        Assert.That(LocalTrainer.Evaluate(network, Datasets.Digits().Train).Accuracy, Is.GreaterThan(0.6));
    }

    [Test]
    public async Task A_model_outlives_its_process_and_its_key()
    {
        string keyFile = Path.Combine(_directory, "1.key"), nextFile = Path.Combine(_directory, "2.key"), journal = Path.Combine(_directory, "journal"), passphrase = "four unrelated words";

        // Once, where the federation is set up.
        using var key = SecretKey.Generate();
        await File.WriteAllBytesAsync(keyFile, KeyFile.Write(key, passphrase));

        // The first process dies in round 3, the second in round 6; it has a new key by round 5.
        await RunAsync(keyFile, passphrase, journal, Trainer(round => round < 3 ? Task.CompletedTask : Never), (_, round) => Task.FromResult(round < 2));
        var rotated = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var ids = new List<KeyId>();
        await RunAsync(keyFile, passphrase, journal, Trainer(round => round < 4 ? Task.CompletedTask : round < 6 ? rotated.Task : Never), async (encryption, round) =>
        {
            if (round == 3)
            {
                await RotateAsync(encryption, nextFile, passphrase);
                rotated.SetResult();
            }
            if (round == 5) ids.Add(encryption.Keys.Current.Id);
            return round < 5;
        });
        Assert.That(ids, Has.Count.EqualTo(1).And.None.EqualTo(key.Id));
        await FinishAsync(keyFile, nextFile, passphrase, journal, Trainer(_ => Task.CompletedTask));

        var error = Assert.Throws<FlareCryptoException>(() => KeyFile.Read(File.ReadAllBytes(keyFile), "another passphrase"))!;
        Assert.That(((FlareException)error).ErrorId, Is.EqualTo(ErrorIds.Crypto));
    }

    private static async Task RunAsync(string keyFile, string passphrase, string journal, Func<SiteInfo, Executor> trainer, Func<HomomorphicEncryption, int, Task<bool>> goOn)
    {
        // At the first start, and to go on after a crash.
        using var keys = new KeyRing(KeyFile.Read(await File.ReadAllBytesAsync(keyFile), passphrase));
        using var encryption = new HomomorphicEncryption(new EncryptionPolicy { MaxSites = 8 }, keys);
        await using var federation = Federation.InProcess(f => f
            .AddSites(8, trainer)
            .UseController(new FedAvg { Rounds = 10, MinSites = 8 })
            .UseJournal(journal)
            .UseHomomorphicEncryption(encryption));

        await foreach (var round in federation.RunAsync(Sites.Model(0)))
            if (!await goOn(encryption, round.Number)) break;
    }

    private static async Task RotateAsync(HomomorphicEncryption encryption, string nextFile, string passphrase)
    {
        // At any time: kept first, then used.
        var next = SecretKey.Generate();
        await File.WriteAllBytesAsync(nextFile, KeyFile.Write(next, passphrase));
        encryption.Rotate(next);
    }

    private static async Task FinishAsync(string keyFile, string nextFile, string passphrase, string journal, Func<SiteInfo, Executor> trainer)
    {
        // At a later start: what is under either key opens, and the later one encrypts.
        using var keys = new KeyRing(KeyFile.Read(await File.ReadAllBytesAsync(keyFile), passphrase));
        var next = KeyFile.Read(await File.ReadAllBytesAsync(nextFile), passphrase);
        keys.Add(next);
        keys.Use(next.Id);

        using var encryption = new HomomorphicEncryption(new EncryptionPolicy { MaxSites = 8 }, keys);
        await using var federation = Federation.InProcess(f => f
            .AddSites(8, trainer)
            .UseController(new FedAvg { Rounds = 10, MinSites = 8 })
            .UseJournal(journal)
            .UseHomomorphicEncryption(encryption));
        var rounds = await federation.RunToEndAsync(Sites.Model(0));
        Assert.That(rounds.Select(r => r.Number), Is.EqualTo(Enumerable.Range(1, 10)));

        // The later key alone opens what came of it: ten times the mean of 1/64 to 8/64.
        using var later = new KeyRing(KeyFile.Read(await File.ReadAllBytesAsync(nextFile), passphrase));
        using var reader = new HomomorphicEncryption(encryption.Policy, later);
        Assert.That(reader.Decrypt(federation.Model).Values()[0], Is.EqualTo(10 * 4.5 / 64).Within(1e-3));
    }

    private static readonly Task Never = new TaskCompletionSource().Task;

    /// <summary>Adds a 64th, two 64ths, … to the model, once it may.</summary>
    private static Func<SiteInfo, Executor> Trainer(Func<int, Task> may) => site => new Scripted(async (task, input, context, abort) =>
    {
        if (task == TaskNames.Validate) return Dxo.Metrics(("accuracy", 0)).ToShareable();
        await may(context.Round).WaitAsync(abort);
        return Sites.Diff(Dxo.From(input).Tensors, (site.Index + 1) / 64f, steps: 1000);
    });

    [Test]
    public void Seals_files_are_added()
    {
        float[] weights = [.. Enumerable.Range(0, 4096).Select(i => MathF.Cos(i))];
        var (keyFile, others) = SealsFiles(weights);
        var file = new ArrayBufferWriter<byte>();
        var result = new double[weights.Length];

        var parameters = CkksParameters.NvFlare;                        // N = 8192, primes of 60, 40 and 40 bits
        using var key = SealFile.ReadSecretKey(keyFile, parameters);    // or CkksSecretKey.Generate(parameters)

        // At a site.
        using var encryptor = new CkksEncryptor(key);                   // or with a CkksPublicKey
        var upload = new CkksCiphertext(parameters);
        encryptor.Encrypt(weights, scale: 1L << 40, upload);            // up to 4096 floats or doubles
        SealFile.Write(upload, file);                                   // half as long, since it is seeded

        // At the server, without a key.
        var sum = SealFile.ReadCiphertext(file.WrittenSpan, parameters);
        foreach (var other in others) CkksEvaluator.Add(sum, SealFile.ReadCiphertext(other, parameters));

        // At every site.
        using var decryptor = new CkksDecryptor(key);
        int bits = decryptor.Decrypt(sum, NoiseEstimate.Symmetric * 8, result);     // multiples of 2^-bits

        Assert.That(bits, Is.EqualTo(27), "as the page says");
        Assert.That(result, Is.EqualTo(weights.Select(w => 8.0 * w)).Within(1e-7));
    }

    private static byte[] Upload(SecretKey key, string site, float[] update)
    {
        var round = new AggregationRound("chest-xray", 12);
        using var encryptor = new RlweEncryptor(RlweParameters.Choose(8, Format), key);
        var upload = new byte[encryptor.UploadBytes(round, site, update.Length)];
        encryptor.Encrypt(update, round, site, upload);
        return upload;
    }

    private static (byte[] Key, byte[][] Uploads) SealsFiles(float[] weights)
    {
        using var key = CkksSecretKey.Generate(CkksParameters.NvFlare);
        using var encryptor = new CkksEncryptor(key);
        var keyFile = new ArrayBufferWriter<byte>();
        SealFile.Write(key, keyFile);
        return (keyFile.WrittenSpan.ToArray(), [.. Enumerable.Range(0, 7).Select(_ =>
        {
            var (upload, file) = (new CkksCiphertext(CkksParameters.NvFlare), new ArrayBufferWriter<byte>());
            encryptor.Encrypt(weights, scale: 1L << 40, upload);
            SealFile.Write(upload, file);
            return file.WrittenSpan.ToArray();
        })]);
    }
}

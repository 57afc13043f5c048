using Flare.Crypto;
using Flare.Learning;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

public class EncryptedFederationTests
{
    private static readonly Quantization Format = new(22, 19);
    private static readonly TrainTest Digits = Datasets.Digits();

    [TestCase(DataKind.Weights)]
    [TestCase(DataKind.WeightDiff)]
    public async Task The_opened_model_is_the_quantised_sum_bit_for_bit(DataKind kind)
    {
        using var encryption = new HomomorphicEncryption(EncryptedSites.Policy with { FirstRoundSteps = 100 });
        await using var federation = Federation.InProcess(f => f
            .AddSites(5, site => EncryptedSites.Trainer(site.Index, kind))
            .UseController(new FedAvg { Rounds = 3, MinSites = 5 })
            .UseHomomorphicEncryption(encryption));
        var expected = EncryptedSites.Model();

        var rounds = new List<RoundReport>();
        await foreach (var round in federation.RunAsync(EncryptedSites.Model())) rounds.Add(round);

        // The first round's reference is 128 for 100 steps; then the most seen was 38, and the power of two from 76 is
        // 128 again.
        for (var round = 1; round <= 3; round++)
            expected = EncryptedSites.Reference(expected, round, 5, 128, kind, Format);
        var model = encryption.Decrypt(federation.Model);
        Assert.That(rounds.Select(r => r.Accepted), Is.EqualTo(new[] { 5, 5, 5 }));
        Assert.That(model.Layout, Is.EqualTo(expected.Layout));
        Assert.That(model.ContentEquals(expected));
        Assert.That(HomomorphicEncryption.IsEncrypted(federation.Model) && !HomomorphicEncryption.IsEncrypted(model));
        Assert.That(
            rounds[^1].Metrics["accuracy"], Is.EqualTo(model["head.weight"].AsReadOnlySpan<float>()[0]).Within(1e-6));
    }

    [TestCase(4096, 4000), TestCase(1 << 24, 1 << 22)]
    public async Task A_round_whose_steps_drop_far_below_the_reference_is_repeated_and_loses_no_model(
        int firstRoundSteps, int first)
    {
        var policy = new EncryptionPolicy { FirstRoundSteps = firstRoundSteps };
        var initial = StateDict.Create(("w", [0.5f, 0.01f, 0.0001f]));
        Executor Still(int site) => new Federations.Scripted((task, input, context, _) =>
            ValueTask.FromResult(
                Dxo.WeightDiff(new StateDict(Dxo.From(input).Tensors.Layout))
                .WithMeta(MetaKey.NumStepsCurrentRound, context.Round == 1 && site == 0 ? first : 1).ToShareable()));
        using var encryption = new HomomorphicEncryption(policy);
        await using var federation = Flare.Federation.InProcess(f => f.AddSites(3, site => Still(site.Index))
            .UseController(new FedAvg { Rounds = 3, MinSites = 3, Validation = ValidationMode.None })
            .UseHomomorphicEncryption(encryption));
        await federation.RunToEndAsync(initial);
        Assert.That(
            encryption.Decrypt(federation.Model)["w"].ToArray<float>(), Is.EqualTo(new[] { 0.5f, 0.01f, 0.0001f })
            .Within(1e-5));
        Assert.That(
            federation.Rounds.Select(r => (r.Accepted, r.Targets)), Is.All.EqualTo((3, 3)),
            "what was trained before does not count");
        Assert.That(
            federation.Rounds.Select(r => r.Warnings.Count(w => w.Contains("EncryptionPolicy.FirstRoundSteps"))),
            Is.EqualTo(new[] { 0, 1, 0 }), "the second round was trained twice");
    }

    [Test]
    public async Task The_mean_is_that_of_the_sites_weights_to_within_the_quantum()
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(4, site => EncryptedSites.Trainer(site.Index))
            .UseController(new FedAvg { Rounds = 1, MinSites = 4 })
            .UseHomomorphicEncryption());
        var rounds = await federation.RunToEndAsync(EncryptedSites.Model());

        // An oracle that knows nothing of quantising: the mean in double.
        var model = federation.Feature<HomomorphicEncryption>().Decrypt(federation.Model);
        var trained = Enumerable.Range(0, 4)
            .Select(site => EncryptedSites.Train(EncryptedSites.Model(), site, 1)["body.weight"].ToArray<float>())
            .ToArray();
        var total = Enumerable.Range(0, 4).Sum(EncryptedSites.Steps);
        var quantum = rounds[0].Metrics["encryption.quantum"];
        Assert.That(quantum, Is.InRange(1e-7, 1e-3));
        for (var i = 0; i < 5000; i++)
        {
            var mean = Enumerable.Range(0, 4).Sum(s => (double)trained[s][i] * EncryptedSites.Steps(s)) / total;
            Assert.That(model["body.weight"].AsReadOnlySpan<float>()[i], Is.EqualTo(mean).Within(2.5 * quantum));
        }
    }

    [Test]
    public async Task Digits_are_learnt_as_well_as_in_the_clear_with_the_same_bits_however_sites_arrive()
    {
        var (plain, _) = await TrainDigits(encrypted: false, parallelism: 2);
        var (accuracy, hash) = await TrainDigits(encrypted: true, parallelism: 2);
        Assert.That(accuracy, Is.EqualTo(plain).Within(0.005));
        Assert.That(accuracy, Is.GreaterThan(0.8));
        foreach (var parallelism in new[] { 1, 8 })
            Assert.That((await TrainDigits(encrypted: true, parallelism)).Hash, Is.EqualTo(hash));
    }

    [Test]
    public async Task A_model_of_several_parts_comes_back()
    {
        const int elements = ModelPlan.PartElements + 12_345;
        var initial = new StateDictBuilder().Add<float>("small", [1, 2, 3]).Add<float>("large", new float[elements])
            .Build();
        await using var federation = Federation.InProcess(f => f
            .AddSites(2, site => new Federations.Scripted((_, input, _, _) =>
            {
                var weights = Dxo.From(input).Tensors.Clone();
                var large = weights["large"].AsSpan<float>();
                for (var i = 0; i < large.Length; i++) large[i] = ((i % 4001) - 2000) / 1024f;
                return ValueTask.FromResult(
                    Dxo.Weights(weights).WithMeta(MetaKey.NumStepsCurrentRound, 64).ToShareable());
            }))
            .UseController(new FedAvg { Rounds = 1, MinSites = 2, Validation = ValidationMode.None })
            .UseHomomorphicEncryption(new HomomorphicEncryption(EncryptedSites.Policy with { FirstRoundSteps = 64 })));
        await federation.RunToEndAsync(initial);

        var model = federation.Feature<HomomorphicEncryption>().Decrypt(federation.Model);
        Assert.That(
            federation.Model.Layout.Select(t => t.Name),
            Is.EqualTo(new[] { "flare.encryption", "flare.encryption.0", "flare.encryption.1" }));
        Assert.That(model["small"].ToArray<float>(), Is.EqualTo(new float[] { 1, 2, 3 }));
        var opened = model["large"].ToArray<float>();
        // Multiples of 2^-10 survive quantising to 2^-19.
        Assert.That(Enumerable.Range(0, elements).Count(i => opened[i] != ((i % 4001) - 2000) / 1024f), Is.Zero);
    }

    [Test]
    public async Task A_job_that_died_goes_on_and_ends_with_the_same_bits()
    {
        var directory = Directory.CreateTempSubdirectory().FullName;
        using var ring = EncryptedSites.Ring(1);
        var (whole, _) = await Journalled(rounds: 4, stopAfter: 4, Directory.CreateTempSubdirectory().FullName);
        await Journalled(rounds: 4, stopAfter: 2, directory);
        var (resumed, reports) = await Journalled(rounds: 4, stopAfter: 4, directory);
        Assert.That(reports.Select(r => r.Number), Is.EqualTo(new[] { 1, 2, 3, 4 }));
        Assert.That(resumed.ContentEquals(whole));

        async Task<(StateDict, IReadOnlyList<RoundReport>)> Journalled(int rounds, int stopAfter, string journal)
        {
            // Each run has its own objects, as another process would; only policy and key are the same.
            var encryption = new HomomorphicEncryption(EncryptedSites.Policy, ring);
            await using var federation = Federation.InProcess(f => f
                .AddSites(
                    3, site => EncryptedSites.Trainer(
                        site.Index, steps: round => round == 1 ? 200 : EncryptedSites.Steps(site.Index)))
                .UseController(new FedAvg { Rounds = rounds, MinSites = 3 })
                .UseJournal(journal)
                .UseHomomorphicEncryption(encryption));
            await foreach (var round in federation.RunAsync(EncryptedSites.Model()))
                if (round.Number == stopAfter) break;
            return (encryption.Decrypt(federation.Model), federation.Rounds);
        }
    }

    [Test]
    public void A_journal_needs_a_key_that_outlives_the_process([Values] bool journalFirst, [Values] bool withPolicy)
    {
        var journal = Path.Combine(Path.GetTempPath(), $"flare-{Guid.NewGuid()}");
        using var ownKey = new HomomorphicEncryption(EncryptedSites.Policy);
        var error = Assert.Throws<FlareException>(() => Federation.InProcess(f =>
        {
            f.AddSites(3, site => EncryptedSites.Trainer(site.Index)).UseController(new FedAvg());
            if (journalFirst) f.UseJournal(journal);
            f.UseHomomorphicEncryption(withPolicy ? ownKey : null);
            if (!journalFirst) f.UseJournal(journal);
        }))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Configuration));
        Assert.That(error.Message, Does.Contain("keep a key in a KeyFile").And.Contain("journal"));
        Assert.That(journal, Does.Not.Exist);
    }

    [Test]
    public async Task A_job_resumed_without_its_key_says_which_one_to_add()
    {
        var directory = Directory.CreateTempSubdirectory().FullName;
        using KeyRing kept = EncryptedSites.Ring(1), other = EncryptedSites.Ring(2);
        await RunAsync(kept, stopAfter: 1);
        var error = Assert.ThrowsAsync<TooFewResponsesException>(() => RunAsync(other, stopAfter: 3))!;
        Assert.That(
            string.Join("\n", error.Sites),
            Does.Contain($"under key {kept.Current.Id}").And.Contain("add it from the KeyFile").And.Contain(
                "FLARE4001"));

        async Task RunAsync(KeyRing keys, int stopAfter)
        {
            await using var federation = Federation.InProcess(f => f
                .AddSites(3, site => EncryptedSites.Trainer(site.Index))
                .UseController(new FedAvg { Rounds = 3, MinSites = 3 })
                .UseJournal(directory)
                .UseHomomorphicEncryption(new HomomorphicEncryption(EncryptedSites.Policy, keys)));
            await foreach (var round in federation.RunAsync(EncryptedSites.Model()))
                if (round.Number == stopAfter) break;
        }
    }

    [Test]
    public async Task Several_workflows_follow_one_another_on_one_encrypted_model()
    {
        using var encryption = new HomomorphicEncryption(EncryptedSites.Policy);
        async Task<StateDict> Run(params int[] rounds)
        {
            await using var federation = Federation.InProcess(f =>
            {
                f.AddSites(3, site => EncryptedSites.Trainer(site.Index, steps: _ => 64))
                    .UseHomomorphicEncryption(encryption);
                foreach (var count in rounds) f.UseController(new FedAvg { Rounds = count, MinSites = 3 });
            });
            await federation.RunToEndAsync(EncryptedSites.Model());
            return encryption.Decrypt(federation.Model);
        }
        // The second workflow counts its rounds from 1 again; the sums are numbered on.
        var two = await Run(1, 1);
        var first = EncryptedSites.Model();
        var one = await Run(1);
        Assert.That(two.ContentEquals(one), Is.False);
        Assert.That(
            two["head.weight"].AsReadOnlySpan<float>()[0],
            Is.Not.EqualTo(first["head.weight"].AsReadOnlySpan<float>()[0]));
    }

    [Test]
    public async Task The_report_says_what_encryption_cost()
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index))
            .UseController(new FedAvg { Rounds = 2, MinSites = 3 })
            .UseHomomorphicEncryption(
                new HomomorphicEncryption(
                    new EncryptionPolicy { MaxSites = 3, Range = 0.25, OutOfRange = OutOfRange.Clip })));
        var rounds = await federation.RunToEndAsync(EncryptedSites.Model());
        var metrics = rounds[1].Metrics;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                metrics["encryption.bytes_up"],
                Is.EqualTo(rounds[1].Sites.Where(s => s.Task == TaskNames.Train).Sum(s => s.Bytes)).Within(3 * 64 * 3));
            Assert.That(metrics["encryption.seconds"], Is.GreaterThanOrEqualTo(0));
            Assert.That(metrics["encryption.decrypt_seconds"], Is.GreaterThanOrEqualTo(0));
            // Weights within ±1.25, of which at most 24 / 64 counts: some are beyond ±0.25 and most are not.
            Assert.That(metrics["encryption.clipped"], Is.InRange(1, 3 * 5357 / 2));
            Assert.That(metrics["encryption.quantum"], Is.InRange(1e-9, 1e-5));
            Assert.That(metrics.ContainsKey("accuracy"));
        }
    }

    [Test]
    public async Task Seconds_are_told_in_milliseconds()
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index))
            .UseController(new FedAvg { Rounds = 2, MinSites = 3 })
            .UseTime(new Ticking())
            .UseHomomorphicEncryption());
        var rounds = await federation.RunToEndAsync(EncryptedSites.Model());
        // Opening is told with training only where no validation came before it.
        var (encrypting, opening) =
            (rounds[1].Metrics["encryption.seconds"], rounds[1].Metrics["encryption.decrypt_seconds"]);
        Assert.That(encrypting, Is.GreaterThan(0).And.EqualTo(Math.Round(encrypting, 3)));
        Assert.That(opening, Is.EqualTo(Math.Round(opening, 3)));
    }

    /// <summary>A clock of which every look takes 1.2345 ms.</summary>
    private sealed class Ticking : TimeProvider
    {
        private long _looks;

        public override long TimestampFrequency => 10_000_000;

        public override long GetTimestamp() => 12_345 * Interlocked.Increment(ref _looks);
    }

    [Test]
    public async Task Ckks_gives_the_mean_within_its_error()
    {
        using var encryption = new HomomorphicEncryption(
            new EncryptionPolicy { Scheme = EncryptionScheme.Ckks, MaxSites = 3 });
        await using var federation = Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index, DataKind.WeightDiff))
            .UseController(new FedAvg { Rounds = 2, MinSites = 3 })
            .UseHomomorphicEncryption(encryption));
        await using var exact = Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index, DataKind.WeightDiff))
            .UseController(new FedAvg { Rounds = 2, MinSites = 3 }));
        var rounds = await federation.RunToEndAsync(EncryptedSites.Model());
        await exact.RunToEndAsync(EncryptedSites.Model());

        var model = encryption.Decrypt(federation.Model);
        Assert.That(rounds[1].Accepted, Is.EqualTo(3));
        for (var i = 0; i < 5000; i++)
            Assert.That(
                model["body.weight"].AsReadOnlySpan<float>()[i],
                Is.EqualTo(exact.Model["body.weight"].AsReadOnlySpan<float>()[i]).Within(1e-5));
        Assert.That(
            model["norm.count"].AsReadOnlySpan<long>()[0],
            Is.EqualTo(exact.Model["norm.count"].AsReadOnlySpan<long>()[0]).Within(1));
    }

    private static async Task<(double Accuracy, string Hash)> TrainDigits(bool encrypted, int parallelism)
    {
        var shards = Digits.Train.SplitDirichlet(sites: 8, alpha: 0.5, seed: 7);
        await using var federation = Federation.InProcess(f =>
        {
            f.AddSites(
                8, site => new ClassifierTrainer(
                    Models.DigitsCnn, shards[site.Index]) { LocalEpochs = 2, Validation = Digits.Test })
                .UseController(new FedAvg { Rounds = 3, MinSites = 8 })
                .UseParallelism(parallelism)
                .UseSeed(42);
            if (encrypted) f.UseHomomorphicEncryption();
        });
        var rounds = await federation.RunToEndAsync(Models.DigitsCnn(42).StateDict());
        var model = encrypted ? federation.Feature<HomomorphicEncryption>().Decrypt(federation.Model)
            : federation.Model;
        var network = Models.DigitsCnn();
        network.Load(model);
        return (LocalTrainer.Evaluate(network, Digits.Test).Accuracy, model.Sha256());
    }
}

using Flare.Crypto;
using Flare.Runtime;

namespace Flare.Tests.Crypto;

/// <summary>What a server, or somebody on the way, may try; and what a site may try at the server.</summary>
public class HostileServerTests
{
    [Test]
    public async Task An_altered_sum_does_not_open()
    {
        var federation = await Meddling(
            (model, _) => Changed(model, t => t["flare.encryption.0"].AsSpan<byte>()[^100] ^= 1));
        Assert.That(federation.Reasons, Does.Contain("it was altered"));
    }

    [Test]
    public async Task A_sum_with_other_weights_does_not_open()
    {
        var federation = await Meddling((model, _) => Changed(model, t =>
        {
            var bytes = t["flare.encryption.0"].AsSpan<byte>();
            var at = bytes.IndexOf("10@site-1"u8);
            bytes[at + 1] = (byte)'2';
        }));
        Assert.That(federation.Reasons, Does.Contain("it was altered"));
    }

    [Test]
    public async Task A_sum_under_another_layout_does_not_open()
    {
        var federation = await Meddling((model, _) => Changed(model, t =>
        {
            var bytes = t["flare.encryption"].AsSpan<byte>();
            bytes[bytes.IndexOf("head.weight"u8)] = (byte)'b';
        }));
        Assert.That(federation.Reasons, Does.Contain("#").And.Contain("not round 1 of job"));
    }

    [Test]
    public async Task A_sum_under_another_weight_reference_does_not_open()
    {
        var federation = await Meddling((model, _) => Changed(model, t =>
        {
            var bytes = t["flare.encryption"].AsSpan<byte>();
            var at = bytes.IndexOf("reference"u8) + 9;
            Assert.That(
                bytes.Slice(at, 3).ToArray(), Is.EqualTo(new byte[] { 0xCD, 0x10, 0x00 }), "4096 in MessagePack");
            bytes[at + 1] = 0x20;
        }));
        Assert.That(federation.Reasons, Does.Contain("#").And.Contain("not round 1 of job"));
    }

    [Test]
    public async Task The_sum_of_an_earlier_round_is_refused()
    {
        StateDict? first = null;
        var federation = await Meddling((model, context) => context.Round == 2 ? first ??= model : first!, rounds: 3);
        Assert.That(federation.Reports, Has.Count.EqualTo(2));
        Assert.That(federation.Reasons, Does.Contain("is of the job's round 1, where the task is of round 3"));
    }

    [Test]
    public async Task Plain_weights_after_the_first_round_are_refused()
    {
        var federation = await Meddling((_, _) => EncryptedSites.Model());
        Assert.That(federation.Reasons, Does.Contain("only the first round may"));
        Assert.That(federation.SentTensors.Count(), Is.EqualTo(3), "the first round's");
    }

    [Test]
    public async Task The_sum_of_another_job_is_refused()
    {
        var other = await new TappedFederation { Rounds = 1, Job = "other" }.RunAsync();
        var federation = await Meddling((_, _) => other.Model);
        Assert.That(federation.Reasons, Does.Contain("is of job 'other', not of 'job'"));
    }

    [Test]
    public async Task A_server_cannot_start_from_another_jobs_sum()
    {
        var other = await new TappedFederation { Rounds = 1, Job = "other" }.RunAsync();
        var federation = await new TappedFederation().RunAsync(other.Model);
        Assert.That(
            federation.Failure, Is.TypeOf<FlareCryptoException>().With.Message.Contains("encrypted by job 'other'"));
    }

    [Test]
    public async Task A_sum_of_too_few_is_not_opened()
    {
        var federation =
            await new TappedFederation { Sites = 2,
                SitePolicy = _ => EncryptedSites.Policy with { MinSites = 3 } }.RunAsync();
        Assert.That(federation.Reasons, Does.Contain("the sum of 2 sites"));
    }

    [Test]
    public async Task A_sum_of_too_few_is_not_made()
    {
        var policy = EncryptedSites.Policy with { MinSites = 3 };
        var federation =
            await new TappedFederation { Sites = 2, ServerPolicy = policy, SitePolicy = _ => policy }.RunAsync();
        Assert.That(
            federation.Failure, Is.TypeOf<FlareException>().With.Message.Contains("The sum of 2 sites is not made"));
    }

    [Test]
    public async Task A_key_that_was_given_up_does_not_come_back()
    {
        var federation = await new TappedFederation
        {
            Keys = _ =>
            {
                var ring = EncryptedSites.Ring(1, 2);
                ring.Use(RlweFixture.Key(2).Id);
                return ring;
            },
        }.RunAsync();
        Assert.That(federation.Reasons, Does.Contain("has given up"));
        Assert.That(federation.SentTensors, Is.Empty);
    }

    [Test]
    public async Task Another_sites_upload_is_refused()
    {
        Shareable? stolen = null;
        var there = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var federation = await new TappedFederation
        {
            Rounds = 1,
            Reroute = (message, context) =>
            {
                if (context.TaskName != TaskNames.Train) return message;
                if (context.Peer == "site-1")
                {
                    stolen = Copy(message, _ => { });
                    there.SetResult();
                }
                return context.Peer == "site-3" ? stolen! : message;
            },
            Trainer = site => new Federations.Scripted(async (task, input, context, abort) =>
            {
                if (site == 2 && task == TaskNames.Train) await there.Task.WaitAsync(abort);
                return await EncryptedSites.Trainer(site).ExecuteAsync(task, input, context, abort);
            }),
        }.RunAsync();
        Assert.That(federation.Reports[0].Accepted, Is.EqualTo(2));
        Assert.That(federation.Reasons, Does.Contain("The upload is of 10@site-1, where 10@site-3 has sent it"));
    }

    [Test]
    public async Task Uploads_that_are_no_uploads_are_refused_by_name_and_whole()
    {
        var federation = await new TappedFederation
        {
            Rounds = 1,
            Sites = 4,
            Reroute = (message, context) => context.TaskName != TaskNames.Train ? message : context.Peer switch
            {
                "site-2" => Copy(message, t => t["flare.encryption.0"].AsSpan<byte>()[0] ^= 1),
                "site-3" => Dxo.Weights(EncryptedSites.Model()).WithMeta(MetaKey.NumStepsCurrentRound, 3).ToShareable(),
                _ => message,
            },
        }.RunAsync();
        Assert.That(federation.Reports[0].Accepted, Is.EqualTo(2));
        Assert.That(
            federation.Reasons,
            Does.Contain("site-2: Rejected: ").And.Contain("site-3: Rejected: it is not encrypted"));

        // The refused left no trace in the clear part either: steps 10 and 31, counts 3 and 12.
        Assert.That(
            federation.Decrypt()["norm.count"].AsReadOnlySpan<long>()[0],
            Is.EqualTo((long)Math.Round(((10 * 3) + (31 * 12)) / 41.0)));
    }

    [Test]
    public async Task A_ckks_upload_with_a_damaged_ciphertext_is_refused_by_name()
    {
        var policy = new EncryptionPolicy { Scheme = EncryptionScheme.Ckks, MaxSites = 3 };
        var federation = await new TappedFederation
        {
            ServerPolicy = policy,
            SitePolicy = _ => policy,
            Rounds = 1,
            Reroute = (message, context) => context.TaskName == TaskNames.Train && context.Peer == "site-2"
                ? Copy(
                    message, t => t["flare.encryption.0"].AsSpan<byte>()[^2000..^1000].Fill(
                        0xFF)) // in the second of two ciphertexts
                : message,
        }.RunAsync();
        Assert.That(federation.Failure, Is.Null);
        Assert.That(federation.Reports[0].Accepted, Is.EqualTo(2));
        Assert.That(federation.Reasons, Does.Contain("site-2: Rejected: "));
        var weights = new[] { 0, 2 }.Select(
            site =>
            (EncryptedSites.Train(EncryptedSites.Model(), site, 1)["body.weight"].ToArray<float>(),
                Steps: EncryptedSites.Steps(site))).ToArray();
        var opened = federation.Decrypt();
        for (var i = 0; i < 5000; i += 500)
            Assert.That(
                opened["body.weight"].AsReadOnlySpan<float>()[i],
                Is.EqualTo(weights.Sum(w => w.Item1[i] * w.Steps) / weights.Sum(w => w.Steps)).Within(1e-5));
    }

    [TestCase(0, (byte)SealCompression.Zlib), TestCase(0, (byte)SealCompression.Zstandard),
        TestCase(1, (byte)SealCompression.Zlib)]
    public async Task A_compressed_ckks_upload_is_refused_by_name_and_the_job_goes_on(int chunk, byte compression)
    {
        var policy = new EncryptionPolicy { Scheme = EncryptionScheme.Ckks, MaxSites = 3 };
        var federation = await new TappedFederation
        {
            ServerPolicy = policy,
            SitePolicy = _ => policy,
            Rounds = 2,
            Reroute = (message, context) => context.TaskName == TaskNames.Train && context.Peer == "site-1"
            && context.Round == 1
                ? Copy(message, t =>
                {
                    var bytes = t["flare.encryption.0"].AsSpan<byte>();
                    var files = bytes[(4 + BitConverter.ToInt32(bytes))..];
                    var file = files[(chunk * files.Length / 2)..]; // 5357 values are two ciphertexts
                    Assert.That(file[..2].ToArray(), Is.EqualTo(new byte[] { 0x5E, 0xA1 }), "SEAL's magic");
                    (file[5], file[16], file[17]) = (compression, 0x78, 0x20); // zlib: a preset dictionary is needed
                })
                : message,
        }.RunAsync();
        Assert.That(federation.Failure, Is.Null);
        Assert.That(federation.Reports.Select(r => r.Accepted), Is.EqualTo(new[] { 2, 3 }));
        Assert.That(federation.Reasons, Does.Contain("site-1: Rejected: ").And.Contain("compressed"));
    }

    [Test]
    public async Task An_upload_whose_reading_throws_anything_is_refused_by_name_and_the_job_goes_on([Values]
    EncryptionScheme scheme)
    {
        // Memory that was given back: as when two sites hand over one state dict.
        var policy = new EncryptionPolicy { Scheme = scheme, MaxSites = 3 };
        var federation = await new TappedFederation
        {
            ServerPolicy = policy,
            SitePolicy = _ => policy,
            Rounds = 2,
            Reroute = (message, context) =>
            {
                if (context.TaskName != TaskNames.Train || context.Peer != "site-3" || context.Round != 1)
                    return message;
                var copy = Copy(message, _ => { });
                Dxo.From(copy).Tensors.Dispose();
                return copy;
            },
        }.RunAsync();
        Assert.That(federation.Failure, Is.Null);
        Assert.That(federation.Reports.Select(r => r.Accepted), Is.EqualTo(new[] { 2, 3 }));
        Assert.That(federation.Reasons, Does.Contain("site-3: Rejected: ").And.Contain("ObjectDisposedException"));
    }

    [Test]
    public async Task A_description_that_lies_is_an_error_and_takes_no_memory([Range(0, 19)] int seed)
    {
        var source = (await Sample.Value).Model;
        var scheme = SumScheme.For(EncryptedSites.Policy);
        using var ring = EncryptedSites.Ring(1);
        using var cipher = new ModelCipher(scheme, ring);
        var random = new Random(seed);
        for (var trial = 0; trial < 50; trial++)
        {
            var model = source.Clone();
            var bytes = model["flare.encryption"].AsSpan<byte>();
            for (var i = random.Next(1, 4); i > 0; i--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            if (model.ContentEquals(source)) continue;
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                cipher.Open(model, TimeProvider.System, RlweEncryptor.Sequential);
                // What opens is authentic: the changed byte said nothing of the model (the most steps seen).
            }
            catch (FlareCryptoException e)
            {
                // of this one type, whichever reader found the damage
                Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.Crypto));
            }
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(10_000_000));
        }
    }

    [Test]
    public void Ckks_envelopes_are_read_or_refused([Range(0, 9)] int seed)
    {
        var scheme = SumScheme.For(new EncryptionPolicy { Scheme = EncryptionScheme.Ckks, MaxSites = 4 });
        var id = CkksParameters.NvFlare.KeyLevel.Id.ToString();
        var bytes = CkksEnvelope.Write(id, new(RlweFixture.Key(1).Id, new("job", 3), 0, ["1@a", "2@b"]));
        Assert.That(scheme.ReadHeader(bytes).Members, Is.EqualTo(new[] { "1@a", "2@b" }));
        var random = new Random(seed);
        for (var trial = 0; trial < 200; trial++)
        {
            var damaged = bytes[..random.Next(bytes.Length + 1)];
            if (damaged.Length > 0) damaged[random.Next(damaged.Length)] ^= (byte)random.Next(1, 256);
            try
            {
                Assert.That(scheme.ReadHeader(damaged).Members, Has.Count.LessThanOrEqualTo(4));
            }
            catch (FlareCryptoException e)
            {
                Assert.That(e.Message, Is.Not.Empty);
            }
        }
        Assert.That(
            () => scheme.ReadHeader(CkksEnvelope.Write(id, new(default, new("job", 3), 0, ["2@b", "1@a"]))),
            Throws.TypeOf<FlareCryptoException>());
        Assert.That(
            () => scheme.ReadHeader(CkksEnvelope.Write(id, new(default, new("job", 3), int.MaxValue, ["1@a"]))),
            Throws.TypeOf<FlareCryptoException>());
    }

    [Test]
    public void A_ckks_sum_takes_an_upload_once_and_whole()
    {
        var scheme = SumScheme.For(new EncryptionPolicy { Scheme = EncryptionScheme.Ckks, MaxSites = 2 });
        using var ring = EncryptedSites.Ring(1);
        using var cipher = scheme.CreateCipher(ring);
        var round = new AggregationRound("job", 1);
        var sum = scheme.CreateSum(round, ring.Current.Id, 5000);
        byte[] Upload(string member, float value, AggregationRound at)
        {
            var upload = new byte[cipher.UploadBytes(at, member, 5000)];
            cipher.Encrypt(
                ring.Current, [.. Enumerable.Repeat(value, 5000)], at, member, upload, RlweEncryptor.Sequential);
            return upload;
        }
        void Add(byte[] upload)
        {
            sum.Check(upload, RlweEncryptor.Sequential);
            sum.Add(upload, RlweEncryptor.Sequential);
        }
        var first = Upload("1@a", 0.5f, round);
        Add(first);
        Assert.That(
            () => Add(first), Throws.TypeOf<FlareCryptoException>().With.Property("Fault")
            .EqualTo(CryptoFault.Repeated));
        Assert.That(
            () => Add(Upload("1@b", 1, new("job", 2))), Throws.TypeOf<FlareCryptoException>().With.Property("Fault")
            .EqualTo(CryptoFault.WrongRound));
        var damaged = Upload("1@b", 1, round);
        Array.Fill(damaged, (byte)0xFF, damaged.Length - 2000, 1000); // in the second of two ciphertexts
        Assert.That(() => Add(damaged), Throws.TypeOf<FlareCryptoException>());
        Add(Upload("1@c", 0.25f, round));
        Assert.That(
            () => Add(Upload("1@d", 1, round)), Throws.TypeOf<FlareCryptoException>().With.Property("Fault")
            .EqualTo(CryptoFault.TooManySummands));

        var written = new byte[sum.SumBytes];
        sum.Write(written, RlweEncryptor.Sequential);
        var opened = new double[5000];
        cipher.Decrypt(written, scheme.ReadHeader(written), round, opened, RlweEncryptor.Sequential);
        Assert.That(opened, Has.All.EqualTo(0.75).Within(1e-6));
    }

    private static readonly Lazy<Task<TappedFederation>> Sample = new(
        () => new TappedFederation { Rounds = 1 }.RunAsync());

    /// <summary>A server that sends another model in place of the global one, once there is a sum.</summary>
    private static Task<TappedFederation> Meddling(Func<StateDict, FLContext, StateDict> change, int rounds = 2) =>
        new TappedFederation
    {
        Rounds = rounds,
        Meddle = (message, context) =>
        {
            if (context.Round < 2 || context.TaskName != TaskNames.Train) return message;
            var changed = Dxo.Weights(change(Dxo.From(message).Tensors, context)).ToShareable();
            foreach (var (name, value) in message.Headers) changed.Headers[name] = value;
            return changed;
        },
    }.RunAsync();

    private static StateDict Changed(StateDict model, Action<StateDict> change)
    {
        var copy = model.Clone();
        change(copy);
        return copy;
    }

    private static Shareable Copy(Shareable message, Action<StateDict> change)
    {
        var data = Dxo.From(message);
        var copy = new Dxo(data.Kind, Changed(data.Tensors, change), data.Values, data.Meta).ToShareable();
        foreach (var (name, value) in message.Headers) copy.Headers[name] = value;
        return copy;
    }
}

using Flare.Crypto;
using Flare.Tests.Federations;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Crypto;

/// <summary>Encryption changes no value unless it is told to: one out of range is refused by name, at once.</summary>
public class OutOfRangeTests
{
    [TestCase(DataKind.Weights, 1, 4), TestCase(DataKind.WeightDiff, 100, 4), TestCase(DataKind.WeightDiff, 4096, 1)]
    public void A_value_out_of_range_is_refused_with_tensor_element_value_and_setting(
        DataKind kind, long steps, int rounds)
    {
        var initial = new StateDictBuilder()
            .Add<float>("w", [0.5f])
            .AddBuffer<float>("bn.running_mean", [0, -7.5f, 3])
            .AddBuffer<float>("bn.running_var", [1, 2, -3, 400, 5, 1e6f], 2, 3)
            .Build();
        var error = Assert.ThrowsAsync<TooFewResponsesException>(
            () => RunAsync(initial, 3, kind, steps, rounds, new EncryptionPolicy()))!;
        var reasons = string.Join("\n", error.Sites);
        using (Assert.EnterMultipleScope())
        {
            foreach (var site in new[] { "site-1", "site-2", "site-3" }) Assert.That(reasons, Does.Contain(site));
            Assert.That(reasons, Does.Contain("'bn.running_var'[1, 0] is 400").And.Contain("FLARE4001"));
            Assert.That(reasons, Does.Contain("1 more value").And.Contain("1000000"));
            Assert.That(
                reasons, Does.Contain("Range, 8").And.Contain("OutOfRange.Clip").And.Not.Contain("'bn.running_mean'"));
        }
    }

    [Test]
    public async Task Nothing_leaves_the_site_whose_value_is_out_of_range_and_the_rest_go_on()
    {
        var federation = await new TappedFederation
        {
            Rounds = 1,
            Trainer = site =>
            EncryptedSites.Trainer(site, spoil: t => t["head.weight"].AsSpan<float>()[31] = site == 1 ? -4.5f : 0),
        }.RunAsync();
        Assert.That(federation.Failure, Is.Null);
        Assert.That(federation.Reports[0].Accepted, Is.EqualTo(2));
        Assert.That(federation.Reasons, Does.Contain("site-2").And.Contain("'head.weight'[1, 1] is -4.5"));
        Assert.That(federation.SentTensors.Count(), Is.EqualTo(2));
        Assert.That(federation.Decrypt()["head.weight"].AsReadOnlySpan<float>()[31], Is.Zero.Within(1e-3));
    }

    [TestCase(DType.Float32, 7.99), TestCase(DType.Float64, 7.99), TestCase(DType.Float16, 7.99),
        TestCase(DType.BFloat16, 7.9)]
    [TestCase(DType.Float32, 8), TestCase(DType.Float64, 1e300), TestCase(DType.Float16, -60000),
        TestCase(DType.BFloat16, -8)]
    public async Task The_range_is_that_of_the_value_whatever_its_type_and_the_sites_weight(DType dtype, double value)
    {
        var builder = new StateDictBuilder().Add<float>("before", [1, 2]);
        builder = dtype switch
        {
            DType.Float32 => builder.Add<float>("x", [0, (float)value]),
            DType.Float64 => builder.Add<double>("x", [0, value]),
            DType.Float16 => builder.Add<Half>("x", [default, (Half)value]),
            _ => builder.Add<BFloat16>("x", [default, (BFloat16)(float)value]),
        };
        var initial = builder.Build();
        foreach (var steps in new long[] { 1, 4096 })
        {
            if (Math.Abs(value) < 8)
            {
                var opened = await RunAsync(
                    initial, 2, DataKind.Weights, steps, 2,
                    new EncryptionPolicy { FirstRoundSteps = 256 * (int)steps });
                Assert.That(
                    EncryptedSites.Get(opened["x"], 1), Is.EqualTo(EncryptedSites.Get(initial["x"], 1)).Within(2e-3));
            }
            else
            {
                var error = Assert.ThrowsAsync<TooFewResponsesException>(
                    () => RunAsync(initial, 2, DataKind.Weights, steps, 2, new EncryptionPolicy()))!;
                Assert.That(string.Join("\n", error.Sites), Does.Contain("'x'[1] is"));
            }
        }
    }

    [Test]
    public async Task A_wider_range_or_tensors_left_out_or_ckks_give_the_values_of_the_clear()
    {
        var initial = new StateDictBuilder().Add<float>("w", [0.5f]).AddBuffer<float>("bn.running_var", [1, 400, 1e6f])
            .Build();
        EncryptionPolicy[] policies =
        [
            new() { Range = 1 << 20, Bits = 32 }, new() { Tensors = "^w$" }, new() { Scheme = EncryptionScheme.Ckks },
        ];
        foreach (var policy in policies)
        {
            var model = await RunAsync(initial, 3, DataKind.WeightDiff, 100, 4, policy);
            var (opened, expected) =
                (model["bn.running_var"].ToArray<float>(), initial["bn.running_var"].ToArray<float>());
            for (var i = 0; i < 3; i++)
                Assert.That(opened[i], Is.EqualTo(expected[i]).Within(1e-3 + (1e-6 * expected[i])), $"{policy}");
        }
    }

    [Test]
    public async Task Clipping_is_a_choice_and_warns_with_site_tensor_and_largest_value()
    {
        var initial = new StateDictBuilder()
            .Add<float>("w", [0.5f])
            .AddBuffer<float>("bn.running_var", [1, 400, 1e6f])
            .AddBuffer<float>("bn.running_mean", [0, -120, 3])
            .Build();
        using var log = new LogRecorder();
        var model = await RunAsync(
            initial, 2, DataKind.WeightDiff, 100, 2,
            new EncryptionPolicy { OutOfRange = OutOfRange.Clip, FirstRoundSteps = 100 }, log);
        Assert.That(model["bn.running_mean"].AsReadOnlySpan<float>()[1], Is.EqualTo(-8 * 128 / 100.0).Within(1e-3));
        var warnings = log.Entries.Where(e => e.Level == LogLevel.Warning && e.Message.Contains("clipped"))
            .Select(e => e.Message).ToArray();
        using (Assert.EnterMultipleScope())
        {
            foreach (var site in new[] { "site-1", "site-2" })
            {
                Assert.That(
                    warnings,
                    Has.Some.Contains(site).And.Contain("2 values of tensor 'bn.running_var'").And.Contain("1000000"));
                Assert.That(
                    warnings,
                    Has.Some.Contains(site).And.Contain("1 values of tensor 'bn.running_mean'").And.Contain("-120"));
            }
            Assert.That(warnings, Has.None.Contains("'w'"));
        }
    }

    [Test]
    public async Task What_the_weight_brings_into_range_is_not_clipped_and_nobody_is_warned()
    {
        using var log = new LogRecorder();
        var policy = new EncryptionPolicy { OutOfRange = OutOfRange.Clip };
        var model = await RunAsync(StateDict.Create(("w", [20f, -1f])), 2, DataKind.Weights, 1000, 1, policy, log);
        Assert.That(model["w"].ToArray<float>(), Is.EqualTo(new[] { 20f, -1f }).Within(1e-4));
        Assert.That(log.Entries.Where(e => e.Message.Contains("clipped")), Is.Empty);
    }

    [Test]
    public void An_encryptor_by_itself_refuses_too_and_names_value_and_place()
    {
        var parameters = RlweParameters.Choose(4, Quantization.ForRange(1, 16));
        using var key = SecretKey.Generate();
        using var encryptor = new RlweEncryptor(parameters, key);
        var values = new float[30_000];
        values[20_001] = -3;
        var upload = new byte[encryptor.UploadBytes(RlweFixture.Round, "a", values.Length)];
        Assert.That(
            () => encryptor.Encrypt(values, RlweFixture.Round, "a", upload),
            KeyTests.Fails(CryptoFault.ValueOutOfRange).With.Message.Contains("Value 20001 is -3").And.Message.Contains(
                "OutOfRange.Clip"));
        Assert.That(encryptor.Encrypt(values, RlweFixture.Round, "a", upload, OutOfRange.Clip).Clipped, Is.EqualTo(1));
    }

    private static async Task<StateDict> RunAsync(
        StateDict initial, int sites, DataKind kind, long steps, int rounds, EncryptionPolicy policy,
        ILoggerFactory? log = null)
    {
        using var encryption = new HomomorphicEncryption(policy);
        await using var federation = Federation.InProcess(f =>
        {
            f.AddSites(sites, _ => new Scripted((_, input, _, _) =>
            {
                // Every site answers "no change".
                var model = Dxo.From(input).Tensors;
                var answer = kind == DataKind.Weights ? model.Clone() : new StateDict(model.Layout);
                return ValueTask.FromResult(
                    new Dxo(kind, answer).WithMeta(MetaKey.NumStepsCurrentRound, steps).ToShareable());
            }));
            f.UseController(new FedAvg { Rounds = rounds, MinSites = sites, Validation = ValidationMode.None });
            if (log is not null) f.UseLogging(log);
            f.UseHomomorphicEncryption(encryption);
        });
        await federation.RunToEndAsync(initial);
        return encryption.Decrypt(federation.Model);
    }
}

using Flare.Crypto;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

public class PartialEncryptionTests
{
    [Test]
    public async Task By_pattern_the_rest_is_averaged_in_the_clear_as_without_encryption()
    {
        var policy = EncryptedSites.Policy with { Tensors = "^body\\." };
        var federation =
            await new TappedFederation { ServerPolicy = policy, SitePolicy = _ => policy, Rounds = 2 }.RunAsync();
        await using var plain = Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index))
            .UseController(
                new FedAvg { Rounds = 2, MinSites = 3, Aggregator = new ExactAggregator { Kind = DataKind.Weights } }));
        await plain.RunToEndAsync(EncryptedSites.Model());

        Assert.That(federation.Failure, Is.Null);
        var first = federation.SentTensors.First();
        Assert.That(
            first.Select(t => t.Name),
            Is.EqualTo(
                new[] { "flare.encryption.0", "norm.count", "norm.frozen", "head.half", "head.brain", "head.weight" }));
        Assert.That(federation.Leaks(EncryptedSites.Train(EncryptedSites.Model(), 0, 1), "body.weight"), Is.False);
        Assert.That(
            federation.Leaks(EncryptedSites.Train(EncryptedSites.Model(), 0, 1), "head.weight"),
            "the tap would see it");
        var model = federation.Decrypt();
        Assert.That(model["norm.frozen"].AsReadOnlySpan<bool>()[0]);
        Assert.That(model["head.weight"].ToArray<float>(), Is.EqualTo(plain.Model["head.weight"].ToArray<float>()));
        Assert.That(model["norm.count"].ToArray<long>(), Is.EqualTo(plain.Model["norm.count"].ToArray<long>()));
        Assert.That(
            model["body.weight"].ToArray<float>(), Is.EqualTo(plain.Model["body.weight"].ToArray<float>())
            .Within(1e-3));
    }

    [Test]
    public void By_fraction_the_first_tensors_that_reach_it_are_chosen()
    {
        var layout = EncryptedSites.Model().Layout; // floating-point: 5000, 7, 33, 17, 300
        Assert.That(
            Chosen(1), Is.EqualTo(new[] { "body.weight", "body.bias", "head.half", "head.brain", "head.weight" }));
        Assert.That(Chosen(0.5), Is.EqualTo(new[] { "body.weight" }));
        Assert.That(Chosen(5000.0 / 5357), Is.EqualTo(new[] { "body.weight" }));
        Assert.That(Chosen(5001.0 / 5357), Is.EqualTo(new[] { "body.weight", "body.bias" }));
        Assert.That(Chosen(0.5, "head"), Is.EqualTo(new[] { "head.half", "head.brain", "head.weight" }));

        string[] Chosen(double fraction, string? tensors = null) =>
            [.. new ModelPlan(
                layout, SumScheme.For(
                    EncryptedSites.Policy with { Fraction = fraction, Tensors = tensors })).EncryptedNames];
    }

    [Test]
    public async Task A_fraction_travels()
    {
        var policy = EncryptedSites.Policy with { Fraction = 0.5 };
        var federation =
            await new TappedFederation { ServerPolicy = policy, SitePolicy = _ => policy, Rounds = 1 }.RunAsync();
        Assert.That(
            federation.SentTensors.First().Select(t => t.Name)
            .Take(2), Is.EqualTo(new[] { "flare.encryption.0", "body.bias" }));
        Assert.That(federation.Decrypt().Layout, Is.EqualTo(EncryptedSites.Model().Layout));
    }

    [Test]
    public async Task A_policy_that_chooses_nothing_is_an_error_of_the_job()
    {
        var policy = EncryptedSites.Policy with { Tensors = "no such tensor" };
        var federation = await new TappedFederation { ServerPolicy = policy, SitePolicy = _ => policy }.RunAsync();
        Assert.That(federation.Failure, Is.TypeOf<FlareCryptoException>().With.Message.Contains("chooses no tensor"));
        Assert.That(federation.SentTensors, Is.Empty);
    }
}

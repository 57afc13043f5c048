using Flare.Crypto;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

public class EncryptionPolicyTests
{
    [Test]
    public void The_defaults_are_usable_and_have_a_name()
    {
        var policy = new EncryptionPolicy();
        Assert.That(policy.Validate(), Is.Empty);
        Assert.That(policy.Fingerprint, Has.Length.EqualTo(32).And.EqualTo(new EncryptionPolicy().Fingerprint));
    }

    [Test]
    public void What_must_be_agreed_changes_the_fingerprint_and_what_is_ones_own_does_not()
    {
        var policy = new EncryptionPolicy();
        EncryptionPolicy[] others =
        [
            policy with { Scheme = EncryptionScheme.Ckks }, policy with { Bits = 23 }, policy with { Range = 9 },
            policy with { MaxSites = 65 },
            policy with { Security = SecurityLevel.Classical256 }, policy with { Tensors = "a" },
            policy with { Tensors = "b" }, policy with { Fraction = 0.5 },
        ];
        Assert.That(others.Select(p => p.Fingerprint).Append(policy.Fingerprint), Is.Unique);
        var own = policy with { MinSites = 3, FirstRoundSteps = 9, OutOfRange = OutOfRange.Clip };
        Assert.That(own.Fingerprint, Is.EqualTo(policy.Fingerprint));
    }

    [Test]
    public void What_makes_no_sense_is_listed_all_at_once()
    {
        var policy = new EncryptionPolicy
        {
            Scheme = (EncryptionScheme)7, Bits = 1, Range = double.NaN, MaxSites = 9000, MinSites = 0,
                Security = (SecurityLevel)9, Tensors = "(", Fraction = 0, FirstRoundSteps = 0,
            OutOfRange = (OutOfRange)5,
        };
        Assert.That(policy.Validate().Count(), Is.EqualTo(10));
        Assert.That(
            () => new EncryptedAggregator(policy, default),
            Throws.ArgumentException.With.Message.Contains("Bits is 1").And.Message.Contains("Fraction is 0"));
        Assert.That(() => new HomomorphicEncryption(new EncryptionPolicy { Tensors = "" }), Throws.ArgumentException);
    }

    [Test]
    public void Parameters_that_do_not_exist_are_refused()
    {
        Assert.That(
            () =>
            new HomomorphicEncryption(
                new EncryptionPolicy { Scheme = EncryptionScheme.Ckks, Security = SecurityLevel.Classical256 }),
                Throws.ArgumentException.With.Message.Contains("does not reach"));
        Assert.That(
            new EncryptionPolicy { Scheme = EncryptionScheme.Ckks, Security = SecurityLevel.Classical192 }.Fingerprint,
            Has.Length.EqualTo(32));
    }

    [Test]
    public void Validate_finds_what_a_constructor_would_refuse()
    {
        EncryptionPolicy[] policies =
        [
            new() { Scheme = EncryptionScheme.Ckks, Security = SecurityLevel.Classical256 },
        ];
        foreach (var policy in policies)
        {
            var fault = policy.Validate().Single();
            Assert.That(() => new HomomorphicEncryption(policy), Throws.ArgumentException.With.Message.Contains(fault));
        }
    }

    [Test]
    public void Checking_a_federation_changes_no_policy()
    {
        using var given = new HomomorphicEncryption(new EncryptionPolicy { MaxSites = 2 });
        using var open = new HomomorphicEncryption();
        foreach (var encryption in new[] { given, open })
        {
            var before = encryption.Policy;
            Assert.Throws<FlareException>(() => Federation.InProcess(f => f
                .AddSites(3, site => EncryptedSites.Trainer(site.Index))
                .UseController(new FedAvg { Rounds = 0 })
                .UseHomomorphicEncryption(encryption)));
            Assert.That(encryption.Policy, Is.EqualTo(before));
        }
    }

    [Test]
    public async Task Without_a_policy_the_federation_that_is_built_decides_how_many_sites()
    {
        using var encryption = new HomomorphicEncryption();
        Assert.That(encryption.Policy.MaxSites, Is.EqualTo(64));
        await using var federation = Federation.InProcess(f => f
            .UseHomomorphicEncryption(encryption)
            .UseController(new FedAvg { Rounds = 1, MinSites = 3 })
            .AddSites(2, site => EncryptedSites.Trainer(site.Index))
            .AddSites(1, site => EncryptedSites.Trainer(site.Index)));
        Assert.That(encryption.Policy, Is.EqualTo(new EncryptionPolicy { MaxSites = 3 }));
        Assert.That((await federation.RunToEndAsync(EncryptedSites.Model()))[0].Accepted, Is.EqualTo(3));
    }

    [Test]
    public void A_pattern_that_does_not_end_is_an_error_of_encryption()
    {
        var policy = new EncryptionPolicy { Tensors = "^(a+)+$" };
        var layout = new TensorLayout(new TensorSpec(new string('a', 60) + "!", DType.Float32, [1]));
        Assert.That(
            () => new ModelPlan(layout, SumScheme.For(policy)),
            KeyTests.Fails(CryptoFault.NotEncryptable).With.Message.Contains("Tensors").And.Message.Contains(
                "backtrack"));
    }

    [TestCase("24@site-3", 24, "site-3")]
    [TestCase("1@a@b", 1, "a@b")]
    public void A_member_reads_what_it_writes(string text, int steps, string site)
    {
        Assert.That(Member.Parse(text), Is.EqualTo(new Member(site, steps)));
        Assert.That($"{new Member(site, steps)}", Is.EqualTo(text));
    }

    [Test]
    public void A_member_of_another_form_is_refused(
        [Values("", "a", "@a", "0@a", "-1@a", "+1@a", "01@a", " 1@a", "1@", "99999999@a", "1,0@a")] string text) =>
        Assert.That(() => Member.Parse(text), Throws.TypeOf<FlareCryptoException>());
}

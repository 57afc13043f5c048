using Flare.Crypto;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

/// <summary>Whatever is wrong, nothing leaves a site, and the report says why.</summary>
public class FailClosedTests
{
    [Test]
    public async Task What_goes_right_sends_ciphertext_only()
    {
        var federation = await new TappedFederation().RunAsync();
        Assert.That(federation.Failure, Is.Null);
        Assert.That(federation.Reports.Select(r => r.Accepted), Is.EqualTo(new[] { 3, 3 }));
        Assert.That(federation.SentTensors.Count(), Is.EqualTo(6));
        for (var site = 0; site < 3; site++)
        {
            var trained = EncryptedSites.Train(EncryptedSites.Model(), site, 1);
            Assert.That(federation.Leaks(trained, "body.weight") || federation.Leaks(trained, "head.weight"), Is.False);
        }
        Assert.That(
            federation.SentTensors.SelectMany(t => t).Select(t => t.Name)
            .Distinct(), Is.EqualTo(new[] { "flare.encryption.0", "norm.count", "norm.frozen" }));
        var data = Dxo.From(federation.Sent[0]);
        Assert.That(data.Meta["processed_algorithm"].AsText(), Is.EqualTo("exact-rlwe"));
        Assert.That(
            data.Meta["processed_keys"].AsList().Select(k => k.AsText()),
            Is.EqualTo(new[] { "body.weight", "body.bias", "head.half", "head.brain", "head.weight" }));
    }

    [Test]
    public Task A_server_that_does_not_encrypt() =>
        AssertNothingSent(new() { Encrypts = false }, "no agreement on encryption");

    [Test]
    public Task A_key_that_the_sites_do_not_have() =>
        AssertNothingSent(new() { ServerKey = RlweFixture.Key(9).Id }, "not in this site's key ring");

    [Test]
    public Task Another_range() =>
        AssertNothingSent(
            new() { SitePolicy = _ => EncryptedSites.Policy with { Range = 5 } }, "same EncryptionPolicy");

    [Test]
    public Task Another_choice_of_tensors() =>
        AssertNothingSent(
            new() { SitePolicy = _ => EncryptedSites.Policy with { Tensors = "body" } }, "same EncryptionPolicy");

    [Test]
    public Task Not_a_number() =>
        AssertNothingSent(
            new() { Trainer = site => EncryptedSites.Trainer(
                site, spoil: t => t["head.weight"].AsSpan<float>()[7] = float.NaN) }, "'head.weight' holds NaN");

    [Test]
    public Task A_difference_that_overflows() => AssertNothingSent(
        new() { Trainer = site =>
            EncryptedSites.Trainer(
                site, DataKind.WeightDiff, spoil: t => t["body.weight"].AsSpan<float>()[7] = float.MaxValue) },
                "leaves the range", InitialLarge());

    [Test]
    public Task No_steps() =>
        AssertNothingSent(
            new() { Trainer = site => EncryptedSites.Trainer(site, steps: _ => 0) }, "states no training steps");

    [Test]
    public Task Another_layout() => AssertNothingSent(
        new() { Trainer = _ =>
            Answering(
                input => Dxo.Weights(Dxo.From(input).Tensors.Select(t => t.Name != "body.bias"))
                .WithMeta(MetaKey.NumStepsCurrentRound, 3).ToShareable()) }, "'body.bias' is missing");

    [Test]
    public Task Tensors_beside_the_tensors() => AssertNothingSent(
        new() { Trainer = _ =>
            Answering(
                input => Dxo.Weights(Dxo.From(input).Tensors.Clone()).WithMeta(MetaKey.NumStepsCurrentRound, 3)
                .WithMeta(new("momentum"), Dxo.From(input).Tensors.Clone()).ToShareable()) }, "in the clear");

    [Test]
    public Task Tensors_in_a_header() => AssertNothingSent(
        new()
        {
            Trainer = _ => Answering(input =>
            {
                var answer = Dxo.Weights(Dxo.From(input).Tensors.Clone()).WithMeta(MetaKey.NumStepsCurrentRound, 3)
                    .ToShareable();
                answer.Headers["extra"] = FlareValue.List(Dxo.From(input).Tensors.Clone());
                return answer;
            }),
        }, "in the clear");

    [Test]
    public async Task Tensors_in_the_answer_to_another_task()
    {
        var federation = await new TappedFederation
        {
            Trainer = site => new Federations.Scripted(
                (task, input, _, _) => ValueTask.FromResult(Dxo.Weights(EncryptedSites.Model()).ToShareable())),
            Workflow = _ => new Asking(),
        }.RunAsync();
        Assert.That(federation.SentTensors, Is.Empty);
        Assert.That(federation.Reasons, Does.Contain("TaskResultFilterError").And.Contain("in the clear"));
    }

    [Test]
    public async Task A_site_that_took_too_many_steps_sits_out_one_round()
    {
        var policy = EncryptedSites.Policy with { FirstRoundSteps = 30 };
        var federation = await new TappedFederation
        {
            ServerPolicy = policy,
            SitePolicy = _ => policy,
            Trainer = site => EncryptedSites.Trainer(site, steps: _ => site == 2 ? 500 : 20),
        }.RunAsync();
        Assert.That(federation.Reports.Select(r => r.Accepted), Is.EqualTo(new[] { 2, 3 }));
        Assert.That(
            federation.Reports[0].Sites.Single(s => s.Status == SiteStatus.Rejected)
            .ToString(), Does.StartWith("site-3").And.Contain("500 steps, above the round's weight reference of 32, "
                + "which follows EncryptionPolicy.FirstRoundSteps")
                .And.Contain("set that to 500 or more for the first one"));
        Assert.That(federation.SentTensors.Count(), Is.EqualTo(5), "its first answer had no tensors");
    }

    [Test]
    public async Task One_site_with_another_policy_does_not_stop_the_rest()
    {
        var federation =
            await new TappedFederation { SitePolicy = site => site == 1 ? EncryptedSites.Policy with { Bits = 20 }
                : EncryptedSites.Policy }.RunAsync();
        Assert.That(federation.Failure, Is.Null);
        Assert.That(federation.Reports.Select(r => r.Accepted), Is.EqualTo(new[] { 2, 2 }));
        Assert.That(federation.Decrypt()["body.weight"].AsReadOnlySpan<float>()[0], Is.Not.Zero);
    }

    private static async Task AssertNothingSent(TappedFederation federation, string why, StateDict? initial = null)
    {
        await federation.RunAsync(initial);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(federation.SentTensors, Is.Empty);
            Assert.That(federation.Sent, Is.Not.Empty);
            Assert.That(federation.Sent.Where(m => m.Body.Count > 0 && m.ReturnCode != ReturnCode.Ok), Is.Empty);
            Assert.That(federation.Reports, Is.Empty);
            Assert.That(federation.Reasons, Does.Contain(why).And.Contain("site-1").And.Contain("FLARE4001"));
        }
    }

    private static StateDict InitialLarge()
    {
        var model = EncryptedSites.Model();
        model["body.weight"].AsSpan<float>()[7] = float.MaxValue;
        return model;
    }

    private static Federations.Scripted Answering(Func<Shareable, Shareable> answer) =>
        new Federations.Scripted((_, input, _, _) => ValueTask.FromResult(answer(input)));

    private sealed class Asking : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            await foreach (var _ in federation.BroadcastAsync(
                new FlareTask(TaskNames.SubmitModel, 1, new Shareable()), new BroadcastOptions { MinResponses = 1 },
                abort)) { }
        }
    }
}

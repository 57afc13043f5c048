using Flare.Testing;

namespace Flare.Outside.Tests;

/// <summary>What a unit test needs of a context and of contributions.</summary>
public class UnitTestingTests
{
    [Test]
    public void A_sites_context_is_what_it_was_asked_to_be()
    {
        var told = new List<string>();
        var context = TestContexts.ForSite(
            "site-1", "statistics", round: 3, seed: 42, peerProperties: new FlareMap { ["version"] = "2" },
            components: [new Listener(told)]);
        context.Fire("tick");
        Assert.That(
            (context.Identity, context.Peer, context.TaskName, context.Round),
            Is.EqualTo(("site-1", "server", "statistics", 3)));
        Assert.That(context.PeerProperties["version"].AsText(), Is.EqualTo("2"));
        Assert.That(context.Seed("noise"), Is.EqualTo(Seeds.Derive(42, "site-1", "statistics", 3, "noise")));
        Assert.That(told, Is.EqualTo(new[] { "tick" }));
        Assert.That(TestContexts.ForServer("site-1").Identity, Is.EqualTo("server"));
    }

    [Test]
    public async Task A_filter_by_itself()
    {
        var message = Dxo.WeightDiff(StateDict.Create(("w", [3f]))).ToShareable().Freeze();
        var filtered = await new Halving().ProcessAsync(
            message, TestContexts.ForSite("site-1"), CancellationToken.None);
        Assert.That(Dxo.From(filtered).Tensors["w"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(new[] { 1.5f }));
    }

    [Test]
    public void A_contribution_is_what_its_site_answered_or_is_refused_as_the_runtime_would()
    {
        string? refused = null;
        var answer = Dxo.WeightDiff(StateDict.Create(("w", [3f]))).WithMeta(MetaKey.NumStepsCurrentRound, 7);
        var contribution = TestContribution.Of("site-2", answer, round: 4, rejected: r => refused = r);
        Assert.That((contribution.Site, contribution.Round, contribution.NumSteps), Is.EqualTo(("site-2", 4, 7L)));
        Assert.That(contribution.ToWeights()["w"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(new[] { 3f }));
        contribution.Reject("too late");
        Assert.That((contribution.IsRejected, refused), Is.EqualTo((true, "too late")));

        var other = FlareTask.Train(1, StateDict.Create(("v", [0f])));
        Assert.That(
            () => TestContribution.Of("site-2", answer, task: other),
            Throws.TypeOf<FlareException>().With.Message.Contains("site-2").And.Message.Contains("layout"));
    }

    private sealed class Halving : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort)
        {
            var halved = Dxo.From(message).Tensors.Clone();
            halved["w"].AsSpan<float>()[0] /= 2;
            return ValueTask.FromResult(Dxo.WeightDiff(halved).ToShareable());
        }
    }

    private sealed class Listener(List<string> told) : FLComponent
    {
        protected override void HandleEvent(string eventType, FLContext context) => told.Add(eventType);
    }
}

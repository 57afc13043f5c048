using Flare.Testing;

namespace Flare.Outside.Tests;

/// <summary>What a unit test of a round's part sees and decides.</summary>
public class UnitFederationTests
{
    private static StateDict Model => StateDict.Create(("w", [1f]));

    private sealed class Listener : FLComponent
    {
        public List<(string Type, int Round)> Heard { get; } = [];

        protected override void HandleEvent(string eventType, FLContext context) =>
            Heard.Add((eventType, context.TryGet(ContextKeys.CurrentRound, out var round) ? round : 0));
    }

    private sealed class Noon : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);
    }

    [Test]
    public void All_events_are_recorded_in_order_whoever_fires_them()
    {
        var listener = new Listener();
        var federation = new UnitFederation(Model, seed: 7, components: [listener]);
        federation.Context.Fire("mine");
        federation.Fire("model", 3, Model);
        federation.Fire(
            "contribution", federation.Contribution("site-1", Dxo.Weights(federation.Model.Clone(), steps: 2)));
        federation.Context.Fire("mine too");
        Assert.That(federation.Events, Is.EqualTo(new[] { "mine", "model", "contribution", "mine too" }));
        Assert.That(listener.Heard, Is.EqualTo(
            new[] { ("mine", 0), ("model", 3), ("contribution", 1), ("mine too", 0) }));
    }

    [Test]
    public void Seed_clock_and_sites_are_the_tests_own()
    {
        var federation = new UnitFederation(Model, 7, new Noon(), sites: ["north", "south"]);
        Assert.That((federation.Seed, federation.Time.GetUtcNow().Hour), Is.EqualTo((7UL, 12)));
        Assert.That(federation.Context.Time, Is.SameAs(federation.Time));
        Assert.That(federation.Sites, Is.EqualTo(new[] { "north", "south" }));
        Assert.That(
            federation.Context.Seed("x"), Is.Not.EqualTo(new UnitFederation(Model, "north", "south").Context.Seed("x")),
            "drawn from the seed");
    }
}

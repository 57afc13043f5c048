using Flare.Testing;
using Flare.Workflows;

namespace Flare.Outside.Tests;

/// <summary>Sites in turn, as a user writes it.</summary>
internal sealed class InTurn(int count) : SiteSampling
{
    public override IReadOnlyList<string> Choose(ControllerContext context, int round) =>
        [.. Enumerable.Range((round - 1) * count, count).Select(i => context.Sites[i % context.Sites.Count])];

    public override int MostOf(int sites) => count;
}

public class SamplerTests
{
    [Test]
    public void Sites_are_chosen_in_turn()
    {
        var federation = new UnitFederation(StateDict.Create(("w", [0f])), "a", "b", "c");
        var sampler = new InTurn(2);
        Assert.That(
            Enumerable.Range(1, 3).Select(round => string.Join(' ', sampler.Choose(federation, round))),
            Is.EqualTo(new[] { "a b", "c a", "b c" }));
    }

    [Test]
    public async Task A_round_is_sent_to_the_sites_that_the_sampler_chose()
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(3, site => new Adding(1))
            .UseController(new FedAvg { Rounds = 3, Sampling = new InTurn(2), Validation = ValidationMode.None }));
        var rounds = await federation.RunToEndAsync(StateDict.Create(("w", [0f])));
        Assert.That(
            rounds.Select(r => string.Join(' ', r.Sites.Select(s => s.Site))),
            Is.EqualTo(new[] { "site-1 site-2", "site-3 site-1", "site-2 site-3" }));
    }

    [Test]
    public void What_a_sampler_chooses_at_most_bounds_the_minimum() => Assert.That(
        () => Federation.InProcess(
            f => f.AddSites(3, site => new Adding(1))
            .UseController(new FedAvg { Sampling = new InTurn(2), MinSites = 3 })),
        Throws.TypeOf<FlareException>().With.Message.Contains(
            "MinSites is 3; it must be from 1 to the 2 sites of a round"));
}

using Flare.Workflows;

namespace Flare.Tests.Federations;

public class FedAvgTests
{
    [Test]
    public async Task Averages_what_the_sites_trained_with_their_steps_as_weights()
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(3, site => Sites.Adding(amount: site.Index + 1, steps: site.Index + 1))
            .UseController(new FedAvg { Rounds = 2, MinSites = 3 }));

        var rounds = await federation.RunToEndAsync(Sites.Model(10, 20));

        // (1·1 + 2·2 + 3·3) / 6 a round
        const double mean = 14.0 / 6;
        Assert.That(
            federation.Model["w"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(new[] { 10 + 2 * mean, 20 + 2 * mean })
            .Within(1e-5));
        Assert.That(rounds.Select(r => (r.Number, r.Targets, r.Accepted)), Is.EqualTo(new[] { (1, 3, 3), (2, 3, 3) }));
        Assert.That(rounds[1].Metrics["accuracy"], Is.EqualTo(10 + 2 * mean).Within(1e-5));
    }
}

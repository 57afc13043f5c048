using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>Weights of sites that make no sense are refused before anybody trains.</summary>
public class SiteWeightTests
{
    private static ExactAggregator Weighted(string site, double weight) =>
        new() { SiteWeights = new Dictionary<string, double> { ["site-1"] = 2, [site] = weight } };

    [Test]
    public void A_weight_that_is_no_positive_number_is_refused_when_the_federation_is_built(
        [Values(0, -1, double.NaN, double.PositiveInfinity, 1e-300, 1e300)] double weight)
    {
        var error = Assert.Throws<FlareException>(() => Federation.InProcess(f => f
            .AddSites(2, _ => Sites.Adding(1))
            .UseController(new FedAvg { MinSites = 2, Aggregator = Weighted("site-2", weight) })))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Configuration));
        Assert.That(
            error.Message, Does.Contain(
                FormattableString.Invariant(
                    $"FedAvg: SiteWeights gives site-2 the weight {weight:R}; it must be from 2^-64 to 2^64"))
                    .And.Not.Contain("site-1"));
    }

    [Test]
    public void A_name_that_the_federation_does_not_know_is_refused_when_the_run_begins()
    {
        var trained = false;
        var site = Sites.Gated(Task.CompletedTask, 1, started: () => trained = true);
        var error = Assert.ThrowsAsync<FlareException>(
            () => Sites.RunAsync(
                new FedAvg { Aggregator = Weighted("site 2", 1) }, Sites.Model(0), site, Sites.Adding(1)))!;
        Assert.That(
            error.Message, Is.EqualTo(
                "The run cannot begin: SiteWeights names 'site 2', which is no site of the federation. The sites are: "
                    + "site-1, site-2. [FLARE1201]"));
        Assert.That(trained, Is.False);
    }

    [Test]
    public void A_workflow_of_ones_own_is_told_too()
    {
        var workflow = new Workflow((federation, _) =>
        {
            using var aggregator = Weighted("site-1", double.NaN);
            aggregator.Begin(federation, 1);
            return Task.CompletedTask;
        });
        Assert.That(
            () => Sites.RunAsync(workflow, Sites.Model(0), Sites.Adding(1)),
            Throws.InstanceOf<FlareException>().With.Message.Contains("gives site-1 the weight NaN"));
    }
}

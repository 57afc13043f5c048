using Flare.Crypto;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

public class PlaintextNeededTests
{
    [Test]
    public void Workflows_that_read_values_are_refused_when_the_federation_is_built()
    {
        using (Assert.EnterMultipleScope())
        {
            AssertRefused(new MedianOfSites(), "MedianOfSites");
            AssertRefused(
                new FedAvg { Aggregator = new ExactAggregator() }, "FedAvg reads sums of contributions by its "
                + "Aggregator (ExactAggregator), which encryption hides: leave that unset");
            AssertRefused(
                new FedAvg { Optimizer = new ServerMomentum() }, "FedAvg reads sums of contributions by its Optimizer "
                + "(ServerMomentum)");
            AssertRefused(
                new FedAvg { Aggregator = new CoordinateMedian(), Sets = [new("control")] },
                "FedAvg reads contributions by its Aggregator (CoordinateMedian) and Sets ('control')");
        }
    }

    [Test]
    public void The_message_lists_what_else_is_wrong()
    {
        var error = Assert.Throws<FlareException>(() => Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index))
            .UseController(new FedAvg { Rounds = 0 })
            .UseController(new MedianOfSites())
            .UseHomomorphicEncryption(new HomomorphicEncryption(EncryptedSites.Policy with { MaxSites = 2 }))))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.PlaintextNeeded));
        Assert.That(
            error.Message, Does.Contain("Rounds is 0").And.Contain("MaxSites is 2").And.Contain(
                "MedianOfSites").And.Not.Contain("workflow FedAvg"));
    }

    [Test]
    public void What_only_concerns_settings_keeps_its_own_id()
    {
        var error = Assert.Throws<FlareException>(() => Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index))
            .UseController(new FedAvg())
            .UseHomomorphicEncryption(new HomomorphicEncryption(EncryptedSites.Policy with { MinSites = 4 }))))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Configuration));
        Assert.That(error.Message, Does.Contain("MinSites is 4"));
    }

    [Test]
    public void Encrypting_twice_is_a_mistake() =>
        Assert.Throws<InvalidOperationException>(
            () => Federation.InProcess(f => f.UseHomomorphicEncryption().UseHomomorphicEncryption()));

    [Test]
    public async Task A_federation_without_a_feature_says_so()
    {
        await using var federation = Federation.InProcess(
            f => f.AddSites(1, site => EncryptedSites.Trainer(site.Index)).UseController(new FedAvg()));
        Assert.Throws<InvalidOperationException>(() => federation.Feature<HomomorphicEncryption>());
    }

    private static void AssertRefused(Controller controller, string name)
    {
        var error = Assert.Throws<FlareException>(() => Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index))
            .UseController(controller)
            .UseHomomorphicEncryption()))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.PlaintextNeeded));
        Assert.That(error.Message, Does.Contain($"workflow {name}"));
    }

    private sealed class MedianOfSites : Controller
    {
        protected override Task RunAsync(ControllerContext federation, CancellationToken abort) => Task.CompletedTask;
    }
}

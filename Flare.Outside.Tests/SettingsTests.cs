using Flare.Testing;
using Flare.Workflows;

namespace Flare.Outside.Tests;

/// <summary>Every part says what is wrong with its settings, and whoever builds hears all of it at once.</summary>
public class SettingsTests
{
    private sealed class Picky : Aggregator
    {
        public override bool NeedsSingleUpdates => false;

        public override IEnumerable<string> Validate() => ["Trim is 0.6; it must be below 0.5"];

        public override void Begin(ControllerContext context, int round) { }

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort) => default;

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) =>
            throw new NotSupportedException();
    }

    private static Federation Of(FedAvg workflow) =>
        Federation.InProcess(f => f.AddSites(1, _ => new Adding(1)).UseController(workflow));

    [TestCase(1.0, 1.0, "Beta is 1; "), TestCase(-0.1, 1.0, "Beta is -0.1; ")]
    [TestCase(double.NaN, 1.0, "Beta is NaN; ")]
    [TestCase(0.9, 0.0, "Rate is 0; "), TestCase(0.9, double.PositiveInfinity, "Rate is Infinity; ")]
    public void An_optimizers_settings_are_refused_when_the_federation_is_built(double beta, double rate, string words)
    {
        var optimizer = new ServerMomentum { Beta = beta, Rate = rate };
        Assert.That(optimizer.Validate().Single(), Does.StartWith(words));
        Assert.That(
            () => Of(new FedAvg { Optimizer = optimizer }),
            Throws.TypeOf<FlareException>().With.Message.Contains(words));
        var model = StateDict.Create(("w", [0f]));
        Assert.That(
            () => optimizer.Apply(model, model.Clone(), new OptimizerState()),
            Throws.InvalidOperationException.With.Message.Contains(words), "and where there is no federation");
    }

    [Test]
    public void All_parts_of_a_round_are_asked_and_heard_at_once() => Assert.That(
        () => Of(new FedAvg { Aggregator = new Picky(), Optimizer = new ServerMomentum { Beta = 2, Rate = -1 } }),
        Throws.TypeOf<FlareException>().With.Message.Contains("Trim is 0.6").And.Message.Contains("Beta is 2")
            .And.Message.Contains("Rate is -1"));

    [Test]
    public void A_profile_of_faults_says_all_that_is_wrong_with_it()
    {
        var profile = new FaultProfile
        {
            Network = new() { IsReliable = true, Loss = 2 },
            CrashDuringWrite = double.NaN,
        };
        Assert.That(string.Join('\n', profile.Validate()), Does.Contain("reliable network").And.Contain("Loss is 2")
            .And.Contain("CrashDuringWrite is NaN"));
        Assert.That(
            () => new Simulation
            {
                Seed = 1, Sites = 1, Executor = _ => new Adding(1), Controllers = () => [new FedAvg()],
                InitialModel = () => StateDict.Create(("w", [0f])), Faults = profile,
            }.Run(),
            Throws.ArgumentException.With.Message.Contains("Loss is 2")
                .And.Message.Contains("CrashDuringWrite is NaN"));
        Assert.That(FaultProfile.Harsh.Validate(), Is.Empty);
    }
}

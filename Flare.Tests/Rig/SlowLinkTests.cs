using Flare.Testing;
using Flare.Tests.Rig.Workloads;
using Flare.Workflows;

namespace Flare.Tests.Rig;

public class SlowLinkTests
{
    /// <summary>
    /// A model that takes longer to send than the time after which messages are repeated must not be buried under its
    /// own copies.
    /// </summary>
    [Test]
    public void Large_messages_get_through_a_link_that_is_slower_than_their_repetition()
    {
        const int rounds = 3;
        var run = new Simulation
        {
            Seed = 1,
            Sites = 2,
            Executor = site => new Steady(site.Name),
            Controllers = () => [new FedAvg { Rounds = rounds, MinSites = 2, Validation = ValidationMode.None }],
            InitialModel = () => Fold.InitialModel(),
            // A model, with a little around it, takes two seconds, ten times the retry interval, and the link stays as
            // it is.
            Faults = new()
            {
                Network = new() { BytesPerSecond = (Fold.InitialModel().Layout.ByteLength + 400) / 2 },
            },
            AttackTime = TimeSpan.FromHours(1),
            Limits = Simulation.ShortLimits with { SmallResultBytes = 16 },
            Check = run => Fold.Check(run, rounds, Fold.Average),
        }.Run();

        Assert.That(run.Failures, Is.Empty, run.ToString());
        // Twice two seconds a round, and as much again for copies that were on their way.
        Assert.That(run.Rounds.Max(r => r.Elapsed), Is.LessThan(TimeSpan.FromSeconds(8)));
    }

    private sealed class Steady(string site) : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(50), context.Time, abort);
            var model = Dxo.From(input).Tensors;
            var diff = new StateDict(model.Layout);
            Fold.Diff(site, context.Round, model, diff);
            return Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, Fold.Steps(site, context.Round))
                .ToShareable();
        }
    }
}

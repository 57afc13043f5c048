using Flare.Crypto;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>Whose an aggregator is, and when its memory goes back.</summary>
public class AggregatorLifetimeTests
{
    // Sixteen bytes of sums an element: far above what anything else of these runs keeps.
    private const int Elements = 500_000;

    private static Task<Federation> RunAsync(Controller workflow) =>
        Sites.RunAsync(workflow, Sites.Model(new float[Elements]), [.. Enumerable.Range(0, 8).Select(i => Sites.Adding(i))]);

    private static FedAvg Workflow(Aggregator? aggregator = null) => aggregator is null
        ? new() { Rounds = 1, MinSites = 8, Validation = ValidationMode.None }
        : new() { Rounds = 1, MinSites = 8, Validation = ValidationMode.None, Aggregator = aggregator };

    /// <summary>Bytes that an aggregator still holds: those that disposing of it gives back to the pool.</summary>
    private static long HeldBy(ExactAggregator aggregator)
    {
        var before = TensorMemoryPool.Shared.RetainedBytes;
        aggregator.Dispose();
        return TensorMemoryPool.Shared.RetainedBytes - before;
    }

    [Test]
    public async Task A_workflows_own_aggregator_is_released_at_its_end_and_made_anew_for_the_next_run()
    {
        var workflow = Workflow();
        var first = (ExactAggregator)workflow.Aggregator;
        var run = await RunAsync(workflow);
        Assert.That(HeldBy(first), Is.Zero);
        Assert.That(workflow.Aggregator, Is.Not.SameAs(first));
        Assert.That((await RunAsync(workflow)).Model.Sha256(), Is.EqualTo(run.Model.Sha256()), "it runs again");
    }

    [Test]
    public async Task An_aggregator_that_was_set_stays_its_owners()
    {
        using var mine = new ExactAggregator();
        var workflow = Workflow(mine);
        var run = await RunAsync(workflow);
        Assert.That(workflow.Aggregator, Is.SameAs(mine));
        Assert.That(HeldBy(mine), Is.GreaterThanOrEqualTo(16L * Elements));
        Assert.That((await RunAsync(workflow)).Model.Sha256(), Is.EqualTo(run.Model.Sha256()), "it works on after it gave its memory back");
    }

    [Test]
    public async Task An_aggregator_of_an_extension_is_released_with_the_run_that_it_was_made_for_whatever_ends_it()
    {
        var workflow = Workflow();
        var provided = new Counting();
        Assert.That(workflow.UseAggregator(() => provided), Is.True);
        Assert.That(() => Sites.RunAsync(workflow, Sites.Model(0), [.. Enumerable.Range(0, 8).Select(_ => Sites.Throwing("offline"))]), Throws.InstanceOf<TooFewResponsesException>());
        Assert.That((provided.Rounds, provided.Disposals), Is.EqualTo((1, 1)));
        await RunAsync(workflow);
        Assert.That((provided.Rounds, provided.Disposals), Is.EqualTo((1, 1)), "the next federation has not asked for it");
    }

    [Test]
    public void Reading_the_property_or_the_components_commits_to_nothing()
    {
        var workflow = new FedAvg();
        Assert.That(workflow.Aggregator, Is.InstanceOf<ExactAggregator>());
        Assert.That(workflow.Components, Is.EqualTo(new[] { workflow.Aggregator }));
        Assert.That(() => Federation.InProcess(f => f.AddSites(2, _ => Sites.Adding(1)).UseController(workflow).UseHomomorphicEncryption()), Throws.Nothing);
        Assert.That(workflow.Aggregator, Is.InstanceOf<EncryptedAggregator>());
    }

    [Test]
    public void Only_an_aggregator_that_was_set_refuses_another()
    {
        Assert.That(new FedAvg { Aggregator = new ExactAggregator() }.UseAggregator(() => new Counting()), Is.False);
        Assert.That(new FedAvg().UseAggregator(() => new Counting()), Is.True);
    }

    private sealed class Counting : Aggregator, IDisposable
    {
        public int Rounds { get; private set; }
        public int Disposals { get; private set; }
        public override void Begin(ControllerContext federation, int round) => Rounds++;
        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort) => ValueTask.CompletedTask;
        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) => throw new InvalidOperationException("No round of these tests comes so far.");
        public void Dispose() => Disposals++;
    }
}

using Flare.Crypto;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>Whose an aggregator is, and when its memory goes back.</summary>
public class AggregatorLifetimeTests
{
    // One site more than are folded together at the end, so that sums are kept. Sixteen bytes of sums an element: far
    // above what anything else of these runs keeps.
    private const int Elements = 500_000;

    private static Task<Federation> RunAsync(Controller workflow) =>
        Sites.RunAsync(
            workflow, Sites.Model(new float[Elements]), [.. Enumerable.Range(0, 9).Select(i => Sites.Adding(i))]);

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
        TensorMemoryPool.Shared.Trim(TimeSpan.Zero);
        var run = await RunAsync(workflow);
        Assert.That(TensorMemoryPool.Shared.RetainedBytes, Is.GreaterThanOrEqualTo(16L * Elements));
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
        Assert.That(
            (await RunAsync(workflow)).Model.Sha256(), Is.EqualTo(run.Model.Sha256()),
            "it works on after it gave its memory back");
    }

    [Test]
    public async Task An_aggregator_of_an_extension_is_made_for_a_run_and_released_with_it_whatever_ends_it()
    {
        var workflow = Workflow();
        var provided = new List<Counting>();
        Assert.That(() => Sites.RunAsync(workflow, Sites.Model(0), f => f.UseAggregator(() =>
        {
            provided.Add(new());
            return provided[^1];
        }), [.. Enumerable.Range(0, 8).Select(_ => Sites.Throwing("offline"))]),
            Throws.InstanceOf<TooFewResponsesException>());
        Assert.That(provided.Select(a => (a.Rounds, a.Disposals)), Is.EqualTo(new[] { (1, 1) }));
        await RunAsync(workflow);
        Assert.That(provided, Has.Count.EqualTo(1), "the next federation has no such extension");
    }

    [Test]
    public async Task Building_a_federation_changes_nothing_at_its_workflow()
    {
        var workflow = Workflow();
        using var never = new HomomorphicEncryption();
        await using var built = Federation.InProcess(
            f => f.AddSites(9, _ => Sites.Adding(1)).UseController(workflow).UseHomomorphicEncryption(never));
        Assert.That(() => RunAsync(workflow), Throws.Nothing, "in the clear, after it was built into an encrypted one");
    }

    [Test]
    public void Only_workflows_that_chose_nothing_of_their_own_take_an_extensions_aggregator()
    {
        Assert.That(new FedAvg().PlaintextAccess, Is.EqualTo(PlaintextAccess.None));
        Assert.That(
            new FedAvg { Aggregator = new ExactAggregator() }.PlaintextAccess, Is.EqualTo(PlaintextAccess.Sums));
        Assert.That(new FedAvg { Optimizer = new ServerMomentum() }.PlaintextAccess, Is.EqualTo(PlaintextAccess.Sums));
        Assert.That(new FedAvg { Sets = [new("control")] }.PlaintextAccess, Is.EqualTo(PlaintextAccess.Sums));
        Assert.That(
            new FedAvg { Aggregator = new CoordinateMedian() }.PlaintextAccess,
            Is.EqualTo(PlaintextAccess.SingleUpdates));
        Assert.That(
            new FedAvg { Aggregator = new CoordinateMedian(),
                Sets = [new("control") { Aggregator = new ExactAggregator() }] }.PlaintextAccess,
            Is.EqualTo(PlaintextAccess.SingleUpdates));
    }

    private sealed class Counting : Aggregator, IDisposable
    {
        public override bool NeedsSingleUpdates => true;
        public int Rounds { get; private set; }
        public int Disposals { get; private set; }
        public override void Begin(ControllerContext federation, int round) => Rounds++;
        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort) =>
            ValueTask.CompletedTask;
        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) =>
            throw new InvalidOperationException("No round of these tests comes so far.");
        public void Dispose() => Disposals++;
    }
}

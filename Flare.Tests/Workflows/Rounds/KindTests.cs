using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>FedAvg takes weights or differences, whichever the sites send, and no mean of both.</summary>
public class KindTests
{
    private static readonly float[] Values = [0.1f, 3e-7f, 12345.678f];

    private static Scripted Weights(float amount, long steps = 1, Task? gate = null) =>
        new Scripted(async (_, input, _, abort) =>
    {
        if (gate is not null) await gate.WaitAsync(abort);
        var trained = Dxo.From(input).Tensors.Clone();
        foreach (ref var w in trained["w"].AsSpan<float>()) w += amount;
        return Dxo.Weights(trained).WithMeta(MetaKey.NumStepsCurrentRound, steps).ToShareable();
    });

    private static FedAvg Training(DataKind? kind = null) =>
        new() { Rounds = 2, Validation = ValidationMode.None, Kind = kind };

    [Test]
    public async Task Weights_are_averaged_without_a_word()
    {
        var run = await Sites.RunAsync(Training(), Sites.Model(0), Weights(1, 3), Weights(5, 1));
        Assert.That(run.Model.Values(), Is.EqualTo(new[] { 4f }));
    }

    [Test]
    public async Task Weights_are_averaged_exactly_in_whatever_order_they_come()
    {
        var shas = new HashSet<string>();
        foreach (var order in new[] { new[] { 0, 1, 2 }, [2, 1, 0], [1, 2, 0] })
        {
            var sites = order.Select(i => Weights(i * 0.3f, i + 1)).ToArray();
            var run = await Sites.RunAsync(Training(), Sites.Model(Values), f => f.UseParallelism(1), sites);
            shas.Add(run.Model.Sha256());
        }
        Assert.That(shas, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task Integers_among_weights_are_averaged_as_ever()
    {
        static StateDict Model(long count) =>
            new StateDictBuilder().Add<float>("w", [0]).AddBuffer<long>("n", [count]).Build();
        static Executor Site(long count) =>
            Sites.Answering(_ => Dxo.Weights(Model(count)).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
        var run = await Sites.RunAsync(Training(), Model(5), Site(10), Site(20), Site(22));
        Assert.That(run.Model["n"].AsReadOnlySpan<long>()[0], Is.EqualTo(17));
    }

    [TestCase(true), TestCase(false)]
    public void A_round_with_both_is_refused_and_names_both_groups_whatever_comes_first(bool weightsFirst)
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var opener = new LambdaComponent((type, context) =>
        {
            if (type == EventTypes.AfterProcessSubmission) gate.TrySetResult();
        });
        Executor[] sites = weightsFirst
            ? [Weights(1), Sites.Gated(gate.Task, 1), Weights(2, gate: gate.Task)]
            : [Weights(1, gate: gate.Task), Sites.Adding(1), Weights(2, gate: gate.Task)];
        var error = Assert.ThrowsAsync<FlareException>(
            () => Sites.RunAsync(
                Training(), Sites.Model(0), f => f.UseParallelism(3).AddServerComponent(opener), sites))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Aggregation));
        Assert.That(
            error.Message, Does.Contain(
                "The round has no mean: site-1, site-3 sent Weights, and site-2 sent WeightDiff.").And.Contain(
                "set Kind (FedAvg.Kind"));
    }

    [TestCase(DataKind.Weights), TestCase(DataKind.WeightDiff)]
    public async Task One_kind_alone_can_be_asked_for_and_the_refusal_names_the_property(DataKind kind)
    {
        var workflow = new FedAvg { Rounds = 1, MinSites = 1, Validation = ValidationMode.None, Kind = kind };
        var run = await Sites.RunAsync(workflow, Sites.Model(0), Weights(1), Sites.Adding(1));
        var refused = run.Rounds[0].Sites.Single(s => s.Status == SiteStatus.Rejected);
        Assert.That(refused.Site, Is.EqualTo(kind == DataKind.Weights ? "site-2" : "site-1"));
        Assert.That(refused.Reason, Does.Contain($"where {kind} is expected").And.Contain("FedAvg: its property Kind"));
    }

    [Test]
    public void Another_kind_is_no_setting() => Assert.That(
        () => Federation.InProcess(f => f.AddSites(1, _ => Weights(1)).UseController(Training(DataKind.Metrics))),
        Throws.TypeOf<FlareException>().With.Message.Contains("Kind is Metrics; it must be Weights or WeightDiff"));
}

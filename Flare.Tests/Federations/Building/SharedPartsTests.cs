using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>What keeps state is one federation's and one set's: sharing is refused in words.</summary>
public class SharedPartsTests
{
    private static readonly Func<Aggregator>[] Aggregators =
        [() => new ExactAggregator(), () => new CoordinateMedian()];

    [TestCaseSource(nameof(Aggregators))]
    public async Task An_aggregator_of_two_federations_at_once_is_refused_and_free_again_afterwards(
        Func<Aggregator> make)
    {
        var shared = make();
        var (gate, started) = (new TaskCompletionSource(), new TaskCompletionSource());
        FedAvg Workflow() => new() { Rounds = 1, Aggregator = shared, Validation = ValidationMode.None };
        var first = Sites.RunAsync(
            Workflow(), Sites.Model(0), Sites.Gated(gate.Task, 1, started: () => started.TrySetResult()));
        await started.Task.WaitAsync(Patience.Long);

        var error = Assert.ThrowsAsync<FlareException>(
            () => Sites.RunAsync(Workflow(), Sites.Model(0), Sites.Adding(500)))!;
        Assert.That(error.Message, Does.Contain(shared.GetType().Name).And.Contain("another federation"));
        gate.SetResult();
        Assert.That((await first).Model.Values(), Is.EqualTo(new[] { 1f }));
        var next = await Sites.RunAsync(Workflow(), Sites.Model(0), Sites.Adding(2));
        Assert.That(next.Model.Values(), Is.EqualTo(new[] { 2f }), "it works on, one federation after the other");
    }

    [Test]
    public async Task An_aggregator_of_a_set_is_claimed_as_the_models_is()
    {
        using var shared = new ExactAggregator();
        var (gate, started) = (new TaskCompletionSource(), new TaskCompletionSource());
        FedAvg Workflow() => new() { Rounds = 1, Validation = ValidationMode.None,
            Sets = [new("control") { Aggregator = shared }] };
        var first = Sites.RunAsync(Workflow(), Sites.Model(0), new Scripted(async (_, input, _, abort) =>
        {
            started.TrySetResult();
            await gate.Task.WaitAsync(abort);
            return Both(input);
        }));
        await started.Task.WaitAsync(Patience.Long);
        Assert.That(() => Sites.RunAsync(Workflow(), Sites.Model(0), new Scripted(
            (_, input, _, _) => ValueTask.FromResult(Both(input)))),
            Throws.InstanceOf<FlareException>().With.Message.Contains("another federation"));
        gate.SetResult();
        await first;
    }

    [Test]
    public async Task An_aggregator_that_an_extension_hands_out_twice_is_refused_while_it_is_at_work()
    {
        using var shared = new ExactAggregator();
        var (gate, started) = (new TaskCompletionSource(), new TaskCompletionSource());
        var first = Sites.RunAsync(Sites.Training(), Sites.Model(0), f => f.UseAggregator(() => shared),
            Sites.Gated(gate.Task, 1, started: () => started.TrySetResult()));
        await started.Task.WaitAsync(Patience.Long);
        Assert.That(
            () => Sites.RunAsync(
                Sites.Training(), Sites.Model(0), f => f.UseAggregator(() => shared), Sites.Adding(500)),
            Throws.InstanceOf<FlareException>().With.Message.Contains("UseAggregator"));
        gate.SetResult();
        Assert.That((await first).Model.Values(), Is.EqualTo(new[] { 1f }));
    }

    [Test]
    public async Task One_aggregator_serves_the_workflows_of_a_job_one_after_the_other()
    {
        using var shared = new ExactAggregator();
        FedAvg Workflow() => new() { Rounds = 1, Aggregator = shared, Validation = ValidationMode.None };
        var run = await Sites.RunAsync(
            Workflow(), Sites.Model(0), f => f.UseController(Workflow()), Sites.Adding(1));
        Assert.That(run.Model.Values(), Is.EqualTo(new[] { 2f }));
    }

    [Test]
    public void One_aggregator_for_the_model_and_a_set_or_for_two_sets_is_refused_by_their_names()
    {
        using var shared = new ExactAggregator();
        Assert.That(() => Build(new FedAvg { Aggregator = shared, Sets = [new("control") { Aggregator = shared }] }),
            Throws.InstanceOf<FlareException>().With.Message.Contains("'model' and of 'control'"));
        Assert.That(
            () => Build(new FedAvg { Sets = [new("a") { Aggregator = shared }, new("b") { Aggregator = shared }] }),
            Throws.InstanceOf<FlareException>().With.Message.Contains("'a' and of 'b'"));

        static Federation Build(Controller workflow) =>
            Federation.InProcess(f => f.AddSites(2, _ => Sites.Adding(1)).UseController(workflow));
    }

    private static Shareable Both(Shareable input)
    {
        var data = Dxo.From(input);
        return Dxo.WeightDiff(new StateDict(data.Set(Dxo.ModelSet).Tensors.Layout), 1)
            .WithSet("control", Dxo.Weights(data.Set("control").Tensors.Clone())).ToShareable();
    }
}

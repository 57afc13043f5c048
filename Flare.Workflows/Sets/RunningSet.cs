namespace Flare.Workflows;

/// <summary>One named set of tensors during a run: who folds it, and what its global value is.</summary>
internal sealed class RunningSet : IDisposable
{
    private readonly ControllerContext _federation;
    private readonly ServerOptimizer? _optimizer;
    private readonly string _prefix;
    private readonly bool _owned;

    private RunningSet(
        string name, ControllerContext federation, Aggregator aggregator, bool owned, ServerOptimizer? optimizer)
    {
        (Name, _federation, Aggregator, _owned, _optimizer) = (name, federation, aggregator, owned, optimizer);
        _prefix = $"optimizer/{name}/";
        // What a workflow before this one has kept is no state of this one's.
        if (federation.LastCommittedRound == 0) OptimizerState.Clear(federation.State, _prefix);
    }

    public string Name { get; }

    public Aggregator Aggregator { get; }

    /// <summary>The value that the round begins with.</summary>
    public StateDict Global => _federation.Model;

    /// <summary>The model itself.</summary>
    public static RunningSet OfModel(
        ControllerContext federation, Aggregator? aggregator, Func<Aggregator> otherwise, ServerOptimizer? optimizer) =>
        new(Dxo.ModelSet, federation, aggregator
            ?? federation.CreateAggregator(otherwise), aggregator is null, optimizer);

    /// <summary>What goes round beside it; at the begin of its workflow with its first value.</summary>
    public static RunningSet Of(ControllerContext federation, TensorSet set)
    {
        if (federation.LastCommittedRound == 0)
            federation.State.Tensors[set.Name] = set.Initial(federation.Model).Freeze();
        return new(
            set.Name, new SetContext(federation, set.Name), set.Aggregator
            ?? new ExactAggregator(), set.Aggregator is null, set.Optimizer);
    }

    public void Begin(int round) => Aggregator.Begin(_federation, round);

    public ResultContract Contract => Aggregator.Refine(new()
    {
        Kinds = [DataKind.WeightDiff, DataKind.Weights],
        Layout = Global.Layout,
        Base = Global,
    });

    /// <summary>The next global value, made of the round's aggregate.</summary>
    public async ValueTask<StateDict> UpdateAsync(StateDict aggregate)
    {
        if (_optimizer is null) return aggregate;
        var (global, state) = (Global, OptimizerState.Of(_federation.State, _prefix));
        var next = await _federation.Compute.RunAsync(() => _optimizer.Apply(global, aggregate, state));
        state.Save(_federation.State, _prefix);
        return next;
    }

    public void Dispose()
    {
        if (_owned) (Aggregator as IDisposable)?.Dispose();
    }
}

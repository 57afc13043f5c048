namespace Flare.Workflows;

/// <summary>One named set of tensors during a run: who folds it, and what its global value is.</summary>
internal sealed class RunningSet : IDisposable
{
    private readonly ControllerContext _context;
    private readonly ServerOptimizer? _optimizer;
    private readonly string _prefix;
    private readonly bool _owned;

    private RunningSet(
        string name, ControllerContext context, Aggregator aggregator, bool owned, ServerOptimizer? optimizer)
    {
        (Name, _context, Aggregator, _owned, _optimizer) = (name, context, aggregator, owned, optimizer);
        _prefix = $"{OptimizerState.Root}{name}/";
        // What a workflow before this one has kept is no state of this one's.
        if (context.LastCommittedRound == 0) OptimizerState.Clear(context.State, _prefix);
    }

    public string Name { get; }

    public Aggregator Aggregator { get; }

    /// <summary>The value that the round begins with.</summary>
    public StateDict Global => _context.Model;

    /// <summary>The model itself.</summary>
    public static RunningSet OfModel(
        ControllerContext context, Aggregator? aggregator, Func<Aggregator> otherwise, ServerOptimizer? optimizer) =>
        new(Dxo.ModelSet, context, aggregator
            ?? context.CreateAggregator(otherwise), aggregator is null, optimizer);

    /// <summary>What goes round beside it; at the begin of its workflow with its first value.</summary>
    public static RunningSet Of(ControllerContext context, TensorSet set)
    {
        if (context.LastCommittedRound == 0)
            context.State.Tensors[set.Name] = Initial(context, set);
        return new(
            set.Name, new SetContext(context, set.Name), set.Aggregator
            ?? new ExactAggregator(), set.Aggregator is null, set.Optimizer);
    }

    // As the initial model is looked at: what begins with NaN would be refused at every site, and blamed on it.
    private static StateDict Initial(ControllerContext context, TensorSet set)
    {
        var where = $"The set '{set.Name}' of {nameof(ScatterAndGather)}.{nameof(ScatterAndGather.Sets)} cannot begin: "
            + $"its {nameof(TensorSet.Initial)}";
        StateDict? initial;
        try
        {
            initial = set.Initial(context.Model);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new FlareException(ErrorIds.Configuration, $"{where} threw {e.GetType().Name}: {e.Message}", e);
        }
        if (initial is null)
            throw new FlareException(
                ErrorIds.Configuration, $"{where} returned null. Return its first tensors, zeros for example.");
        if (initial.FirstNonFiniteTensor() is { } tensor)
            throw new FlareException(
                ErrorIds.Configuration, $"{where} returned NaN or an infinity in the tensor '{tensor}'.");
        return initial.Freeze();
    }

    public void Begin(int round) => Aggregator.Begin(_context, round);

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
        var (global, state) = (Global, OptimizerState.Of(_context.State, _prefix));
        var next = await _context.Compute.RunAsync(() => _optimizer.Apply(global, aggregate, state));
        state.Save(_context.State, _prefix);
        return next;
    }

    public void Dispose()
    {
        if (_owned) (Aggregator as IDisposable)?.Dispose();
    }
}

namespace Flare.Workflows;

/// <summary>One named set of tensors during a run: who folds it, and what its global value is.</summary>
internal sealed class RunningSet : IDisposable
{
    private readonly ControllerContext _context;
    private readonly PartCalls _calls;
    private readonly string _role;
    private readonly ServerOptimizer? _optimizer;
    private readonly string _prefix;
    private readonly bool _owned;

    private RunningSet(
        string name, ControllerContext context, PartCalls calls, Aggregator aggregator, bool owned,
        ServerOptimizer? optimizer)
    {
        (Name, _context, _calls, Aggregator) = (name, context, calls, aggregator);
        (_owned, _optimizer) = (owned, optimizer);
        _role = name == Dxo.ModelSet ? "aggregator" : $"aggregator of the set '{name}',";
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
        ControllerContext context, PartCalls calls, Aggregator? aggregator, Func<Aggregator> otherwise,
        ServerOptimizer? optimizer) =>
        new(Dxo.ModelSet, context, calls, aggregator
            ?? context.CreateAggregator(otherwise), aggregator is null, optimizer);

    /// <summary>What goes round beside it; at the begin of its workflow with its first value.</summary>
    public static RunningSet Of(ControllerContext context, PartCalls calls, TensorSet set)
    {
        if (context.LastCommittedRound == 0)
            context.State.Tensors[set.Name] = Initial(context, set);
        return new(
            set.Name, new SetContext(context, set.Name), calls, set.Aggregator
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

    /// <summary>The round begins.</summary>
    public void Begin(int round) => _calls.Call(_role, Aggregator, () =>
    {
        Aggregator.Begin(_context, round);
        return true;
    });

    public ResultContract Contract => _calls.Call(_role, Aggregator, () => Aggregator.Refine(new()
    {
        Kinds = [DataKind.WeightDiff, DataKind.Weights],
        Layout = Global.Layout,
        Base = Global,
    }));

    /// <summary>Folds a contribution, or refuses it.</summary>
    public ValueTask<bool> AcceptAsync(Contribution contribution, CancellationToken abort) =>
        _calls.CallAsync(_role, Aggregator, async () =>
        {
            await Aggregator.AcceptAsync(contribution, abort);
            return true;
        });

    /// <summary>The round's aggregate.</summary>
    public ValueTask<StateDict> CompleteAsync(CancellationToken abort) => _calls.CallAsync(
        _role, Aggregator, async () => await Aggregator.CompleteAsync(abort)
            ?? throw new InvalidOperationException("it made no aggregate: it returned null"));

    /// <summary>The next global value, made of the round's aggregate.</summary>
    public async ValueTask<StateDict> UpdateAsync(StateDict aggregate)
    {
        if (_optimizer is null) return aggregate;
        var (global, state) = (Global, OptimizerState.Of(_context.State, _prefix));
        var role = Name == Dxo.ModelSet ? "optimizer" : $"optimizer of the set '{Name}',";
        var next = await _calls.CallAsync(role, _optimizer, async () =>
            await _context.Compute.RunAsync(() => _optimizer.Apply(global, aggregate, state))
                ?? throw new InvalidOperationException("it made no model: it returned null"));
        state.Save(_context.State, _prefix);
        return next;
    }

    public void Dispose()
    {
        if (_owned) (Aggregator as IDisposable)?.Dispose();
    }
}

namespace Flare.Workflows;

/// <summary>
/// Rounds of: choose sites, send them the global model, fold what they trained, make the new global model of it,
/// measure it, commit (FLARE: ScatterAndGather). Each of these is a part that can be replaced: <see cref="Sampling"/>,
/// <see cref="RoundTask"/>, <see cref="Aggregator"/>, <see cref="Sets"/>, <see cref="Optimizer"/>,
/// <see cref="Evaluation"/>,
/// <see cref="Selection"/>. An algorithm is a choice of parts; FedAvg is this with its defaults.
/// </summary>
public partial class ScatterAndGather : Controller
{
    private static readonly Dictionary<string, ResultContract> NoSets = [];

    private HashSet<string> _partlyStated = []; // metrics that were told of
    private List<RunningSet> _sets = [];
    private Evaluation _evaluation = new SiteEvaluation();

    /// <inheritdoc/>
    protected sealed override async Task RunAsync(ControllerContext context, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(context);
        _evaluation = Evaluation ?? new SiteEvaluation { Timeout = ValidationTimeout };
        _evaluation.Begin();
        _partlyStated = (_evaluation as SiteEvaluation)?.PartlyStated ?? new(StringComparer.Ordinal);
        var (notes, calls) = (new RoundNotes(context), new PartCalls(context, Name));
        _sets = [RunningSet.OfModel(context, calls, Aggregator, () => new ExactAggregator { Kind = Kind }, Optimizer)];
        try
        {
            foreach (var set in Sets) _sets.Add(RunningSet.Of(context, calls, set));
            notes.Look(context.Model, Selection);
            if (Validation == ValidationMode.None && Selection is not null && Selection != DefaultSelection)
                notes.Add(0, Selection.Unmeasured);
            context.Fire(EventTypes.InitialModelLoaded, context.LastCommittedRound, context.Model);
            context.Fire(EventTypes.TrainingStarted);
            for (var round = context.LastCommittedRound + 1; round <= Rounds; round++)
            {
                if (context.LastReport is { } last && StopWhen?.Invoke(last) == true) return;
                calls.Round = round;
                await RunRoundAsync(context, round, notes, calls, abort);
            }
        }
        finally
        {
            foreach (var set in _sets) set.Dispose();
            _sets = [];
        }
    }

    private async Task RunRoundAsync(
        ControllerContext context, int round, RoundNotes notes, PartCalls calls, CancellationToken abort)
    {
        using var scope = LogScopes.Begin(context, round);
        context.Context.Set(ContextKeys.CurrentRound, round);
        context.Fire(EventTypes.RoundStarted);
        var sites = calls.Call("sampling", Sampler, () => Sampler.Choose(context, round)
            ?? throw new InvalidOperationException("it chose no sites: it returned null"));
        var incoming = context.Model;
        var initial = await GatherAsync(context, round, sites, notes, calls, abort);
        while (_sets.FirstOrDefault(s => s.Aggregator.MustRepeat) is { } set)
        {
            notes.Repeats(round, set.Aggregator);
            context.BeginRoundAgain(round);
            initial = await GatherAsync(context, round, sites, notes, calls, abort);
        }

        context.Fire(EventTypes.BeforeAggregation);
        var aggregates = new List<StateDict>();
        foreach (var set in _sets) aggregates.Add(await set.CompleteAsync(abort));
        context.Fire(EventTypes.AfterAggregation);

        context.Fire(EventTypes.BeforeShareableToLearnable);
        var model = await _sets[0].UpdateAsync(aggregates[0]);
        for (var i = 1; i < _sets.Count; i++)
            context.State.Tensors[_sets[i].Name] = await _sets[i].UpdateAsync(aggregates[i]);
        context.Fire(EventTypes.AfterShareableToLearnable, round, model);

        var (metrics, isBest) = (Measurement.None, false);
        if (Validation == ValidationMode.BeforeTraining)
        {
            metrics = initial.Result();
            isBest = Consider(context, incoming, round, round - 1, metrics, notes);
        }
        if (Validation == ValidationMode.AfterAggregation
            || (Validation == ValidationMode.BeforeTraining && round == Rounds))
        {
            // What a round reports is of one model: the last round's own, though the one before it may have been
            // considered just now.
            metrics = await calls.CallAsync("evaluation", _evaluation, async () =>
                await _evaluation.MeasureAsync(context, round, model, sites, abort));
            isBest = Consider(context, model, round, round, metrics, notes);
        }
        var result = new RoundResult { Metrics = WithAggregators(metrics.Metrics), IsBest = isBest,
            Warnings = notes.TakeAll() };
        await context.CommitAsync(round, model, result, abort);
    }

    private async Task<MetricsMean> GatherAsync(
        ControllerContext context, int round, IReadOnlyList<string> sites, RoundNotes notes, PartCalls calls,
        CancellationToken abort)
    {
        var initial = new MetricsMean(_partlyStated);
        foreach (var set in _sets) set.Begin(round);
        var options = new BroadcastOptions { Targets = sites, MinResponses = MinSites, Grace = Grace,
            Timeout = TrainTimeout };
        var answers = context.BroadcastAsync(CreateTask(context, round, calls), options, abort);
        await foreach (var contribution in answers)
        {
            using var scope = LogScopes.Begin(context, round, contribution);
            context.Fire(EventTypes.BeforeContributionAccept, contribution);
            foreach (var set in _sets)
            {
                if (contribution.IsRejected) break; // by a component, or by the aggregator of the model
                if (set != _sets[0]) contribution.MarkUsed(); // folded already: no set may refuse it any more
                await set.AcceptAsync(contribution.For(set.Name), abort);
            }
            if (!contribution.IsRejected)
            {
                contribution.MarkUsed();
                initial.Add(contribution);
            }
            context.Fire(EventTypes.AfterContributionAccept, contribution);
        }
        notes.Look(round, answers.Sites);
        return initial;
    }

    private FlareTask CreateTask(ControllerContext context, int round, PartCalls calls)
    {
        var data = calls.Call("task", RoundTask, () => RoundTask.CreateData(context, round)
            ?? throw new InvalidOperationException("it made no data: it returned null"));
        foreach (var set in _sets.Skip(1)) data = data.WithSet(set.Name, Dxo.Weights(set.Global));
        var message = data.ToShareable();
        message.Headers[HeaderNames.NumRounds] = Rounds;
        message.Headers[HeaderNames.ValidateFirst] = Validation == ValidationMode.BeforeTraining;
        var sets = _sets.Count == 1 ? NoSets : _sets.Skip(1).ToDictionary(s => s.Name, s => s.Contract);
        return new(RoundTask.Name, round, message.WithCookie(HeaderNames.CurrentRound, round))
        {
            Contract = _sets[0].Contract with { Sets = sets },
        };
    }

    private bool Consider(
        ControllerContext context, StateDict model, int round, int modelRound, Measurement measurement,
        RoundNotes notes)
    {
        notes.Look(round, round == Rounds, measurement, Selection);
        if (Selection?.Consider(context, modelRound, model, measurement.Metrics) != true) return false;
        context.Fire(EventTypes.GlobalBestModelAvailable, modelRound, model);
        return true;
    }

    private IReadOnlyDictionary<string, double> WithAggregators(IReadOnlyDictionary<string, double> metrics)
    {
        if (_sets.All(s => s.Aggregator.RoundMetrics.Count == 0)) return metrics;
        var all = new Dictionary<string, double>(metrics, StringComparer.Ordinal);
        foreach (var (name, value) in _sets.SelectMany(s => s.Aggregator.RoundMetrics)) all[name] = value;
        return all;
    }
}

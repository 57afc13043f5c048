namespace Flare.Workflows;

/// <summary>
/// Rounds of: send the global model to the sites, gather what they trained, make it the new global model (FLARE: ScatterAndGather). FedAvg
/// is this with its defaults; other algorithms override <see cref="UpdateModel"/> or bring an aggregator.
/// </summary>
public class ScatterAndGather : Controller
{
    private readonly HashSet<string> _cannotMeasure = new(StringComparer.Ordinal);
    private Aggregator? _running;
    private bool _toldThatNoneMeasures;

    /// <summary>How many rounds to run; at least 1. 5 unless set.</summary>
    public int Rounds { get; init; } = 5;

    /// <summary>
    /// How many contributions a round needs at least. 1 unless set: such a round ends <see cref="Grace"/> after its fastest site, and leaves out those that
    /// need longer. Set it to the number of sites to wait for all of them.
    /// </summary>
    public int MinSites { get; init; } = 1;

    /// <summary>How many sites, drawn anew each round from the job's seed, take part; null for all.</summary>
    public int? SitesPerRound { get; init; }

    /// <summary>
    /// How long a round waits for further contributions once it has <see cref="MinSites"/>; those that come later are dropped and counted. It ends at
    /// once when every site has answered. 10 s unless set, as in FLARE: where <see cref="MinSites"/> is less than the number of sites, set it to
    /// how much longer than the fastest sites the slower ones may train, or a slow site contributes to no round.
    /// </summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long sites have to train; null for no limit.</summary>
    public TimeSpan? TrainTimeout { get; init; }

    /// <summary>How long sites have to measure a model; those that take longer are left out of the metrics. 5 min unless set.</summary>
    public TimeSpan ValidationTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>
    /// When the sites measure the global model. A site that answers the task <c>validate</c> with <see cref="ReturnCode.TaskUnknown"/> or
    /// <see cref="ReturnCode.TaskUnsupported"/> is not asked again in this run.
    /// </summary>
    public ValidationMode Validation { get; init; }

    /// <summary>Which model counts as the best; null to keep none. The highest <c>accuracy</c> unless set.</summary>
    public ModelSelection? Selection { get; init; } = new("accuracy");

    /// <summary>Ends the workflow after a round for which it is true; null to run all rounds.</summary>
    public Func<RoundReport, bool>? StopWhen { get; init; }

    /// <summary>
    /// Makes the new model from the contributions, sees the server's events, and stays its owner's to dispose of. Null for the exact weighted mean, or
    /// what an extension such as homomorphic encryption provides: one for each run, which disposes of it at its end.
    /// </summary>
    public Aggregator? Aggregator { get; init; }

    /// <inheritdoc/>
    public override bool OnlyAggregates
    {
        get
        {
            // An aggregator that was chosen reads values in ways of its own, and an override of the update computes with the aggregate.
            Func<ControllerContext, int, StateDict, StateDict> update = UpdateModel;
            return Aggregator is null && update.Method.DeclaringType == typeof(ScatterAndGather);
        }
    }

    /// <inheritdoc/>
    protected internal override IEnumerable<FLComponent> Components => Aggregator is null ? [] : [Aggregator];

    /// <summary>
    /// Makes the new global model from the aggregate. Algorithms with an optimizer at the server (FedOpt) override it. They compute with values, so
    /// homomorphic encryption refuses a workflow that does.
    /// </summary>
    /// <param name="federation">The old model, the state.</param>
    /// <param name="round">The round.</param>
    /// <param name="aggregate">The mean of the sites' weights; this method owns it.</param>
    protected virtual StateDict UpdateModel(ControllerContext federation, int round, StateDict aggregate) => aggregate;

    /// <summary>The task that a round's sites get.</summary>
    /// <param name="federation">The model.</param>
    /// <param name="round">The round.</param>
    protected virtual FlareTask CreateTask(ControllerContext federation, int round)
    {
        ArgumentNullException.ThrowIfNull(federation);
        var data = Dxo.Weights(federation.Model).ToShareable();
        data.Headers[HeaderNames.NumRounds] = Rounds;
        data.Headers[HeaderNames.ValidateFirst] = Validation == ValidationMode.BeforeTraining;
        return new(TaskNames.Train, round, data.WithCookie(HeaderNames.CurrentRound, round))
        {
            Contract = Running.Refine(new() { Kinds = [DataKind.WeightDiff, DataKind.Weights], Layout = federation.Model.Layout }),
        };
    }

    /// <inheritdoc/>
    protected sealed override async Task RunAsync(ControllerContext federation, CancellationToken abort)
    {
        _cannotMeasure.Clear();
        _toldThatNoneMeasures = false;
        _running = Aggregator ?? federation.CreateAggregator(static () => new ExactAggregator());
        try
        {
            federation.Fire(EventTypes.InitialModelLoaded, federation.LastCommittedRound, federation.Model);
            federation.Fire(EventTypes.TrainingStarted);
            for (var round = federation.LastCommittedRound + 1; round <= Rounds; round++)
            {
                if (federation.LastReport is { } last && StopWhen?.Invoke(last) == true) return;
                await RunRoundAsync(federation, round, abort);
            }
        }
        finally
        {
            if (Aggregator is null) (_running as IDisposable)?.Dispose();
            _running = null;
        }
    }

    private Aggregator Running => _running ?? throw new InvalidOperationException("The workflow is not running.");

    private async Task RunRoundAsync(ControllerContext federation, int round, CancellationToken abort)
    {
        federation.Context.Set(ContextKeys.CurrentRound, round);
        federation.Fire(EventTypes.RoundStarted);
        var targets = SiteSampling.Choose(federation.Sites, SitesPerRound, federation.Seed, round);
        var incoming = federation.Model;
        var initial = new MetricsMean();
        do await GatherAsync(federation, round, targets, initial, abort);
        while (Running.MustRepeat);
        federation.Fire(EventTypes.BeforeAggregation);
        var aggregate = await Running.CompleteAsync(abort);
        federation.Fire(EventTypes.AfterAggregation);
        federation.Fire(EventTypes.BeforeShareableToLearnable);
        var model = UpdateModel(federation, round, aggregate);
        federation.Fire(EventTypes.AfterShareableToLearnable, round, model);

        var metrics = initial.Result();
        var isBest = Validation == ValidationMode.BeforeTraining && Consider(federation, incoming, round - 1, metrics);
        if (Validation == ValidationMode.AfterAggregation || (Validation == ValidationMode.BeforeTraining && round == Rounds))
        {
            // What a round reports is of one model: the last round's own, though the one before it may have been considered just now.
            metrics = await ValidateAsync(federation, round, model, targets, abort);
            isBest = Consider(federation, model, round, metrics);
        }
        await federation.CommitAsync(round, model, new RoundResult { Metrics = WithAggregator(metrics), IsBest = isBest }, abort);
    }

    private async Task GatherAsync(ControllerContext federation, int round, IReadOnlyList<string> targets, MetricsMean initial, CancellationToken abort)
    {
        Running.Begin(federation, round);
        await foreach (var contribution in federation.BroadcastAsync(CreateTask(federation, round), new() { Targets = targets, MinResponses = MinSites, Grace = Grace, Timeout = TrainTimeout }, abort))
        {
            federation.Fire(EventTypes.BeforeContributionAccept, contribution);
            if (contribution.IsRejected) continue; // a component refused it
            await Running.AcceptAsync(contribution, abort);
            if (!contribution.IsRejected)
            {
                contribution.MarkUsed();
                initial.Add(contribution);
            }
            federation.Fire(EventTypes.AfterContributionAccept, contribution);
        }
    }

    private IReadOnlyDictionary<string, double> WithAggregator(IReadOnlyDictionary<string, double> metrics)
    {
        var more = Running.RoundMetrics;
        if (more.Count == 0) return metrics;
        var all = new Dictionary<string, double>(metrics, StringComparer.Ordinal);
        foreach (var (name, value) in more) all[name] = value;
        return all;
    }

    private async Task<IReadOnlyDictionary<string, double>> ValidateAsync(ControllerContext federation, int round, StateDict model, IReadOnlyList<string> targets, CancellationToken abort)
    {
        var metrics = new MetricsMean();
        string[] able = [.. targets.Where(t => !_cannotMeasure.Contains(t))];
        if (able.Length > 0)
        {
            var options = new BroadcastOptions { Targets = able, MinResponses = 0, Grace = ValidationTimeout, Timeout = ValidationTimeout };
            var responses = federation.BroadcastAsync(FlareTask.Validate(round, model), options, abort);
            await foreach (var contribution in responses) metrics.Add(contribution);
            foreach (var site in responses.Sites)
                if (site.Code is ReturnCode.TaskUnknown or ReturnCode.TaskUnsupported) _cannotMeasure.Add(site.Site);
        }
        if (!_toldThatNoneMeasures && targets.All(_cannotMeasure.Contains))
        {
            _toldThatNoneMeasures = true;
            Log.NobodyMeasures(federation.Logger, round, targets.Count);
        }
        return metrics.Result();
    }

    private bool Consider(ControllerContext federation, StateDict model, int round, IReadOnlyDictionary<string, double> metrics)
    {
        if (Selection?.Consider(federation.State, model, round, metrics) != true) return false;
        federation.Fire(EventTypes.GlobalBestModelAvailable, round, model);
        return true;
    }

    /// <inheritdoc/>
    protected internal override IEnumerable<string> Validate(int sites)
    {
        if (Rounds < 1) yield return $"{nameof(Rounds)} is {Rounds}; it must be at least 1";
        var targets = Math.Min(sites, SitesPerRound ?? sites);
        if (SitesPerRound is < 1) yield return $"{nameof(SitesPerRound)} is {SitesPerRound}; it must be at least 1";
        if (SitesPerRound > sites) yield return $"{nameof(SitesPerRound)} is {SitesPerRound}, and there are {sites} sites";
        if (MinSites < 1 || MinSites > targets) yield return $"{nameof(MinSites)} is {MinSites}; it must be from 1 to the {targets} sites of a round";
        if (Grace < TimeSpan.Zero) yield return $"{nameof(Grace)} is {Grace}; it must not be negative";
        if (TrainTimeout <= TimeSpan.Zero) yield return $"{nameof(TrainTimeout)} is {TrainTimeout}; it must be positive, or null for no limit";
        if (ValidationTimeout <= TimeSpan.Zero) yield return $"{nameof(ValidationTimeout)} is {ValidationTimeout}; it must be positive";
        if (Aggregator is ExactAggregator exact)
            foreach (var error in exact.Errors()) yield return error;
    }
}

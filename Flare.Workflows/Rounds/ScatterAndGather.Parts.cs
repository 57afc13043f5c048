namespace Flare.Workflows;

/// <content>The parts and settings of a round.</content>
public partial class ScatterAndGather
{
    /// <summary>How many rounds to run; at least 1. 5 unless set.</summary>
    public int Rounds { get; init; } = 5;

    /// <summary>
    /// How many contributions a round needs at least; null, as it is unless set, for all of the round's sites. Where it
    /// is fewer, a round ends <see cref="Grace"/> after it has them, and leaves out those that need longer.
    /// </summary>
    public int? MinSites { get; init; }

    /// <summary>
    /// How many sites, drawn anew each round from the job's seed, take part; null for all, or as <see cref="Sampling"/>
    /// has it.
    /// </summary>
    public int? SitesPerRound { get; init; }

    /// <summary>Chooses a round's sites; null for all, or <see cref="SitesPerRound"/> of them.</summary>
    public SiteSampling? Sampling { get; init; }

    /// <summary>
    /// How long a round waits for further contributions once it has <see cref="MinSites"/>; those that come later are
    /// dropped and counted. It ends at once when every site has answered. 10 s unless set, as in FLARE: where
    /// <see cref="MinSites"/> is less than the number of sites, set it to how much longer than the fastest sites the
    /// slower ones may train, or a slow site contributes to no round.
    /// </summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long sites have to train; null for no limit.</summary>
    public TimeSpan? TrainTimeout { get; init; }

    /// <summary>What the sites are asked to do; to train the global model unless set.</summary>
    public RoundTask RoundTask { get; init; } = new();

    /// <summary>
    /// What sites send, of the model: <see cref="DataKind.WeightDiff"/> or <see cref="DataKind.Weights"/>; null, as it
    /// is unless set, for either, the same from all sites of a round. For the workflow's own aggregator; one that is
    /// set decides by itself.
    /// </summary>
    public DataKind? Kind { get; init; }

    /// <summary>
    /// Makes the aggregate from the contributions, sees the server's events, and stays its owner's to dispose of. Null
    /// for the exact weighted mean, or what an extension such as homomorphic encryption provides: one for each run,
    /// which disposes of it at its end.
    /// </summary>
    public Aggregator? Aggregator { get; init; }

    /// <summary>What the server does with the aggregate of the model; null to take it for the new model.</summary>
    public ServerOptimizer? Optimizer { get; init; }

    /// <summary>
    /// Named sets of tensors that go round beside the model, such as control variates; none unless set.
    /// </summary>
    public IReadOnlyList<TensorSet> Sets { get; init; } = [];

    /// <summary>When the global model is measured.</summary>
    public ValidationMode Validation { get; init; }

    /// <summary>
    /// How long sites have to measure a model; those that take longer are left out of the metrics. 5 min unless set.
    /// </summary>
    public TimeSpan ValidationTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>
    /// How a round's new model is measured; null for <see cref="SiteEvaluation"/> within
    /// <see cref="ValidationTimeout"/>.
    /// </summary>
    public Evaluation? Evaluation { get; init; }

    /// <summary>Which model counts as the best; null to keep none. The highest <c>accuracy</c> unless set.</summary>
    public ModelSelection? Selection { get; init; } = DefaultSelection;

    private static readonly ModelSelection DefaultSelection = new("accuracy");

    /// <summary>Ends the workflow after a round for which it is true; null to run all rounds.</summary>
    public Func<RoundReport, bool>? StopWhen { get; init; }

    /// <summary>
    /// As its parts need it: none where all that reads contributions is the aggregator that an extension may provide.
    /// </summary>
    public override PlaintextAccess PlaintextAccess
    {
        get
        {
            var access = Optimizer is not null || Sets.Count > 0 ? PlaintextAccess.Sums : PlaintextAccess.None;
            foreach (var chosen in Sets.Select(s => s.Aggregator).Append(Aggregator))
            {
                if (chosen is null) continue;
                access = chosen.NeedsSingleUpdates ? PlaintextAccess.SingleUpdates
                    : (PlaintextAccess)Math.Max((int)access, (int)PlaintextAccess.Sums);
                if (access == PlaintextAccess.SingleUpdates) break;
            }
            return access;
        }
    }

    /// <summary>The parts that were set and read values.</summary>
    public override string? PlaintextReason
    {
        get
        {
            List<string> parts = [];
            if (Aggregator is not null) parts.Add($"{nameof(Aggregator)} ({Aggregator.GetType().Name})");
            if (Optimizer is not null) parts.Add($"{nameof(Optimizer)} ({Optimizer.GetType().Name})");
            if (Sets.Count > 0) parts.Add($"{nameof(Sets)} ({string.Join(", ", Sets.Select(s => $"'{s.Name}'"))})");
            return parts.Count == 0 ? null : string.Join(" and ", parts);
        }
    }

    /// <inheritdoc/>
    protected override IEnumerable<FLComponent> Components =>
        Sets.Select(s => s.Aggregator).Prepend(Aggregator).OfType<FLComponent>();

    /// <inheritdoc/>
    protected override int? PlannedRounds => Rounds;

    /// <inheritdoc/>
    protected override IEnumerable<string> Validate(int sites)
    {
        if (Rounds < 1) yield return $"{nameof(Rounds)} is {Rounds}; it must be at least 1";
        if (Sampling is not null && SitesPerRound is not null)
            yield return $"{nameof(Sampling)} and {nameof(SitesPerRound)} are both set; set one";
        foreach (var error in Sampler.Validate(sites)) yield return error;
        var targets = SitesPerRound is < 1 ? sites : Sampler.MostOf(sites);
        if (MinSites < 1 || MinSites > targets)
            yield return $"{nameof(MinSites)} is {MinSites}; it must be from 1 to the {Readable.Count(
                targets, "site")} of a round";
        if (Grace < TimeSpan.Zero) yield return $"{nameof(Grace)} is {Grace}; it must not be negative";
        if (TrainTimeout <= TimeSpan.Zero)
            yield return $"{nameof(TrainTimeout)} is {TrainTimeout}; it must be positive, or null for no limit";
        if (ValidationTimeout <= TimeSpan.Zero)
            yield return $"{nameof(ValidationTimeout)} is {ValidationTimeout}; it must be positive";
        if (Kind is not (null or DataKind.Weights or DataKind.WeightDiff))
            yield return $"{nameof(Kind)} is {Kind}; it must be Weights or WeightDiff, or null for either";
        if (Sets.GroupBy(s => s.Name, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
            yield return $"{nameof(Sets)} names '{twice.Key}' twice";
        var shared = Sets.Where(s => s.Aggregator is not null).Select(s => (Name: s.Name, s.Aggregator))
            .Prepend((Name: Dxo.ModelSet, Aggregator)).Where(s => s.Aggregator is not null)
            .GroupBy(s => s.Aggregator!, s => s.Name)
            .Where(g => g.Count() > 1);
        foreach (var one in shared)
            yield return $"one {one.Key.GetType().Name} is the aggregator of {string.Join(
                " and of ", one.Select(n => $"'{n}'"))}, and would fold them into each other; make one for each";
        foreach (var aggregator in Sets.Select(s => s.Aggregator).Append(Aggregator))
            foreach (var error in aggregator?.Validate() ?? []) yield return error;
        foreach (var optimizer in Sets.Select(s => s.Optimizer).Append(Optimizer))
            foreach (var error in optimizer?.Validate() ?? []) yield return error;
    }

    private SiteSampling Sampler =>
        Sampling ?? (SitesPerRound is { } count ? SiteSampling.Uniform(count) : SiteSampling.All);
}

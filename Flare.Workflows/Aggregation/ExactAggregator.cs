using System.Text.RegularExpressions;

namespace Flare.Workflows;

/// <summary>What a contribution's weight is made of, besides its site's own weight.</summary>
public enum Weighting
{
    /// <summary>The site's training steps of the round; a contribution that does not state them is refused.</summary>
    NumSteps = 0,
    /// <summary>Every contribution counts the same.</summary>
    Uniform = 1,
}

/// <summary>
/// The weighted mean of the round's contributions, exact: Σ wᵢxᵢ / Σ wᵢ with wᵢ = weight of the site × training steps,
/// per tensor over the sites that sent it. Contributions are folded as they arrive, several in one pass, so the memory
/// does not grow with the number of sites. A tensor that is excluded, or that no site sent, keeps its global value.
/// <para>Its sums merge: a tree of such aggregators makes the model of one, bit by bit, however the contributions are
/// grouped.</para>
/// </summary>
public sealed partial class ExactAggregator : Aggregator, IMergeableAggregator, IDisposable
{
    private readonly List<Contribution> _waiting = [];
    private readonly SortedDictionary<string, DataKind> _kinds = new(StringComparer.Ordinal);
    private DataKind? _kind;
    private ControllerContext? _context;
    private ExactSum? _mean;
    private int _round;
    private bool _isComplete;

    // Integers wrap: 5 - 10 is 251 where there are eight bits, and the mean of such differences is no difference of
    // means. Where sites send differences, the mean of these tensors is that of the weights, which a difference and the
    // global value make again whatever wrapped.
    private ExactSum? _integers;

    /// <summary>
    /// What sites send: <see cref="DataKind.WeightDiff"/>, which is added to the global model, or
    /// <see cref="DataKind.Weights"/>, which replaces it. Null, as it is unless set, for either: but all sites of a
    /// round the same, or the round is refused.
    /// </summary>
    public DataKind? Kind { get; init; }

    /// <summary>False: a mean is made of sums.</summary>
    public override bool NeedsSingleUpdates => false;

    /// <summary>What a contribution's weight is made of.</summary>
    public Weighting Weighting { get; init; }

    /// <summary>
    /// A weight for each site, by name; 1 for those that are not named. From 2^-64 to 2^64: a site that is to have no
    /// weight takes no part. Names that the federation does not know are refused when the run begins.
    /// </summary>
    public IReadOnlyDictionary<string, double> SiteWeights { get; init; } = new Dictionary<string, double>();

    /// <summary>Tensors whose name it matches anywhere keep their global value; null to exclude none.</summary>
    public Regex? Exclude { get; init; }

    /// <summary>Whether a site may leave tensors out.</summary>
    public bool AllowMissingTensors { get; init; }

    /// <inheritdoc/>
    public override ResultContract Refine(ResultContract contract)
    {
        ArgumentNullException.ThrowIfNull(contract);
        return contract with
        {
            Kinds = Kind is { } one ? [one] : [DataKind.WeightDiff, DataKind.Weights],
            AllowMissingTensors = AllowMissingTensors,
            RequireNumSteps = Weighting == Weighting.NumSteps,
            Rule = c => WeightOf(c) is >= ExactSum.MinWeight and <= ExactSum.MaxWeight ? contract.Rule?.Invoke(c)
                : $"its weight is {WeightOf(c)}; site weight × training steps must be from 2^-64 to 2^64",
        };
    }

    /// <inheritdoc/>
    public override void Begin(ControllerContext context, int round)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (!ReferenceEquals(_context, context)) CheckWeights(context.Sites);
        _context = context;
        DropWaiting();
        _kinds.Clear();
        (_kind, _merged, _round, _isComplete) = (null, 0, round, false);
        var layout = context.Model.Layout;
        if (_mean is null || !_mean.Layout.Equals(layout))
        {
            DisposeMeans();
            _mean = new ExactSum(layout, ExcludedFromMean(layout), context.Compute);
            var integers = layout.Where(t => !IsExcluded(t) && IsByWeight(t)).ToArray();
            if (integers.Length > 0) _integers = new ExactSum(new TensorLayout(integers), [], context.Compute);
        }
        _mean.Reset();
        _integers?.Reset();
    }

    /// <inheritdoc/>
    public override async ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        _kinds[contribution.Site] = contribution.Kind;
        _kind ??= contribution.Kind;
        // A sum of weights and differences is neither. Who sent what is known, and named, once all have: whatever came
        // first.
        if (contribution.Kind != _kind) return;
        // Folding several in one pass reads the accumulators once for all of them; and as many as may wait, if no more
        // come, need no accumulators.
        if (_waiting.Count >= Math.Min(8, Context.MaxConcurrentUploads)) await FoldWaitingAsync();
        _waiting.Add(contribution.Retain());
        abort.ThrowIfCancellationRequested();
    }

    /// <inheritdoc/>
    public override async ValueTask<StateDict> CompleteAsync(CancellationToken abort)
    {
        RequireOneKind();
        var global = Context.Model;
        var model = await Context.Compute.RunAsync(() =>
        {
            var result = _kind == DataKind.WeightDiff ? new StateDict(global.Layout) : global.Clone();
            _mean!.Complete(Batch(), result);
            if (_kind == DataKind.WeightDiff) result.AddInPlace(global);
            CompleteIntegers(result);
            return result;
        });
        DropWaiting();
        _isComplete = true;
        return model;
    }

    /// <summary>Gives the accumulators' memory back. The instance may be used again.</summary>
    public void Dispose()
    {
        DropWaiting();
        DisposeMeans();
        _context = null;
    }

    private void DisposeMeans()
    {
        foreach (var sum in new[] { _mean, _integers, _read, _readIntegers }) sum?.Dispose();
        (_mean, _integers, _read, _readIntegers) = (null, null, null, null);
    }

    private bool IsExcluded(TensorSpec tensor) => Exclude?.IsMatch(tensor.Name) == true;

    private bool[] ExcludedFromMean(TensorLayout layout) => [.. layout.Select(t => IsExcluded(t) || IsByWeight(t))];

    private static bool IsByWeight(TensorSpec tensor) => tensor.DType != DType.Bool && !tensor.DType.IsFloatingPoint();

    private void RequireOneKind()
    {
        // What was merged is of the first kind that came.
        if (_kinds.Values.All(kind => kind == _kind)) return;
        DropWaiting();
        throw new FlareException(ErrorIds.Aggregation,
            $"The round has no mean: {Senders(DataKind.Weights)} sent Weights, and {Senders(DataKind.WeightDiff)} "
                + $"sent WeightDiff. Have all sites send one of them, or set {nameof(Kind)} (FedAvg.{nameof(Kind)}, "
                + "or the aggregator's own) to refuse the other.");
    }

    private string Senders(DataKind kind)
    {
        string[] sites = [.. _kinds.Where(k => k.Value == kind).Select(k => k.Key)];
        var names = string.Join(", ", sites.Take(10)) + (sites.Length > 10 ? $" and {sites.Length - 10} more" : "");
        if (kind != _kind || _merged == 0) return names;
        return (sites.Length > 0 ? names + " and " : "") + $"the sites of merged sums ({_merged})";
    }

    /// <summary>
    /// What the waiting contributions say of the integer tensors, as weights. Copies, of the integers only.
    /// </summary>
    private (StateDict, double)[] IntegerBatch() => _integers is null ? [] :
    [
        .. _waiting.Select(c =>
        {
            var weights = c.Tensors.Select(t => _integers.Layout.IndexOf(t.Name) >= 0);
            if (_kind == DataKind.WeightDiff)
                weights.AddInPlace(Context.Model.Select(t => weights.Layout.IndexOf(t.Name) >= 0));
            return (Weights: weights, Weight: WeightOf(c));
        }).Where(c => c.Weights.Count > 0),
    ];

    private void CompleteIntegers(StateDict result)
    {
        if (_integers is null) return;
        var batch = IntegerBatch();
        if (_integers.Count + batch.Length == 0) return;
        var mean = result.Select(t => _integers.Layout.IndexOf(t.Name) >= 0);
        _integers.Complete(batch, mean);
        result.Replace(mean);
    }

    /// <inheritdoc/>
    public override IEnumerable<string> Validate()
    {
        foreach (var (site, weight) in SiteWeights)
            if (weight is not (>= ExactSum.MinWeight and <= ExactSum.MaxWeight))
            {
                yield return Invariant(
                    $"{nameof(SiteWeights)} gives {site} the weight {weight:R}; it must be from 2^-64 to 2^64. ")
                    + "To leave a site out, do not add it to the federation";
            }
    }

    private void CheckWeights(IReadOnlyList<string> sites)
    {
        var errors = Validate()
            .Concat(
                SiteWeights.Keys.Except(sites, StringComparer.Ordinal)
                .Select(site => $"{nameof(SiteWeights)} names '{site}', which is no site of the federation"));
        if (string.Join("; ", errors) is { Length: > 0 } wrong)
            throw new FlareException(
                ErrorIds.Configuration,
                $"The run cannot begin: {wrong}. The sites are: "
                    + $"{string.Join(", ", sites.Take(10))}{(sites.Count > 10 ? ", …" : "")}.");
    }

    private ControllerContext Context =>
        _context ?? throw new InvalidOperationException("Call Begin before a round's first contribution.");

    private double WeightOf(Contribution contribution) =>
        SiteWeights.GetValueOrDefault(
            contribution.Site, 1.0) * (Weighting == Weighting.NumSteps ? contribution.NumSteps ?? double.NaN : 1.0);

    private async ValueTask FoldWaitingAsync()
    {
        if (_waiting.Count == 0) return;
        await Context.Compute.RunAsync(() =>
        {
            _mean!.Add(Batch());
            if (IntegerBatch() is { Length: > 0 } integers) _integers!.Add(integers);
        });
        DropWaiting();
    }

    private (StateDict, double)[] Batch() => [.. _waiting.Select(c => (c.Tensors, WeightOf(c)))];

    private void DropWaiting()
    {
        foreach (var contribution in _waiting) contribution.Dispose();
        _waiting.Clear();
    }
}

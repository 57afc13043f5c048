namespace Flare.Workflows;

/// <summary>
/// Keeps the best global model by one of its metrics. It is in the run's state as <see cref="BestModel"/>, with its
/// round, workflow and metric, and survives a resume. A best is of one metric and direction: a workflow, or a resumed
/// run, that selects by another begins anew with the first model that it measures.
/// </summary>
/// <param name="Metric">The metric's name.</param>
/// <param name="HigherIsBetter">
/// True for accuracies, false for losses; null to go by the name: false where it speaks of a loss, an error or a
/// perplexity, such as <c>val_loss</c> or <c>rmse</c>, and true for all others.
/// </param>
public sealed record ModelSelection(string Metric, bool? HigherIsBetter = null)
{
    /// <summary>The name, in <see cref="RunState.Tensors"/>, of the best model.</summary>
    public const string BestModel = "best";
    /// <summary>
    /// The name, in <see cref="RunState.Values"/>, of the round that made it; 0 is the model that its workflow began
    /// with.
    /// </summary>
    public const string BestRound = "best_round";
    /// <summary>
    /// The name, in <see cref="RunState.Values"/>, of the workflow whose round it is, by its place in the job from 1.
    /// </summary>
    public const string BestWorkflow = "best_workflow";
    /// <summary>The name, in <see cref="RunState.Values"/>, of its metric's value.</summary>
    public const string BestMetric = "best_metric";
    /// <summary>The name, in <see cref="RunState.Values"/>, of its metric's name.</summary>
    public const string BestMetricName = "best_metric_name";
    /// <summary>
    /// The name, in <see cref="RunState.Values"/>, of whether a higher value of its metric is better.
    /// </summary>
    public const string BestIsHighest = "best_is_highest";

    /// <summary>Whether a higher value is better, as it was said or as the name has it.</summary>
    public bool SelectsHighest => HigherIsBetter ?? !MetricNames.Falls(Metric);

    /// <summary>
    /// Takes the model if it is better than the best so far; on a tie the earlier one stays. A NaN is never better.
    /// </summary>
    /// <param name="context">The run's state, and the workflow.</param>
    /// <param name="round">The round whose model it is; 0 for the one that the workflow began with.</param>
    /// <param name="model">The model; frozen if it is taken.</param>
    /// <param name="metrics">Its metrics.</param>
    /// <returns>Whether it was taken.</returns>
    public bool Consider(
        ControllerContext context, int round, StateDict model, IReadOnlyDictionary<string, double> metrics)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(metrics);
        var state = context.State;
        if (!metrics.TryGetValue(Metric, out var value) || !double.IsFinite(value)) return false;
        if (IsOfThisKind(state) && state.Values.TryGet(BestMetric, out var best)
            && (SelectsHighest ? value <= best.AsNumber() : value >= best.AsNumber())) return false;
        state.Tensors[BestModel] = model.Freeze();
        state.Values[BestMetric] = value;
        state.Values[BestMetricName] = Metric;
        state.Values[BestIsHighest] = SelectsHighest;
        state.Values[BestRound] = round;
        state.Values[BestWorkflow] = context.WorkflowNumber;
        return true;
    }

    /// <summary>What is odd about the selection itself; null where all is well.</summary>
    internal string? Oddity => HigherIsBetter == true && MetricNames.Falls(Metric)
        ? $"The best model is the one with the highest '{Metric}', by its name something that should fall. Leave "
            + $"{nameof(HigherIsBetter)} out, or say false"
        : null;

    /// <summary>What to say where no model is measured at all.</summary>
    internal string Unmeasured => $"The best model is to be chosen by '{Metric}', and no model is measured, so none is "
        + $"kept. Set the workflow's {nameof(ScatterAndGather.Validation)}, or its Selection to null";

    /// <summary>What to say where a measured model has no such metric.</summary>
    internal string Missing(IReadOnlyDictionary<string, double> metrics) =>
        $"No site states the metric '{Metric}' by which the best model is chosen, so none is kept. "
        + (metrics.Count == 0
            ? "No metric came at all: have the executor answer 'validate' with Dxo.Metrics, or set Validation to None."
            : $"There are: {string.Join(", ", metrics.Keys.Order(StringComparer.Ordinal).Take(10))}."
                + $"{DidYouMean.Question(Metric, metrics.Keys)}")
        + " Set the workflow's Selection";

    // A journal of before the name was kept has the best of the only metric that its workflows chose by.
    private bool IsOfThisKind(RunState state) => !state.Values.TryGet(BestMetricName, out var name)
        || (name.AsText() == Metric && state.Values[BestIsHighest].AsBoolean() == SelectsHighest);
}

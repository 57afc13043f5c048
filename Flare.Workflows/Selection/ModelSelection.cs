namespace Flare.Workflows;

/// <summary>
/// Keeps the best global model by one of its metrics. It is in the run's state as <see cref="BestModel"/>, with its round and metric, and
/// survives a resume.
/// </summary>
/// <param name="Metric">The metric's name.</param>
/// <param name="HigherIsBetter">True for accuracies, false for losses.</param>
public sealed record ModelSelection(string Metric, bool HigherIsBetter = true)
{
    /// <summary>The name, in <see cref="RunState.Tensors"/>, of the best model.</summary>
    public const string BestModel = "best";
    /// <summary>The name, in <see cref="RunState.Values"/>, of the round that made it; 0 is the initial model.</summary>
    public const string BestRound = "best_round";
    /// <summary>The name, in <see cref="RunState.Values"/>, of its metric.</summary>
    public const string BestMetric = "best_metric";

    /// <summary>Takes the model if it is better than the best so far; on a tie the earlier one stays.</summary>
    internal bool Consider(RunState state, StateDict model, int round, IReadOnlyDictionary<string, double> metrics)
    {
        if (!metrics.TryGetValue(Metric, out var value)) return false;
        if (state.Values.TryGet(BestMetric, out var best) && (HigherIsBetter ? value <= best.AsNumber() : value >= best.AsNumber())) return false;
        state.Tensors[BestModel] = model.Freeze();
        state.Values[BestMetric] = value;
        state.Values[BestRound] = round;
        return true;
    }
}

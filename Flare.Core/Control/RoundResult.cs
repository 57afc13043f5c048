namespace Flare;

/// <summary>What a workflow knows of a round beyond its model.</summary>
public sealed record RoundResult
{
    /// <summary>The quality of the round's model, or of another that the workflow says it measures.</summary>
    public IReadOnlyDictionary<string, double> Metrics { get; init; } = new Dictionary<string, double>();

    /// <summary>Whether the model that was measured is the best so far.</summary>
    public bool IsBest { get; init; }

    /// <summary>
    /// What an operator should know of the round though it went on, each in one sentence; empty where all is well.
    /// </summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}

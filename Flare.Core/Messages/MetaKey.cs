namespace Flare;

/// <summary>The name of a fact about a DXO's data (FLARE: MetaKey). Applications may define their own.</summary>
/// <param name="Name">The name on the wire.</param>
public readonly record struct MetaKey(string Name)
{
    /// <summary>
    /// Training steps of the whole round, over all local epochs: the contribution's weight. At least 1.
    /// </summary>
    public static readonly MetaKey NumStepsCurrentRound = new("num_steps_current_round");
    /// <summary>The site whose model this is; reserved, set by none of Flare's own workflows so far.</summary>
    public static readonly MetaKey ModelOwner = new("model_owner");
    /// <summary>The algorithm that data was processed with, such as an encryption scheme.</summary>
    public static readonly MetaKey ProcessedAlgorithm = new("processed_algorithm");
    /// <summary>The tensors that were processed.</summary>
    public static readonly MetaKey ProcessedKeys = new("processed_keys");
    /// <summary>A map of metrics of the model that the task brought, measured before training.</summary>
    public static readonly MetaKey InitialMetrics = new("initial_metrics");
    /// <summary>
    /// The weight of <see cref="InitialMetrics"/>, as <see cref="NumStepsCurrentRound"/> is that of an answer's own
    /// metrics: how many samples they were measured on, 0 if on none.
    /// </summary>
    public static readonly MetaKey InitialMetricsWeight = new("initial_metrics_weight");

    /// <inheritdoc/>
    public override string ToString() => Name;
}

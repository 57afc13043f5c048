namespace Flare.Workflows;

/// <summary>When the sites measure the global model.</summary>
public enum ValidationMode
{
    /// <summary>
    /// Each round's new model is sent to the round's sites once more, before the round is committed: the round's
    /// metrics are those of its own model. The default.
    /// </summary>
    AfterAggregation = 0,

    /// <summary>
    /// Sites measure the model that the round begins with before they train it (FLARE's way, without a second
    /// download): the round's metrics and
    /// <see cref="RoundReport.IsBest"/> are of that model, the one of the round before. Only the last of
    /// <see cref="ScatterAndGather.Rounds"/> measures its own model too, once it is there, and reports that; what its
    /// sites measured before is in their outcomes. A run that
    /// <see cref="ScatterAndGather.StopWhen"/> ends sooner does not measure its last model.
    /// </summary>
    BeforeTraining = 1,

    /// <summary>The model is not measured.</summary>
    None = 2,
}

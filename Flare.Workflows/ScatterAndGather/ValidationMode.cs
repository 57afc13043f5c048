namespace Flare.Workflows;

/// <summary>When the sites measure the global model.</summary>
public enum ValidationMode
{
    /// <summary>
    /// Each round's new model is sent to the round's sites once more, before the round is committed: the round's metrics are those of its own
    /// model. The default.
    /// </summary>
    AfterAggregation = 0,

    /// <summary>
    /// Sites measure the incoming model before they train it (FLARE's way, without a second download): the round's metrics are those of the
    /// model before it. The last round's model is measured once more at the end.
    /// </summary>
    BeforeTraining = 1,

    /// <summary>The model is not measured.</summary>
    None = 2,
}

namespace Flare;

/// <summary>What a workflow reads, at the server, of what sites send.</summary>
public enum PlaintextAccess
{
    /// <summary>
    /// Nothing: an aggregator that an extension provides makes the model, and nothing else looks at values.
    /// </summary>
    None = 0,
    /// <summary>The sums of contributions, as an optimizer at the server does, and no single one.</summary>
    Sums = 1,
    /// <summary>Single contributions, as a median does.</summary>
    SingleUpdates = 2,
}

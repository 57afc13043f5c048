namespace Flare;

/// <summary>How a task is broadcast.</summary>
public sealed record BroadcastOptions
{
    /// <summary>The sites that get the task, frozen when it is sent; null for all sites known then.</summary>
    public IReadOnlyList<string>? Targets { get; init; }

    /// <summary>
    /// How many answers must be admitted; null for all targets. Fewer end the task with
    /// <see cref="TooFewResponsesException"/>, as soon as it is certain that the minimum cannot be reached.
    /// </summary>
    public int? MinResponses { get; init; }

    /// <summary>How long the task lasts at most, from when it is sent; null for no limit.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>
    /// How long to wait for more answers once the minimum is reached; it ends at once when every target has answered.
    /// With a minimum of 0 it begins with the task: set it to how long the sites have. 10 s unless set.
    /// </summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>How a task is sent to one of several sites.</summary>
public sealed record SendOptions
{
    /// <summary>The candidates, in order of preference. At least one.</summary>
    public required IReadOnlyList<string> Targets { get; init; }

    /// <summary>Whether to try them strictly in their order, or whichever is connected first.</summary>
    public SendOrder Order { get; init; } = SendOrder.Sequential;

    /// <summary>
    /// How long a candidate has to take the task before the next one becomes eligible; null to wait for ever. 10 s
    /// unless set.
    /// </summary>
    public TimeSpan? AssignmentTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long the site that took the task has for its answer; null for no limit.</summary>
    public TimeSpan? Timeout { get; init; }
}

/// <summary>In which order candidates are tried.</summary>
public enum SendOrder
{
    /// <summary>In the order given.</summary>
    Sequential = 0,
    /// <summary>Those connected first, then the others, each in the order given.</summary>
    Any = 1,
}

/// <summary>How a task is handed from site to site.</summary>
public sealed record RelayOptions
{
    /// <summary>
    /// The sites to visit, in order, repeats allowed; null for all sites known when the relay starts.
    /// </summary>
    public IReadOnlyList<string>? Targets { get; init; }

    /// <summary>Whether sites that join while the relay runs are visited too, after the others.</summary>
    public bool IncludeNewcomers { get; init; }

    /// <summary>
    /// How long a site has to take the task before it is passed over; null to wait for ever. 10 s unless set.
    /// </summary>
    public TimeSpan? AssignmentTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a site has for its answer before it is passed over; null for no limit.</summary>
    public TimeSpan? ResultTimeout { get; init; }
}

namespace Flare;

/// <summary>The minimum of responses to a task cannot be reached; says which sites failed, and why.</summary>
public sealed class TooFewResponsesException : FlareException
{
    internal TooFewResponsesException(string task, int round, int minimum, CompletionStatus status, IReadOnlyList<SiteOutcome> sites)
        : base(ErrorIds.TooFewResponses, Describe(task, round, minimum, status, sites)) => (Status, Sites) = (status, sites);

    /// <summary>How the task ended.</summary>
    public CompletionStatus Status { get; }

    /// <summary>How it ended for each target.</summary>
    public IReadOnlyList<SiteOutcome> Sites { get; }

    /// <inheritdoc/>
    public override bool IsTransient => Sites.Any(s => s.Status is SiteStatus.TimedOut or SiteStatus.Lost or SiteStatus.Pending);

    private static string Describe(string task, int round, int minimum, CompletionStatus status, IReadOnlyList<SiteOutcome> sites)
    {
        var accepted = sites.Count(s => s.Status == SiteStatus.Accepted);
        var failures = sites.Where(s => s.Status != SiteStatus.Accepted).Take(10).Select(s => s.ToString());
        var more = sites.Count - accepted > 10 ? $"; and {sites.Count - accepted - 10} more" : "";
        var end = status == CompletionStatus.Timeout ? "its time ran out" : "it cannot be reached any more";
        return $"Task '{task}' of round {round} has {accepted} of the {minimum} responses it needs, and {end}. Mend the sites below or lower the minimum. {string.Join("; ", failures)}{more}";
    }
}

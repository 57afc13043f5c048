namespace Flare;

/// <summary>The minimum of responses to a task cannot be reached; says which sites failed, and why.</summary>
public sealed class TooFewResponsesException : FlareException
{
    internal TooFewResponsesException(
        string task, int round, int minimum, CompletionStatus status, IReadOnlyList<SiteOutcome> sites)
        : base(
            ErrorIds.TooFewResponses, Describe(task, round, minimum, status, sites),
            SiteErrors.FirstException(sites)) =>
        (Status, Sites) = (status, sites);

    /// <summary>How the task ended.</summary>
    public CompletionStatus Status { get; }

    /// <summary>How it ended for each target.</summary>
    public IReadOnlyList<SiteOutcome> Sites { get; }

    /// <summary>What happened, and the stacks of the sites' errors as far as their policies let them out.</summary>
    public override string ToString() => base.ToString() + SiteErrors.Stacks(Sites, InnerException);

    /// <inheritdoc/>
    public override bool IsTransient =>
        Sites.Any(s => s.Status is SiteStatus.TimedOut or SiteStatus.Lost or SiteStatus.Pending);

    // Those first that went wrong by themselves: sites whose task was only called off because the others failed are no
    // clue.
    private static readonly SiteStatus[] Telling =
        [SiteStatus.Failed, SiteStatus.Rejected, SiteStatus.Lost, SiteStatus.TimedOut, SiteStatus.Pending];

    private static string Describe(
        string task, int round, int minimum, CompletionStatus status, IReadOnlyList<SiteOutcome> sites)
    {
        const int most = 10;
        var accepted = sites.Count(s => s.Status == SiteStatus.Accepted);
        SiteOutcome[] failures = [.. Telling.SelectMany(telling => sites.Where(s => s.Status == telling))];
        List<string> parts = [.. failures.Take(most).Select(s => s.ToShortText())];
        if (failures.Length > most) parts.Add($"{failures.Length - most} more went wrong");
        var cancelled = sites.Count - accepted - failures.Length;
        if (cancelled > 0)
            parts.Add(
                $"{cancelled}{(failures.Length > 0 ? " more" : "")} {(cancelled == 1 ? "was" : "were")} cancelled");
        var end = status == CompletionStatus.Timeout ? "its time ran out" : "it cannot be reached any more";
        return $"Task '{task}' of round {round} has {accepted} of the {minimum} responses it needs, and {end}. Mend "
            + $"the sites below or lower the minimum. {string.Join("; ", parts)}";
    }
}

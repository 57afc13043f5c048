namespace Flare;

/// <summary>
/// A task that was sent to one of several sites, or from site to site, ended without an admitted answer.
/// </summary>
public sealed class TaskFailedException : FlareException
{
    internal TaskFailedException(string task, int round, CompletionStatus status, IReadOnlyList<SiteOutcome> attempts)
        : base(
            ErrorIds.TaskFailed,
            $"Task '{task}' of round {round} ended without a result ({status}). "
                + string.Join("; ", attempts.Select(a => a.ToShortText())),
            SiteErrors.FirstException(attempts)) =>
        (Status, Attempts) = (status, attempts);

    /// <summary>How the task ended.</summary>
    public CompletionStatus Status { get; }

    /// <summary>How it ended for each site that was tried.</summary>
    public IReadOnlyList<SiteOutcome> Attempts { get; }

    /// <summary>What happened, and the stacks of the sites' errors as far as their policies let them out.</summary>
    public override string ToString() => base.ToString() + SiteErrors.Stacks(Attempts, InnerException);

    /// <inheritdoc/>
    public override bool IsTransient =>
        Attempts.Any(s => s.Status is SiteStatus.TimedOut or SiteStatus.Lost or SiteStatus.Pending);
}

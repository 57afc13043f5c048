namespace Flare;

/// <summary>A task that was sent to one of several sites, or from site to site, ended without an admitted answer.</summary>
public sealed class TaskFailedException : FlareException
{
    internal TaskFailedException(string task, int round, CompletionStatus status, IReadOnlyList<SiteOutcome> attempts)
        : base(ErrorIds.TaskFailed, $"Task '{task}' of round {round} ended without a result ({status}). {string.Join("; ", attempts)}") => (Status, Attempts) = (status, attempts);

    /// <summary>How the task ended.</summary>
    public CompletionStatus Status { get; }

    /// <summary>How it ended for each site that was tried.</summary>
    public IReadOnlyList<SiteOutcome> Attempts { get; }

    /// <inheritdoc/>
    public override bool IsTransient => Attempts.Any(s => s.Status is SiteStatus.TimedOut or SiteStatus.Lost or SiteStatus.Pending);
}

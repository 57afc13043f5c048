namespace Flare;

/// <summary>
/// The admitted answers to a task, as they arrive. Read it once. The task was sent when this was made; it ends with the
/// stream, and leaving the stream early cancels it at the sites.
/// </summary>
public abstract class TaskResponses : IAsyncEnumerable<Contribution>
{
    /// <summary>How the task stands, or how it ended.</summary>
    public abstract CompletionStatus Status { get; }

    /// <summary>How it stands, or ended, for each target.</summary>
    public abstract IReadOnlyList<SiteOutcome> Sites { get; }

    /// <summary>Ends the task now; sites that still work on it are told to stop.</summary>
    public abstract void Cancel(string reason = "the workflow cancelled the task");

    /// <summary>Reads the answers.</summary>
    /// <exception cref="TooFewResponsesException">
    /// The minimum cannot be reached, or was not when the time ran out. Thrown after the last answer.
    /// </exception>
    /// <exception cref="OperationCanceledException">The job, or the token that the task was sent with, was
    /// aborted.</exception>
    public abstract IAsyncEnumerator<Contribution> GetAsyncEnumerator(CancellationToken cancellationToken = default);
}

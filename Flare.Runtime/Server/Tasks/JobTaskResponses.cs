namespace Flare.Runtime;

/// <summary>A task's answers as they are admitted.</summary>
/// <param name="life">The job.</param>
/// <param name="tasks">Whom to tell what was read.</param>
/// <param name="run">The task.</param>
/// <param name="abort">Aborts it.</param>
/// <param name="tolerant">Whether the stream just ends where the minimum is not reached.</param>
internal sealed class JobTaskResponses(
    JobLife life, Dispatcher tasks, TaskRun run, CancellationToken abort, bool tolerant = false) : TaskResponses
{
    private bool _read;

    public override CompletionStatus Status => run.Status;

    public override IReadOnlyList<SiteOutcome> Sites => run.Outcomes(life.Time);

    public override void Cancel(string reason = "the workflow cancelled the task") =>
        tasks.Complete(run, CompletionStatus.Cancelled, reason);

    public override async IAsyncEnumerator<Contribution> GetAsyncEnumerator(
        CancellationToken cancellationToken = default)
    {
        life.RequireLoop();
        if (_read)
            throw new InvalidOperationException(
                "The answers to a task are a stream: read it once, and keep what you need.");
        _read = true;
        tasks.OnReading(run);
        using var registration = abort.Register(Abort);
        using var second = cancellationToken.Register(Abort);
        try
        {
            while (await run.Accepted.WaitToReadAsync(CancellationToken.None))
            {
                while (run.Accepted.TryRead(out var assignment))
                {
                    try
                    {
                        // A component may have refused it when it was admitted.
                        if (!assignment.Contribution!.IsRejected) yield return assignment.Contribution;
                    }
                    finally
                    {
                        tasks.OnConsumed(assignment);
                    }
                    tasks.AssignAgain(assignment);
                }
            }
        }
        finally
        {
            Cancel("the workflow stopped reading the answers");
            // What was admitted and never read is done with too.
            while (run.Accepted.TryRead(out var unread)) tasks.OnConsumed(unread);
        }
        if (Status == CompletionStatus.Aborted) throw new OperationCanceledException("The task was aborted.", abort);
        if (!tolerant && Status is not CompletionStatus.Cancelled && !run.IsStanding && !run.HasEnough)
            throw new TooFewResponsesException(run.Task.Name, run.Task.Round, run.Minimum, Status, Sites);

        // A token of the workflow's own may be cancelled on any thread.
        void Abort() =>
            life.Options.Loop.Post(_ => tasks.Complete(run, CompletionStatus.Aborted, "the task was aborted"), null);
    }
}

namespace Flare.Runtime;

/// <summary>A task's answers as its run delivers them.</summary>
internal sealed class JobTaskResponses : TaskResponses
{
    private readonly JobServer _server;
    private readonly TaskRun _run;
    private readonly CancellationToken _abort;
    private readonly bool _tolerant;
    private bool _read;

    /// <param name="server">The job.</param>
    /// <param name="run">The task.</param>
    /// <param name="abort">Aborts it.</param>
    /// <param name="tolerant">Whether the stream just ends where the minimum is not reached.</param>
    public JobTaskResponses(JobServer server, TaskRun run, CancellationToken abort, bool tolerant = false) =>
        (_server, _run, _abort, _tolerant) = (server, run, abort, tolerant);

    public override CompletionStatus Status => _run.Status;

    public override IReadOnlyList<SiteOutcome> Sites => _run.Outcomes();

    public override void Cancel(string reason = "the workflow cancelled the task") => _run.Complete(CompletionStatus.Cancelled, reason);

    public override async IAsyncEnumerator<Contribution> GetAsyncEnumerator(CancellationToken cancellationToken = default)
    {
        _server.RequireLoop();
        if (_read) throw new InvalidOperationException("The answers to a task are a stream: read it once, and keep what you need.");
        _read = true;
        using var registration = _abort.Register(Abort);
        using var second = cancellationToken.Register(Abort);
        try
        {
            while (await _run.Accepted.WaitToReadAsync(CancellationToken.None))
            {
                while (_run.Accepted.TryRead(out var assignment))
                {
                    try
                    {
                        // A component may have refused it when it was admitted.
                        if (!assignment.Contribution!.IsRejected) yield return assignment.Contribution;
                    }
                    finally
                    {
                        _server.Consumed(assignment);
                    }
                    _server.AssignAgain(assignment);
                }
            }
        }
        finally
        {
            Cancel("the workflow stopped reading the answers");
            // What was admitted and never read is done with too.
            while (_run.Accepted.TryRead(out var unread)) _server.Consumed(unread);
        }
        if (Status == CompletionStatus.Aborted) throw new OperationCanceledException("The task was aborted.", _abort);
        if (!_tolerant && Status is not CompletionStatus.Cancelled && !_run.IsStanding && !_run.IsOk)
            throw new TooFewResponsesException(_run.Task.Name, _run.Task.Round, _run.Minimum, Status, Sites);

        // A token of the workflow's own may be cancelled on any thread.
        void Abort() => _server.Options.Loop.Post(_ => _run.Complete(CompletionStatus.Aborted, "the task was aborted"), null);
    }
}

namespace Flare.Runtime;

/// <summary>One task at one site, as the server sees it.</summary>
internal sealed class Assignment(TaskRun run, string site, TaskToken token, long createdAt)
{
    private const int MostReason = 8 * 1024;

    public TaskRun Run => run;
    public string Site => site;
    public TaskToken Token => token;
    public FlareTask Task => run.Task;

    /// <summary>The message for this site, once filters have passed it; null before.</summary>
    public Shareable? Message { get; set; }

    /// <summary>Whether the site has confirmed that it has the task.</summary>
    public bool Taken { get; private set; }

    /// <summary>When the task is offered again.</summary>
    public Backoff Repetition { get; } = new();

    /// <summary>Whether a result has arrived; a second one is a duplicate.</summary>
    public bool ResultArrived { get; set; }

    /// <summary>Bytes of the result's tensors.</summary>
    public long Bytes { get; set; }

    public SiteStatus Status { get; private set; } = SiteStatus.Pending;
    public bool IsFinal => Status != SiteStatus.Pending;
    public string? Reason { get; private set; }

    /// <summary>What the site answered; null before.</summary>
    public ReturnCode? Code { get; set; }
    public ErrorRecord? Error { get; private set; }

    /// <summary>The admitted answer, until the controller has had it.</summary>
    public Contribution? Contribution { get; set; }
    public long? NumSteps { get; set; }
    public FlareMap? Metrics { get; set; }
    public long EndedAt { get; private set; }
    public long CreatedAt => createdAt;

    // Made only for who asks: a broadcast to ten thousand sites waits for none of them in particular.
    private TaskCompletionSource<bool>? _taken;
    private TaskCompletionSource? _ended;

    /// <summary>True when the site has taken the task, false when it ended before.</summary>
    public Task<bool> TakenAsync
    {
        get
        {
            _taken ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (Taken || IsFinal) _taken.TrySetResult(Taken);
            return _taken.Task;
        }
    }

    /// <summary>Completes when the assignment is final.</summary>
    public Task EndedAsync
    {
        get
        {
            _ended ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (IsFinal) _ended.TrySetResult();
            return _ended.Task;
        }
    }

    /// <summary>The site has started again, and lost the task with everything else.</summary>
    public void Drop() => Taken = false;

    public void Take()
    {
        Taken = true;
        _taken?.TrySetResult(true);
    }

    public void End(SiteStatus status, string? reason, ErrorRecord? error, long now)
    {
        var before = Status;
        (Status, Reason, Error, EndedAt) = (status, reason is null ? null : PlainText.Of(reason, MostReason), error, now);
        _taken?.TrySetResult(false);
        _ended?.TrySetResult();
        run.OnStatus(before, status);
    }

    public SiteOutcome Outcome(TimeProvider time) => new()
    {
        Site = site,
        Task = run.Task.Name,
        Status = Status,
        Code = Code,
        Reason = Reason,
        Error = Error,
        NumSteps = NumSteps,
        Metrics = Metrics,
        Bytes = Bytes,
        Elapsed = time.GetElapsedTime(createdAt, IsFinal ? EndedAt : time.GetTimestamp()),
    };
}

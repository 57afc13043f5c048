namespace Flare.Runtime;

/// <summary>Where an assignment stands between the server and its site.</summary>
internal enum AssignmentState
{
    /// <summary>The server's filters look at the task's data; nothing was sent.</summary>
    Preparing,
    /// <summary>The message is there, and is said until the site confirms that it has it.</summary>
    Offered,
    /// <summary>The site has it and works on it, or waits to send its result.</summary>
    Taken,
    /// <summary>A result is here and is being looked at; another one is a duplicate.</summary>
    Arrived,
    /// <summary>It is over without a result, and the site is still to be told.</summary>
    Stopping,
    /// <summary>Nothing more is to be said.</summary>
    Closed,
}

/// <summary>
/// One task at one site, as the server sees it. It holds what is known; the <see cref="Dispatcher"/> decides.
/// </summary>
internal sealed class Assignment(TaskRun run, SiteSession session, TaskToken token, long createdAt)
{
    private const int MostReason = 8 * 1024;

    public TaskRun Run => run;
    public SiteSession Session => session;
    public string Site => session.Name;
    public TaskToken Token => token;
    public FlareTask Task => run.Task;

    /// <summary>Where it stands on the way to the site and back.</summary>
    public AssignmentState State { get; private set; }

    /// <summary>
    /// How it ended for the round; <see cref="SiteStatus.Pending"/> before. A workflow may still refuse what was
    /// accepted.
    /// </summary>
    public SiteStatus Status { get; private set; } = SiteStatus.Pending;

    public bool IsFinal => Status != SiteStatus.Pending;

    /// <summary>Whether the site may still bring a result that is wanted.</summary>
    public bool IsOpen => !IsFinal && State is not (AssignmentState.Arrived or AssignmentState.Closed);

    /// <summary>
    /// The message for this site while it may have to be said; null before filters have passed it, and once a result is
    /// here.
    /// </summary>
    public Shareable? Message { get; private set; }

    /// <summary>When the task is offered again.</summary>
    public Backoff Repetition { get; } = new();

    /// <summary>The admitted answer, until the controller has had it.</summary>
    public Contribution? Contribution { get; set; }

    /// <summary>Bytes of the result.</summary>
    public long Bytes { get; private set; }

    /// <summary>Bytes of the result that is to come, by its site's word or by its head.</summary>
    public long ResultBytes { get; set; }

    public string? Reason { get; private set; }

    /// <summary>What the site answered; null before.</summary>
    public ReturnCode? Code { get; set; }
    public ErrorRecord? Error { get; private set; }
    public long? NumSteps { get; set; }
    public FlareMap? Metrics { get; set; }
    public long CreatedAt => createdAt;
    private long EndedAt { get; set; }

    // Made only for who asks: a broadcast to ten thousand sites waits for none of them in particular.
    private TaskCompletionSource<bool>? _taken;
    private TaskCompletionSource? _ended;
    private bool WasTaken { get; set; }

    /// <summary>True when the site has taken the task, false when it ended before.</summary>
    public Task<bool> TakenAsync
    {
        get
        {
            _taken ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (WasTaken || IsFinal) _taken.TrySetResult(WasTaken);
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

    /// <summary>The filters have passed the task's data.</summary>
    /// <param name="message">What is said.</param>
    /// <param name="contents">What is left out of it, for the site to fetch.</param>
    public void Offer(Shareable message, IReadOnlyList<Download> contents) =>
        (State, Message, Contents) = (AssignmentState.Offered, message, contents);

    /// <summary>What the site may fetch while it has no result.</summary>
    public IReadOnlyList<Download> Contents { get; private set; } = [];

    /// <summary>The site has it.</summary>
    public void Take()
    {
        if (State == AssignmentState.Offered) State = AssignmentState.Taken;
        WasTaken = true;
        _taken?.TrySetResult(true);
    }

    /// <summary>The site has started again, and lost the task with everything else.</summary>
    public void Drop()
    {
        if (State == AssignmentState.Taken) State = AssignmentState.Offered;
    }

    /// <summary>
    /// A result is here. The task's data, which may be this site's own, is not kept with the round's report.
    /// </summary>
    public void Arrive(long bytes) =>
        (State, Bytes, Message, Contents) = (AssignmentState.Arrived, bytes, null, []);

    /// <summary>Nothing more is to be said.</summary>
    public void Close() => (State, Message, Contents) = (AssignmentState.Closed, null, []);

    /// <summary>Over without a result; the site is still to be told.</summary>
    public void BeginStopping() => State = AssignmentState.Stopping;

    public void End(SiteStatus status, string? reason, ErrorRecord? error, long now)
    {
        (Status, Reason, Error, EndedAt) =
            (status, reason is null ? null : PlainText.Of(reason, MostReason), error, now);
        _taken?.TrySetResult(WasTaken);
        _ended?.TrySetResult();
    }

    public SiteOutcome Outcome(TimeProvider time) => new()
    {
        Site = Site,
        Task = Task.Name,
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

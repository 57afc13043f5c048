namespace Flare.Runtime;

/// <summary>
/// What the parts of a job's server share: the job's settings and events, its loop and clock, its end, and the way to
/// its sites.
/// </summary>
internal sealed class JobLife(JobServerOptions options, RunSide side) : IDisposable
{
    private readonly CancellationTokenSource _abort = new();
    private readonly CancellationTokenSource _strangers = new();

    public JobServerOptions Options => options;

    /// <summary>The server as one side of the run: what its contexts share.</summary>
    public RunSide Side => side;

    public EventBus Events => side.Events;

    /// <summary>Where to log, in the scope of the job.</summary>
    public ScopedLogger Logger => side.Scoped;

    public RuntimeLimits Limits => options.Limits;
    public TimeProvider Time => options.Time;

    /// <summary>How often the job's server has started, this start included.</summary>
    public int Epoch { get; set; } = 1;

    /// <summary>Whether no message is ever lost, nor a session.</summary>
    public bool LosesNothing => options.Link.Promise == LinkPromise.Always;

    /// <summary>Whether single messages are lost, so that everything is said again and again.</summary>
    public bool LosesMessages => options.Link.Promise == LinkPromise.None;

    /// <summary>The server is gone as after a crash: nothing more is sent, nothing more is written.</summary>
    public bool IsDead { get; private set; }

    /// <summary>
    /// Whether the job is to end, from when that was said on whatever thread: the loop may have much to do before it
    /// hears of it.
    /// </summary>
    public bool IsToldToEnd => _isToldToEnd;

    /// <summary>Why the job is to end after the round at hand; null where it is not.</summary>
    public string? StopReason { get; set; }

    /// <summary>Aborts the job; from any thread.</summary>
    public void End()
    {
        _isToldToEnd = true;
        options.Loop.Post(_ => Cancel(), null);
    }

    /// <summary>Cancelled on the loop when the job is aborted; for the runtime itself.</summary>
    public CancellationToken Abort => _abort.Token;

    /// <summary>
    /// For workflows, filters and whatever else is the application's. Cancelled off the loop: what they register with
    /// it may block.
    /// </summary>
    public CancellationToken AbortOfStrangers => _strangers.Token;

    /// <summary>Who stopped the job, if a component did.</summary>
    public FlarePanicException? Panic => _panic;

    /// <summary>The runtime's own fault, if there was one.</summary>
    public Exception? Fault { get; private set; }

    private FlarePanicException? _panic;
    private volatile bool _isToldToEnd;

    /// <summary>Aborts the job. On the loop.</summary>
    public void Cancel()
    {
        _isToldToEnd = true;
        if (_abort.IsCancellationRequested) return;
        _abort.Cancel();
        _ = CancelStrangersAsync();
    }

    /// <summary>Aborts the job with a component's reason; from any thread.</summary>
    public void Stop(string origin, string reason)
    {
        Interlocked.CompareExchange(ref _panic, new FlarePanicException(origin, reason), null);
        End();
    }

    /// <summary>
    /// Lets work go on by itself. What it throws is the runtime's own fault, since it answers for everybody else's, and
    /// ends the job.
    /// </summary>
    public async Task Detach(Task work)
    {
        try
        {
            await work;
        }
        catch (Exception e)
        {
            Fault ??= e;
            Cancel();
        }
    }

    /// <summary>Calls back on the loop after a while, unless the server is dead by then.</summary>
    public LoopTimer After(TimeSpan due, Action callback) =>
        new(options.Loop, options.Time, due, () => { if (!IsDead) callback(); });

    public void Say(SiteSession session, ServerMessage message) => Say(session, Envelope(session, message));

    public void Say(string site, long incarnation, ServerMessage message) =>
        Say(site, new LinkMessage(incarnation, Epoch, message));

    /// <summary>Says what is in its envelope already, made for the site as it is now.</summary>
    public void Say(SiteSession session, LinkMessage envelope) => Say(session.Name, envelope);

    /// <summary>A message with its address, not encoded yet.</summary>
    public LinkMessage Envelope(SiteSession session, ServerMessage message) =>
        new(session.Incarnation, Epoch, message);

    private void Say(string site, LinkMessage envelope)
    {
        if (IsDead) return;
        if (!options.Link.SharesMemory) envelope.Encode();
        options.Link.Send(site, envelope);
    }

    /// <summary>Refuses calls that are not made on the job's loop.</summary>
    public void RequireLoop()
    {
        if (SynchronizationContext.Current != options.Loop)
            throw new InvalidOperationException(
                "A workflow's verbs are for the job's loop, and this call comes from elsewhere. Await without "
                    + "ConfigureAwait(false), and leave "
                + "heavy work to Compute.RunAsync.");
    }

    public void Dispose()
    {
        IsDead = true;
        Cancel();
    }

    private async Task CancelStrangersAsync()
    {
        try
        {
            await options.Compute.RunAsync(_strangers.Cancel);
        }
        catch (AggregateException e)
        {
            Log.AbortHandlerFailed(Logger, e, side.Identity, "of the job");
        }
    }
}

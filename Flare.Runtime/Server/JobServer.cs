using System.Runtime.ExceptionServices;
using System.Threading.Channels;

namespace Flare.Runtime;

/// <summary>
/// The server of one job: carries tasks to sites and admitted answers to the controllers, and makes rounds durable. All of its state belongs
/// to the job's loop.
/// </summary>
public sealed partial class JobServer : IDisposable
{
    private readonly JobServerOptions _options;
    private readonly RunEngine _engine;
    private readonly UploadGate _gate;
    private readonly Dictionary<string, SiteSession> _sessions = new(StringComparer.Ordinal);
    private readonly List<string> _siteNames = [];
    private string[]? _sites;
    private readonly List<TaskRun> _running = [];
    private readonly Channel<RoundReport> _reports = Channel.CreateUnbounded<RoundReport>();
    private readonly CancellationTokenSource _abort = new();
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Journal? _journal;
    private LoopTimer? _sweep;
    private FlarePanicException? _panic;
    private Exception? _fault;
    private int _firstMissing;
    private bool _ending;
    private bool _dead;

    /// <summary>Creates a server that does nothing until <see cref="RunAsync"/>.</summary>
    public JobServer(JobServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _engine = new RunEngine
        {
            Identity = "server",
            JobId = options.JobId,
            Seed = options.Seed,
            Time = options.Time,
            Logger = options.Logger,
            Compute = options.Compute,
            Components = [.. options.Controllers.SelectMany(c => c.Components.Prepend(c)).Concat(options.Components).Distinct(ReferenceEqualityComparer.Instance).Cast<FLComponent>()],
        };
        _engine.SendFederatedOn(options.Loop, SendEvent);
        _engine.StopJob = reason => Stop("server", reason);
        _gate = new UploadGate(options.Limits.MaxConcurrentUploads, a => Say(a.Site, new UploadPermit(a.Token)));
        Model = options.InitialModel.Freeze();
        Model.Keep();
        foreach (var site in options.Sites) AddSite(site);
    }

    /// <summary>The global model: the initial one, then that of the last committed round. Frozen.</summary>
    public StateDict Model { get; private set; }

    /// <summary>Tensors and values that the workflows keep beside the model; committed with every round.</summary>
    public RunState State { get; private set; } = new();

    /// <summary>The state as of the last commit; another thread than the loop's may read it.</summary>
    public RunState CommittedState { get; private set; } = new();

    /// <summary>The reports of the rounds, as they are committed. Completes with the job, with its exception if it failed.</summary>
    public ChannelReader<RoundReport> Reports => _reports.Reader;

    /// <summary>The names of all sites known now, in the order in which they became known. Sites that join later are not added to it.</summary>
    public IReadOnlyList<string> Sites => _sites ??= [.. _siteNames];

    internal bool IsKnown(string site) => _sessions.ContainsKey(site);
    internal bool IsConnected(string site) => _sessions[site].Connected;
    internal TimeProvider Time => _options.Time;
    internal RunEngine Engine => _engine;
    internal JobServerOptions Options => _options;

    /// <summary>How often the job's server has started, this start included.</summary>
    public int Epoch { get; private set; } = 1;

    /// <summary>Runs the job to its end. Call it on the loop, once.</summary>
    /// <param name="abort">Aborts the job: executors are told to stop, and the task is cancelled. May be cancelled from any thread.</param>
    public async Task RunAsync(CancellationToken abort)
    {
        if (abort.IsCancellationRequested) _abort.Cancel();
        using var registration = abort.Register(() => _options.Loop.Post(_ => _abort.Cancel(), null));
        // Tasks that the workflow sent without its token, too.
        using var endsTasks = _abort.Token.Register(() => EndRunning(CompletionStatus.Aborted, "the job was aborted"));
        var context = new FLContext(_engine);
        var started = false;
        Exception? failure = null;
        var reason = "the job is done";
        try
        {
            _options.Link.Start(Receive);
            await OpenJournalAsync();
            Log.JobStarts(_options.Logger, _options.JobId, Epoch, _options.Seed, _siteNames.Count, _options.Limits.MaxConcurrentUploads);
            BeginReceiving();
            if (!_options.Link.IsReliable) Sweep();
            started = true;
            _engine.Fire(EventTypes.StartRun, context);
            await RunWorkflowsAsync(context);
            if (_journal is not null && !_complete) await _journal.CompleteJobAsync();
        }
        catch (Exception e)
        {
            // Whatever ended the job reaches whoever runs it; the sites are told first.
            failure = _panic ?? _fault ?? e;
            reason = failure is OperationCanceledException ? "the job was aborted" : $"the job failed: {failure.Message}";
        }
        EndRunning(failure is null ? CompletionStatus.Cancelled : CompletionStatus.Aborted, reason);
        if (started && !_dead)
        {
            // Whatever ended it: components close their files on these.
            _engine.Announce(EventTypes.AboutToEndRun, context);
            _engine.Announce(EventTypes.EndRun, context);
        }
        try
        {
            if (!_dead) await DrainAsync(reason);
            _sweep?.Dispose();
            if (_journal is not null) await _journal.DisposeAsync();
        }
        catch (Exception e)
        {
            failure ??= e; // whoever reads the reports would wait for ever otherwise
        }
        _reports.Writer.TryComplete(failure ?? _panic ?? _fault);
    }

    /// <summary>Ends the job with a panic's reason; from any thread.</summary>
    private void Stop(string origin, string reason)
    {
        Interlocked.CompareExchange(ref _panic, new FlarePanicException(origin, reason), null);
        _options.Loop.Post(_ => _abort.Cancel(), null);
    }

    /// <summary>Lets work go on by itself. What it throws is the runtime's own fault, since it answers for everybody else's, and ends the job.</summary>
    private async Task Detach(Task work)
    {
        try
        {
            await work;
        }
        catch (Exception e)
        {
            _fault ??= e;
            _abort.Cancel();
        }
    }

    /// <summary>Stops at once, as a crash would: nothing more is sent, nothing more is written. Call it on the loop.</summary>
    public void Dispose()
    {
        _dead = true;
        _sweep?.Dispose();
        _drained.TrySetResult();
        _abort.Cancel();
    }

    private async Task RunWorkflowsAsync(FLContext context)
    {
        for (; !_complete && _workflow < _options.Controllers.Count; _workflow++)
        {
            var controller = _options.Controllers[_workflow];
            _engine.Fire(EventTypes.StartWorkflow, context);
            try
            {
                _abort.Token.ThrowIfCancellationRequested();
                await RunWorkflowAsync(controller);
                _abort.Token.ThrowIfCancellationRequested();
            }
            finally
            {
                EndRunning(CompletionStatus.Cancelled, "its workflow has ended");
                _gate.ReleaseAll(); // answers that nobody read hold permits that the next workflow needs
                _engine.Fire(EventTypes.EndWorkflow, context);
            }
            if (_journal is not null) await _journal.CompleteWorkflowAsync(_workflow);
            (LastCommittedRound, LastReport) = (0, null);
            _roundRuns.Clear();
        }
    }

    /// <summary>Runs a workflow until it has ended, or has not in time after it was told to: then it is abandoned, and its context refuses it.</summary>
    private async Task RunWorkflowAsync(Controller controller)
    {
        var federation = new JobContext(this, controller);
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var isOver = false;
        ExceptionDispatchInfo? failure = null;
        _ = WorkAsync();
        LoopTimer? patience = null;
        using (_abort.Token.Register(Wait)) await done.Task;
        patience?.Dispose();
        federation.End();
        if (isOver)
        {
            failure?.Throw();
            return;
        }
        controller.Abandon();
        Log.WorkflowAbandoned(_options.Logger, controller.Name, _options.Limits.AbortGrace.TotalSeconds);
        throw new OperationCanceledException(_abort.Token);

        // Not After: one that was told to stop by a crash is waited for no longer either.
        void Wait() => patience = new LoopTimer(_options.Loop, _options.Time, _options.Limits.AbortGrace, GiveUp);

        void GiveUp()
        {
            // A commit that is on its way to the disk is no fault of the workflow's, and the journal stays open for it.
            if (_committing) Wait();
            else done.TrySetResult();
        }

        async Task WorkAsync()
        {
            try
            {
                await controller.StartAsync(federation, _abort.Token);
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e); // it ends the job, unless the job has gone on without the workflow
            }
            isOver = true;
            done.TrySetResult();
        }
    }

    /// <summary>Refuses calls that are not made on the job's loop.</summary>
    internal void RequireLoop()
    {
        if (SynchronizationContext.Current != _options.Loop)
            throw new InvalidOperationException("A workflow's verbs are for the job's loop, and this call comes from elsewhere. Await without ConfigureAwait(false), and leave heavy work to Compute.RunAsync.");
    }

    private void EndRunning(CompletionStatus status, string reason)
    {
        foreach (var run in _running.ToArray()) run.Complete(status, reason);
    }

    private async Task DrainAsync(string reason)
    {
        _ending = true;
        foreach (var session in _sessions.Values)
            if (session is { IsAwaited: true, Connected: true }) Say(session.Name, new JobEnd(Epoch, session.Incarnation, reason));
        CheckDrained();
        using (After(_options.Limits.DrainTimeout, () => _drained.TrySetResult())) await _drained.Task;
        var silent = _sessions.Values.Count(s => s.IsAwaited);
        if (silent > 0) Log.DrainIncomplete(_options.Logger, silent, _options.JobId, _options.Limits.DrainTimeout.TotalSeconds);
    }

    private void CheckDrained()
    {
        if (!_ending) return;
        // Ten thousand sites are not gone through for each confirmation: those before the first that is missing are done.
        while (_firstMissing < _siteNames.Count && !_sessions[_siteNames[_firstMissing]].IsAwaited) _firstMissing++;
        if (_firstMissing == _siteNames.Count && !_sessions.Values.Any(s => s.IsAwaited)) _drained.TrySetResult();
    }

    internal LoopTimer After(TimeSpan due, Action callback) => new(_options.Loop, _options.Time, due, () => { if (!_dead) callback(); });

    private SiteSession AddSite(string name)
    {
        var session = new SiteSession(name, _options.Limits.MaxPendingEvents) { LastHeard = _options.Time.GetTimestamp() };
        _sessions.Add(name, session);
        _siteNames.Add(name);
        _sites = null;
        return session;
    }

    private void Say(string site, ServerMessage message)
    {
        if (!_dead) _options.Link.Send(site, message);
    }
}

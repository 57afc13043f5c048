using System.Threading.Channels;

namespace Flare.Runtime;

/// <summary>
/// The server of one job: carries tasks to sites and admitted answers to the controllers, and makes rounds durable. All
/// of its state belongs to the job's loop. It is the life of the job, from the journal's opening to the drain; its
/// parts do the work: <see cref="SiteRegistry"/>,
/// <see cref="Dispatcher"/>, <see cref="Admission"/>, <see cref="RoundCommitter"/>, <see cref="WorkflowRunner"/>.
/// </summary>
public sealed partial class JobServer : IDisposable
{
    private readonly JobServerOptions _options;
    private readonly JobLife _life;
    private readonly SiteRegistry _sites;
    private readonly ServerEvents _events;
    private readonly RoundCommitter _rounds;
    private readonly Dispatcher _tasks;
    private readonly WorkflowRunner _workflows;

    /// <summary>Creates a server that does nothing until <see cref="RunAsync"/>.</summary>
    /// <exception cref="FlareException">The options cannot be (<see cref="JobServerOptions.Validate()"/>); the message
    /// lists everything that is wrong.</exception>
    public JobServer(JobServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Faults.Refuse("server", options.Validate());
        _options = options = options.Own();
        var own = options.Controllers.SelectMany(c => c.Components.Prepend(c));
        var side = new RunSide
        {
            Identity = FLContext.Server,
            JobId = options.JobId,
            Seed = options.Seed,
            Time = options.Time,
            Logger = options.Logger,
            Compute = options.Compute,
            Events = new EventBus(
            [.. own.Concat(options.Components).Distinct(ReferenceEqualityComparer.Instance).Cast<FLComponent>()])
            {
                Outbox = new FederatedOutbox(
                    options.Loop, (type, data) => _events!.Send(type, data), options.Limits.MaxPendingEvents,
                    type => _events!.Drop(type)),
            },
            StopJob = reason => _life!.Stop(FLContext.Server, reason),
        };
        _life = new JobLife(options, side);
        _sites = new SiteRegistry(_life);
        _events = new ServerEvents(_life, _sites);
        var unread = new UnreadAnswers(_life);
        _rounds = new RoundCommitter(_life, unread);
        _tasks = new Dispatcher(_life, _sites, new Admission(_life), _rounds, unread);
        _workflows = new WorkflowRunner(_life, _sites, _tasks, _rounds, unread);
        foreach (var site in options.Sites) _sites.Add(site);
    }

    /// <summary>The global model: the initial one, then that of the last committed round. Frozen.</summary>
    public StateDict Model => _rounds.Model;

    /// <summary>Tensors and values that the workflows keep beside the model; committed with every round.</summary>
    public RunState State => _rounds.State;

    /// <summary>The state as of the last commit; another thread than the loop's may read it.</summary>
    public RunState CommittedState => _rounds.CommittedState;

    /// <summary>
    /// The reports of the rounds, as they are committed. Completes with the job, with its exception if it failed. The
    /// server does not wait for who reads: of unread reports the newest four keep their models, and the others have
    /// none (<see cref="RoundReport.HasModel"/>); the newest 1,000 are kept, and older ones dropped and counted
    /// (<see cref="ReportsDropped"/>).
    /// </summary>
    public ChannelReader<RoundReport> Reports => _rounds.Reports;

    /// <summary>
    /// How many reports were dropped, the oldest first, since nobody read them while 1,000 newer ones came; the log
    /// warns of the first. Those after them are <see cref="Reports"/>'s next. From any thread.
    /// </summary>
    public long ReportsDropped => _rounds.ReportsDropped;

    /// <summary>What the job failed of, or was aborted by, once <see cref="RunAsync"/> has ended; null where all went
    /// well. The reports end with it too.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>The reports as <see cref="Reports"/> has them, one reader's: by asking for one it lets the next round
    /// be committed.</summary>
    internal IAsyncEnumerable<RoundReport> ReadReportsAsync() => _rounds.ReadReportsAsync();

    /// <summary>
    /// The names of all sites known now, in the order in which they became known. Sites that join later are not added
    /// to it.
    /// </summary>
    public IReadOnlyList<string> Sites => _sites.Names;

    /// <summary>The last round that is durable; 0 before the first of the workflow at hand.</summary>
    public int LastCommittedRound => _rounds.LastRound;

    /// <summary>How often the job's server has started, this start included.</summary>
    public int Epoch => _life.Epoch;

    /// <summary>
    /// Lets the tasks at hand go on without some sites, as an operator decides who sees that a round waits for them:
    /// their answers are not waited for, and the minimum of answers is lowered by them, though not below one. Call it
    /// on the loop.
    /// </summary>
    /// <param name="sites">The sites' names.</param>
    /// <returns>How many answers are waited for no longer; 0 where no task waits for these sites.</returns>
    public int GoOnWithout(params IReadOnlyCollection<string> sites)
    {
        ArgumentNullException.ThrowIfNull(sites);
        _life.RequireLoop();
        return _tasks.GoOnWithout(sites);
    }

    /// <summary>
    /// Ends the job once the round at hand is committed; where that was its last, it ends as it would have. Otherwise
    /// it is aborted then: run again, a job with a journal goes on after that round. Call it on the loop.
    /// </summary>
    /// <param name="reason">Why, for the sites.</param>
    public void StopAfterRound(string reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        _life.RequireLoop();
        _life.StopReason ??= PlainText.Of(reason, MostReason);
    }

    /// <summary>Runs the job to its end. Call it on the loop, once. It does not throw: <see cref="Failure"/> says how
    /// the job ended.</summary>
    /// <param name="abort">
    /// Aborts the job: executors are told to stop, and the task is cancelled. May be cancelled from any thread.
    /// </param>
    public async Task RunAsync(CancellationToken abort)
    {
        using var scope = _life.Logger.Enter(); // workflows run within it, and all that they use
        if (abort.IsCancellationRequested) _life.Cancel();
        using var registration = abort.Register(_life.End);
        // Tasks that the workflow sent without its token, too.
        using var endsTasks = _life.Abort.Register(
            () => _tasks.CompleteAll(CompletionStatus.Aborted, "the job was aborted"));
        var context = new FLContext(_life.Side);
        var started = false;
        var begin = _options.Time.GetTimestamp();
        Exception? failure = null;
        var reason = "the job is done";
        try
        {
            _options.Link.Start(Receive, Change);
            await _rounds.OpenAsync();
            Log.JobStarts(
                _life.Logger, _options.JobId, Epoch, _options.Seed, _sites.Count, Readable.Noun(_sites.Count, "site"),
                _options.Limits.MaxConcurrentUploads);
            EffectiveOptions.Log(_options, _life.Logger);
            BeginReceiving();
            started = true;
            _life.Events.Fire(EventTypes.StartRun, context);
            await _workflows.RunAsync(context);
        }
        catch (Exception e)
        {
            // Whatever ended the job reaches whoever runs it; the sites are told first.
            failure = _life.Panic ?? _life.Fault ?? e;
            reason = failure is OperationCanceledException ? _life.StopReason ?? "the job was aborted"
                : $"the job failed: {failure.Message}";
        }
        _tasks.CompleteAll(failure is null ? CompletionStatus.Cancelled : CompletionStatus.Aborted, reason);
        if (started && !_life.IsDead)
        {
            // Whatever ended it: components close their files on these.
            _life.Events.Announce(EventTypes.AboutToEndRun, context);
            _life.Events.Announce(EventTypes.EndRun, context);
        }
        try
        {
            if (!_life.IsDead) await _sites.DrainAsync(reason);
            _sweep?.Dispose();
            await _rounds.CloseAsync();
        }
        catch (Exception e)
        {
            failure ??= e; // whoever reads the reports would wait for ever otherwise
        }
        failure ??= _life.Panic ?? _life.Fault;
        if (!_life.IsDead) failure = Oversight(failure);
        _rounds.Numbers.LogEnd(_life, failure, _options.Time.GetElapsedTime(begin));
        Failure = failure;
        _rounds.EndReports(failure);
    }

    // Logged whatever ended the run; one that has gone well otherwise ends with it.
    private Exception? Oversight(Exception? failure)
    {
        var watch = _options.FiltersOut.Watch;
        (string Text, bool)[] own =
        [
            .. _options.FiltersOut.NeverCalled(watch, "the server"),
            .. _options.FiltersIn.NeverCalled(watch, "the server"),
        ];
        foreach (var (text, _) in own) Log.FilterNeverCalled(_life.Logger, text);
        return failure ?? FilterOversight.Of(own.Concat(_options.NeverCalledAtSites()));
    }

    /// <summary>
    /// Stops at once, as a crash would: nothing more is sent, nothing more is written. Call it on the loop.
    /// </summary>
    public void Dispose()
    {
        _sweep?.Dispose();
        _life.Dispose();
        _sites.Abandon();
    }
}

namespace Flare.Runtime;

/// <summary>
/// A site of a job: takes tasks from the server, runs them through filters and executor one at a time, and sees the
/// results delivered. An idle site is a few small objects; it has no thread, and on a reliable link no timer.
/// </summary>
public sealed partial class SiteRuntime : IAsyncDisposable
{
    private readonly SiteDefinition _definition;
    private readonly SiteRuntimeOptions _options;
    private readonly RunSide _side;
    private readonly SiteWorker _worker;
    private readonly SitePolicy _policy;
    private readonly Dictionary<long, SiteTask> _tasks = [];
    private readonly Queue<SiteTask> _queue = new();
    private readonly CancelledTokens _cancelled = new();
    private readonly EventChannel _events;
    private readonly EventDrops _drops;
    private readonly SiteTensors _tensors;
    private readonly MessageInbox _inbox;
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Guid _process;
    private LoopTimer? _heartbeat;
    private int _epoch;
    private bool _welcomed;
    private Task _work = Task.CompletedTask;
    private bool _working;
    private bool _ending;
    private bool _stopped;

    /// <summary>Creates a site that does nothing until <see cref="Start"/>.</summary>
    public SiteRuntime(SiteDefinition definition, SiteRuntimeOptions options)
    {
        ArgumentNullException.ThrowIfNull(definition);
        ArgumentNullException.ThrowIfNull(options);
        Faults.Refuse(definition.Name, options.Validate());
        (_definition, _options, _process) = (definition, options, options.NewProcess());
        _drops = new EventDrops(options.Limits.MaxPendingEvents);
        _side = new RunSide
        {
            Identity = definition.Name,
            JobId = options.JobId,
            Seed = options.Seed,
            Time = options.Time,
            Logger = options.Logger,
            Compute = options.Compute,
            Events = new EventBus(definition.Components)
            {
                HandsOver = true,
                Outbox = new FederatedOutbox(options.Loop, SendEvent, options.Limits.MaxPendingEvents, DropEvent),
            },
            StopJob = StopJob,
        };
        _policy = definition.Policy ?? options.Policy;
        _policy.ThrowIfInvalid();
        RequireApprover(definition.Name, _policy, options.Approve is not null);
        _events = new EventChannel(
            options.Limits.MaxPendingEvents, isBounded: options.Link.Promise != LinkPromise.Always);
        _inbox = new MessageInbox(options.JobId, fromServer: true);
        _worker = new SiteWorker(definition, _side, _policy);
        _state = new SiteStateStore(definition.Name, options, _side.Scoped);
        _tensors = new SiteTensors(
            options.Limits.ModelsKeptAtSite,
            (token, sha256) => Say(new TensorsWanted(token, sha256)));
    }

    /// <exception cref="FlareException">A policy asks for an approval, and nobody can be asked.</exception>
    internal static void RequireApprover(string site, SitePolicy? policy, bool hasApprover)
    {
        if (policy is not { RequiresApproval: true } || hasApprover) return;
        throw new FlareException(
            ErrorIds.Configuration,
            $"The policy of {site} says that its operator approves a job ({nameof(SitePolicy.RequiresApproval)}), and "
                + $"nobody can be asked: give a site by itself "
                + $"{nameof(SiteBuilder)}.{nameof(SiteBuilder.UseApproval)}, and one in the server's "
                + "process another policy.");
    }

    /// <summary>The site's name.</summary>
    public string Name => _definition.Name;

    /// <summary>
    /// Completes, with the server's reason, when the job is over at this site; cancelled if the site was disposed of
    /// before. Fails with a <see cref="FlareException"/> (<see cref="ErrorIds.SiteRefused"/>) where the server refuses
    /// the site: it means another job, seed, version, layout or policy, it is not on a closed roster, or another
    /// process is this site; and where the job is over but a filter of the site was for a misspelt task, and so has
    /// guarded nothing (<see cref="ErrorIds.Filter"/>). Fails with what was thrown where the site itself did, such as a
    /// storage of states that cannot be closed.
    /// </summary>
    public Task<string> Ended => _ended.Task;

    /// <summary>Joins the job. Call it on the loop.</summary>
    public void Start()
    {
        if (_leaving is not null) return;
        _started = true;
        EffectiveOptions.Log(_definition, _policy, _options, _side.Scoped);
        AwaitApproval();
        _options.Link.Start(Receive, Change);
        _worker.Fire(EventTypes.AboutToStartRun);
        _worker.Fire(EventTypes.StartRun);
        if (_options.Link.Promise == LinkPromise.Session) return; // it says when there is somebody to hear it
        SayHello();
        if (_options.Link.Promise == LinkPromise.None) Beat();
    }

    /// <summary>Completes when no executor is at work any more: one that was abandoned may be, after the end.</summary>
    internal async Task IdleAsync()
    {
        await _work;
        await _worker.Idle;
    }

    // Through the server, by an event that arrives in order and once like any other.
    private void StopJob(string reason)
    {
        if (_policy.Errors != ErrorDetail.Full)
        {
            var reference = $"{Name}/{_epoch}.panic";
            Log.SitePanicked(_side.Scoped, Name, reference, reason);
            var error = new ErrorRecord { Type = nameof(FlarePanicException), Message = reason };
            reason = $"a component of {Name} stopped the job: {_policy.Trim(error, reference).Message}";
        }
        _side.Events.Outbox!.Send(EventTypes.SitePanic, Shareable.Reply(ReturnCode.Error, reason).Freeze());
    }

    private void Take(TaskOffer offer)
    {
        if (_tasks.TryGetValue(offer.Token.Number, out var known))
        {
            Repeat(known);
            foreach (var sha256 in known.Present) // its confirmation may have been lost
                Say(new TensorsReceived(known.Token, sha256));
            return;
        }
        if (_cancelled.Contains(offer.Token))
        {
            Say(new TaskStopped(offer.Token)); // a large offer may come after its cancel
            return;
        }
        var task = new SiteTask(offer.Token, offer.TaskName, offer.Data, offer.Contents, offer.State);
        _tasks.Add(offer.Token.Number, task);
        Say(new TaskReceived(task.Token));
        if (IsPaused) _held.Add(task);
        else Begin(task);
    }

    private async Task ReceiveAsync(TensorsDelivery delivery)
    {
        Say(new TensorsReceived(delivery.Token, delivery.Sha256));
        if (!_tensors.IsAwaited(delivery.Sha256)) return; // it has come already, or is not needed any more
        var sha256 = await _options.Compute.RunAsync(delivery.Tensors.Sha256);
        // What waits now may wait for another server's: by its content it is the same model.
        if (_stopped || _ending) return;
        if (sha256 == delivery.Sha256)
        {
            foreach (var task in _tensors.Receive(sha256, delivery.Tensors)) Enqueue(task);
            return;
        }
        Log.TensorsRefused(_side.Scoped, Name, delivery.Sha256, sha256);
        foreach (var task in _tensors.Refuse(delivery.Sha256)) Enqueue(task);
    }

    private void Enqueue(SiteTask task)
    {
        task.State = SiteTaskState.Queued;
        _queue.Enqueue(task);
        Work();
    }

    private void Work()
    {
        if (!_working && !IsPaused && _queue.Count > 0) _work = DetachAsync(WorkAsync());
    }

    // By the whole token: a receipt may be for the same number in an earlier epoch.
    private SiteTask? Find(TaskToken token) =>
        _tasks.TryGetValue(token.Number, out var task) && task.Token == token ? task : null;

    private async Task WorkAsync()
    {
        _working = true;
        while (!IsPaused && _queue.TryDequeue(out var task))
        {
            if (task.State == SiteTaskState.Done) continue;
            await RunAsync(task);
        }
        _working = false;
    }

    private async Task RunAsync(SiteTask task)
    {
        ExecutorSlots.Slot? slot = null;
        if (_options.Slots is { } slots)
        {
            try
            {
                slot = await slots.AcquireAsync(task.Id, Name, task.Abort.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
        using (slot)
        {
            if (task.State == SiteTaskState.Done) return;
            if (IsPaused)
            {
                PutOff(task);
                return;
            }
            task.State = SiteTaskState.Running;
            Execute(begins: true);
            Shareable result;
            try
            {
                result = await RunOnStateAsync(task);
            }
            finally
            {
                Execute(begins: false);
            }
            if (task.State == SiteTaskState.Done) return;
            if (task.StopRequested)
            {
                task.Settle();
                Say(new TaskStopped(task.Token));
                return;
            }
            if (task.IsPutOff && result.ReturnCode == ReturnCode.TaskAborted)
            {
                PutOff(task);
                return;
            }
            task.Envelope = Envelope(new TaskResult(task.Token, result, task.StateChange));
            if (ObstacleTo(task.Envelope) is { } obstacle)
            {
                (result, task.StateChange) = (_worker.Unsendable(task, obstacle), null);
                task.Envelope = Envelope(new TaskResult(task.Token, result));
            }
            task.Result = result;
            task.State = SiteTaskState.Ready;
            if (IsLarge(result)) Repeat(task);
            else
            {
                Upload(task.Token);
                // Its receipt may take its time (LinkMessage.MayWait), and what waits for it is small.
                if (!_options.Link.SharesMemory) slot?.Dispose();
            }
            slot?.Park();
            await task.Settled.Task;
        }
    }

    private void Upload(TaskToken token)
    {
        if (Find(token) is not { State: SiteTaskState.Ready or SiteTaskState.Sent } task) return;
        if (task.State == SiteTaskState.Ready) _worker.Fire(EventTypes.BeforeSendTaskResult, task);
        task.State = SiteTaskState.Sent;
        task.Repetition.Restart();
        Say(task.Envelope!);
    }

    private void Settle(ResultReceipt receipt)
    {
        if (Find(receipt.Token) is not { } task || task.State == SiteTaskState.Done) return;
        if (receipt.Refusal is null && task.StateChange is { } change) GoOnFrom(change);
        if (receipt.Refusal is { } refusal)
            Log.AnswerRefused(LoggerFor(task), Name, task.Name, task.Token.Round, refusal);
        if (task.State == SiteTaskState.Sent) _worker.Fire(EventTypes.AfterSendTaskResult, task);
        Stop(task);
        Forget();
    }

    private void Cancel(TaskCancel cancel)
    {
        var token = cancel.Token;
        if (Find(token) is not { } task)
        {
            _cancelled.Add(token);
            Say(new TaskStopped(token));
            return;
        }
        if (task.State == SiteTaskState.Running)
        {
            if (!task.StopRequested)
            {
                Log.TaskCancelled(LoggerFor(task), Name, task.Name, task.Token.Round, cancel.Reason);
                _worker.Fire(EventTypes.AbortTask, task);
            }
            task.StopRequested = true;
            Abort(task, isRunning: true);
            return; // TaskStopped follows when the executor has stopped
        }
        Stop(task);
        Say(new TaskStopped(token));
    }

    /// <summary>Ends a task without an answer.</summary>
    private void Stop(SiteTask task)
    {
        if (task.State == SiteTaskState.Done) return;
        var isRunning = task.State == SiteTaskState.Running;
        task.Settle();
        Abort(task, isRunning);
        _tensors.Leave(task);
    }

    private void Abort(SiteTask task, bool isRunning)
    {
        task.Abort.Cancel();
        if (isRunning) _ = AbortExecutorAsync(task);
    }

    private async Task AbortExecutorAsync(SiteTask task)
    {
        try
        {
            await _options.Compute.RunAsync(task.ExecutorAbort.Cancel);
        }
        catch (AggregateException e)
        {
            // What the executor registered with its token threw; the rest of the site's tasks is told all the same.
            Log.AbortHandlerFailed(LoggerFor(task), e, Name, task.Name);
        }
    }

    /// <summary>
    /// Lets work go on by itself. What it throws is the runtime's own fault, or that of a storage that cannot be
    /// closed: it ends the site.
    /// </summary>
    private async Task DetachAsync(Task work)
    {
        try
        {
            await work;
        }
        catch (Exception e)
        {
            Log.SiteFaulted(_side.Scoped, e, Name);
            Fail(e);
        }
    }

    private void Fail(Exception fault)
    {
        var isOver = _ending;
        _ending = true;
        _heartbeat?.Dispose();
        foreach (var task in _tasks.Values.Where(t => t.State != SiteTaskState.Done).ToArray())
        {
            Stop(task);
            Say(new TaskStopped(task.Token));
        }
        _tensors.Clear();
        if (_ended.TrySetException(fault) && isOver) Say(new JobEndReceived());
    }

    private async Task EndAsync(string reason, bool isRefused = false)
    {
        _ending = true;
        _tensors.Clear();
        foreach (var task in _tasks.Values) Stop(task);
        await EndRunAsync();
        _heartbeat?.Dispose();
        if (isRefused)
        {
            var error = new FlareException(
                ErrorIds.SiteRefused, $"The server of job '{_options.JobId}' refuses {Name}: {reason}.");
            Log.RefusedByServer(_side.Scoped, error.Message);
            _ended.TrySetException(error);
            return;
        }
        (string Text, bool)[] never = [.. _definition.FiltersNeverCalled()];
        foreach (var (filter, _) in never) Log.FilterNeverCalled(_side.Scoped, filter);
        foreach (var name in _definition.UnusedNames()) Log.TaskNameUnused(_side.Scoped, name);
        // In one process the server ends with it, for all sites at once.
        if (!_options.IsInProcess && FilterOversight.Of(never) is { } oversight) _ended.TrySetException(oversight);
        else _ended.TrySetResult(reason);
        Say(new JobEndReceived());
    }
}

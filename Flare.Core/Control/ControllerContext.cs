using System.Runtime.CompilerServices;
using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>What a <see cref="Controller"/> works with: the sites, the global model, and the verbs. Use it on the job's loop only.</summary>
public sealed class ControllerContext
{
    private readonly JobServer _server;
    private readonly Controller _controller;
    private bool _ended;

    internal ControllerContext(JobServer server, Controller controller)
    {
        (_server, _controller) = (server, controller);
        Context = new FLContext(server.Engine);
    }

    /// <summary>The job's id.</summary>
    public string JobId => _server.Options.JobId;

    /// <summary>The job's seed.</summary>
    public ulong Seed => _server.Options.Seed;

    /// <summary>The names of all sites known now, in the order in which they became known. Sites that join later are not added to it.</summary>
    public IReadOnlyList<string> Sites => _server.Sites;

    /// <summary>The global model: the initial one, then that of the last committed round. Frozen.</summary>
    public StateDict Model => _server.Model;

    /// <summary>The last round that is durable; 0 before the first.</summary>
    public int LastCommittedRound => _server.LastCommittedRound;

    /// <summary>The report of the last committed round of this workflow, after a resume too; null before the first.</summary>
    public RoundReport? LastReport => _server.LastReport;

    /// <summary>What the workflow keeps from round to round; durable with the next commit.</summary>
    public RunState State => _server.State;

    /// <summary>A context of the server, for events and properties.</summary>
    public FLContext Context { get; }

    /// <summary>The clock.</summary>
    public TimeProvider Time => _server.Time;

    /// <summary>Where heavy arithmetic runs.</summary>
    public ComputeScheduler Compute => _server.Options.Compute;

    /// <summary>Where to log.</summary>
    public ILogger Logger => _server.Options.Logger;

    /// <summary>How many large results the server holds at once; an aggregator that folds several together takes no more.</summary>
    public int MaxConcurrentUploads => _server.Options.Limits.MaxConcurrentUploads;

    /// <summary>The run's aggregator: that of an extension of the federation, such as homomorphic encryption, where there is one. The caller owns it.</summary>
    /// <param name="otherwise">Makes the workflow's own where there is none.</param>
    public Aggregator CreateAggregator(Func<Aggregator> otherwise)
    {
        ArgumentNullException.ThrowIfNull(otherwise);
        return (_server.Options.CreateAggregator ?? otherwise)();
    }

    /// <summary>Sends a task to several sites at once.</summary>
    /// <remarks>
    /// Several tasks may be on their way. A site runs one after the other and keeps a large result until the server takes it, which is when the
    /// workflow has read those before it: read the answers of tasks that share sites side by side, or in the order in which you sent them.
    /// </remarks>
    /// <param name="task">The task.</param>
    /// <param name="options">Targets, minimum, times; all sites, all answers and no limit if left out.</param>
    /// <param name="abort">Aborts the task.</param>
    /// <returns>The admitted answers, as they arrive. The task is on its way when this returns.</returns>
    /// <exception cref="ArgumentException">No target, an unknown one, or more responses than targets.</exception>
    public TaskResponses BroadcastAsync(FlareTask task, BroadcastOptions? options = null, CancellationToken abort = default)
    {
        RequireUse();
        ArgumentNullException.ThrowIfNull(task);
        options ??= new();
        NotNegative(options.Grace, nameof(BroadcastOptions.Grace));
        NotNegative(options.Timeout, nameof(BroadcastOptions.Timeout));
        var targets = Known(options.Targets ?? [.. Sites]);
        if (targets.Distinct(StringComparer.Ordinal).Count() != targets.Count) throw new ArgumentException($"A site is named twice among the targets of task '{task.Name}'; it can answer once.", nameof(options));
        var minimum = options.MinResponses ?? targets.Count;
        if (minimum < 0 || minimum > targets.Count)
            throw new ArgumentException($"Task '{task.Name}' needs {minimum} responses, and has {targets.Count} targets. Ask for no more responses than there are targets.", nameof(options));
        return new(_server, _server.Start(task, targets, minimum, options.Grace, options.Timeout, _controller.Name), abort);
    }

    /// <summary>
    /// Sends a task again and again: each site gets it anew as soon as it has answered, and sites that join get it too, until the stream is
    /// left, the time runs out or the job ends (FLARE: broadcast forever).
    /// </summary>
    /// <param name="task">The task.</param>
    /// <param name="timeout">How long at most; null for no limit.</param>
    /// <param name="abort">Aborts the task.</param>
    public TaskResponses BroadcastUntilCancelledAsync(FlareTask task, TimeSpan? timeout = null, CancellationToken abort = default)
    {
        RequireUse();
        ArgumentNullException.ThrowIfNull(task);
        NotNegative(timeout, nameof(timeout));
        return new(_server, _server.Start(task, [.. Sites], 0, TimeSpan.Zero, timeout, _controller.Name, standing: true, newcomers: true), abort);
    }

    /// <summary>Sends a task to one of several sites and waits for its answer. The caller owns the contribution.</summary>
    /// <param name="task">The task.</param>
    /// <param name="options">The candidates and the times.</param>
    /// <param name="abort">Aborts the task.</param>
    /// <exception cref="TaskFailedException">No candidate took the task, or the one that did gave no answer that could be admitted.</exception>
    public async Task<Contribution> SendAsync(FlareTask task, SendOptions options, CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(options);
        NotNegative(options.AssignmentTimeout, nameof(SendOptions.AssignmentTimeout));
        NotNegative(options.Timeout, nameof(SendOptions.Timeout));
        var targets = Known(options.Targets);
        if (options.Order == SendOrder.Any) targets = [.. targets.OrderByDescending(_server.IsConnected)];
        var attempts = new List<SiteOutcome>();
        foreach (var target in targets)
        {
            var responses = SendTo(task, target, options.AssignmentTimeout, options.Timeout, abort, out var taken);
            await foreach (var contribution in responses) return contribution.Retain();
            attempts.AddRange(responses.Sites);
            if (await taken) throw new TaskFailedException(task.Name, task.Round, responses.Status, attempts);
        }
        throw new TaskFailedException(task.Name, task.Round, CompletionStatus.Timeout, attempts);
    }

    /// <summary>
    /// Hands a task from site to site: the next one's task is made from the answer of the one before. A site that does not take the task or
    /// gives no usable answer is passed over, with the reason in the round's report.
    /// </summary>
    /// <param name="next">Makes the task for the next site from the last answer, which is null for the first. That answer's tensors stay valid until the next one is there.</param>
    /// <param name="options">Sites and times; all sites once, in order, if left out.</param>
    /// <param name="abort">Aborts the relay.</param>
    /// <exception cref="TaskFailedException">No site at all gave a usable answer. Thrown at the end of the route.</exception>
    public async IAsyncEnumerable<Contribution> RelayAsync(Func<Contribution?, FlareTask> next, RelayOptions? options = null, [EnumeratorCancellation] CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(next);
        options ??= new();
        NotNegative(options.AssignmentTimeout, nameof(RelayOptions.AssignmentTimeout));
        NotNegative(options.ResultTimeout, nameof(RelayOptions.ResultTimeout));
        var route = new Queue<string>(Known(options.Targets ?? [.. Sites]));
        var seen = Sites.Count;
        var attempts = new List<SiteOutcome>();
        FlareTask? task = null;
        Contribution? last = null;
        try
        {
            while (true)
            {
                if (options.IncludeNewcomers)
                    for (; seen < Sites.Count; seen++) route.Enqueue(Sites[seen]);
                if (!route.TryDequeue(out var target)) break;
                task = next(last) ?? throw new InvalidOperationException($"The relay has no task for {target}: {nameof(next)} returned null. Leave the stream to end the relay early.");
                var responses = SendTo(task, target, options.AssignmentTimeout, options.ResultTimeout, abort, out _);
                Contribution? answer = null;
                await foreach (var contribution in responses) answer = contribution.Retain();
                if (answer is null)
                {
                    if (last is null) attempts.AddRange(responses.Sites);
                    continue;
                }
                last?.Dispose();
                last = answer;
                yield return answer;
            }
            if (last is null && task is not null) throw new TaskFailedException(task.Name, task.Round, CompletionStatus.Error, attempts);
        }
        finally
        {
            last?.Dispose();
        }
    }

    /// <summary>Makes a round durable and announces it: the model becomes the global one. Where the job keeps a journal, the round is on disk when this returns.</summary>
    /// <param name="round">The round; greater than <see cref="LastCommittedRound"/>.</param>
    /// <param name="model">The round's model; frozen by this call.</param>
    /// <param name="abort">Aborts before anything is written.</param>
    /// <exception cref="FlareException">The model is not finite, or the journal cannot be written.</exception>
    public Task<RoundReport> CommitAsync(int round, StateDict model, CancellationToken abort = default) => CommitAsync(round, model, new RoundResult(), abort);

    /// <summary>Makes a round durable and announces it, with what the workflow knows of it.</summary>
    /// <param name="round">The round; greater than <see cref="LastCommittedRound"/>.</param>
    /// <param name="model">The round's model; frozen by this call.</param>
    /// <param name="result">Metrics of the model, and whether it is the best so far.</param>
    /// <param name="abort">Aborts before anything is written.</param>
    /// <exception cref="FlareException">The model is not finite, or the journal cannot be written.</exception>
    public Task<RoundReport> CommitAsync(int round, StateDict model, RoundResult result, CancellationToken abort = default)
    {
        RequireUse();
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(result);
        return _server.CommitAsync(round, model, result, abort);
    }

    /// <summary>Tells the server's components that something happened.</summary>
    public void Fire(string eventType) => Context.Fire(eventType);

    /// <summary>Tells the server's components that something happened to a contribution: they read it as <see cref="ContextKeys.Contribution"/>.</summary>
    public void Fire(string eventType, Contribution contribution)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        var context = new FLContext(_server.Engine, contribution.Site, contribution.TaskName, contribution.Token, contribution.Message.PeerProperties);
        context.Set(ContextKeys.CurrentRound, contribution.Round);
        context.Set(ContextKeys.Contribution, contribution);
        context.Fire(eventType);
    }

    /// <summary>Tells the server's components that something happened to a global model: they read it as <see cref="ContextKeys.GlobalModel"/>.</summary>
    public void Fire(string eventType, int round, StateDict model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var context = new FLContext(_server.Engine);
        context.Set(ContextKeys.CurrentRound, round);
        context.Set(ContextKeys.GlobalModel, model);
        context.Fire(eventType);
    }

    /// <summary>The workflow is over.</summary>
    internal void End() => _ended = true;

    private void RequireUse()
    {
        _server.RequireLoop();
        if (_ended) throw new InvalidOperationException($"The workflow {_controller.Name} is over: its run has ended or was aborted.");
    }

    private TaskResponses SendTo(FlareTask task, string target, TimeSpan? assignmentTimeout, TimeSpan? timeout, CancellationToken abort, out Task<bool> taken)
    {
        RequireUse();
        var run = _server.Start(task, [target], 1, TimeSpan.Zero, null, _controller.Name);
        taken = run.Assignments[0].TakenAsync;
        _ = WatchAsync(run, assignmentTimeout, timeout);
        return new(_server, run, abort, tolerant: true);
    }

    // Two clocks in turn: one until the site takes the task, one from then until it answers.
    private async Task WatchAsync(TaskRun run, TimeSpan? assignmentTimeout, TimeSpan? timeout)
    {
        using (assignmentTimeout is { } window ? _server.After(window, () => run.Complete(CompletionStatus.Timeout, $"the site did not take the task within {window}")) : null)
        {
            if (!await run.Assignments[0].TakenAsync || timeout is null) return;
        }
        using (_server.After(timeout.Value, () => run.Complete(CompletionStatus.Timeout, $"the site did not answer within {timeout.Value}"))) await run.Assignments[0].EndedAsync;
    }

    private static void NotNegative(TimeSpan? time, string name)
    {
        if (time < TimeSpan.Zero && time != Timeout.InfiniteTimeSpan) throw new ArgumentOutOfRangeException(name, time, "A time must not be negative; use null for no limit.");
    }

    private List<string> Known(IReadOnlyList<string> targets)
    {
        if (targets.Count == 0) throw new ArgumentException("A task needs at least one target; no site is known, or the list is empty.", nameof(targets));
        foreach (var target in targets)
            if (!_server.IsKnown(target)) throw new ArgumentException($"The site '{target}' is not known. Known are: {string.Join(", ", Sites.Take(10))}{(Sites.Count > 10 ? ", …" : "")}.", nameof(targets));
        return [.. targets];
    }
}

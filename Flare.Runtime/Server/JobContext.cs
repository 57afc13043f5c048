using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>What a <see cref="Controller"/> works with: the sites, the global model, and the verbs. </summary>
internal sealed class JobContext : ControllerContext
{
    private readonly JobServer _server;
    private readonly Controller _controller;
    private bool _ended;

    public JobContext(JobServer server, Controller controller)
    {
        (_server, _controller) = (server, controller);
        Context = new FLContext(server.Engine);
    }

    public override string JobId => _server.Options.JobId;

    public override ulong Seed => _server.Options.Seed;

    public override IReadOnlyList<string> Sites => _server.Sites;

    public override StateDict Model => _server.Model;

    public override int LastCommittedRound => _server.LastCommittedRound;

    public override RoundReport? LastReport => _server.LastReport;

    public override RunState State => _server.State;

    public override FLContext Context { get; }

    public override TimeProvider Time => _server.Time;

    public override ComputeScheduler Compute => _server.Options.Compute;

    public override ILogger Logger => _server.Options.Logger;

    public override int MaxConcurrentUploads => _server.Options.Limits.MaxConcurrentUploads;

    public override Aggregator CreateAggregator(Func<Aggregator> otherwise)
    {
        ArgumentNullException.ThrowIfNull(otherwise);
        return (_server.Options.CreateAggregator ?? otherwise)();
    }

    public override TaskResponses BroadcastAsync(FlareTask task, BroadcastOptions? options = null, CancellationToken abort = default)
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
        return new JobTaskResponses(_server, _server.Start(task, targets, minimum, options.Grace, options.Timeout, _controller.Name), abort);
    }

    public override TaskResponses BroadcastUntilCancelledAsync(FlareTask task, TimeSpan? timeout = null, CancellationToken abort = default)
    {
        RequireUse();
        ArgumentNullException.ThrowIfNull(task);
        NotNegative(timeout, nameof(timeout));
        return new JobTaskResponses(_server, _server.Start(task, [.. Sites], 0, TimeSpan.Zero, timeout, _controller.Name, standing: true, newcomers: true), abort);
    }

    public override async Task<Contribution> SendAsync(FlareTask task, SendOptions options, CancellationToken abort = default)
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

    public override async IAsyncEnumerable<Contribution> RelayAsync(Func<Contribution?, FlareTask> makeTask, RelayOptions? options = null, [EnumeratorCancellation] CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(makeTask);
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
                task = makeTask(last) ?? throw new InvalidOperationException($"The relay has no task for {target}: {nameof(makeTask)} returned null. Leave the stream to end the relay early.");
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

    public override Task<RoundReport> CommitAsync(int round, StateDict model, RoundResult result, CancellationToken abort = default)
    {
        RequireUse();
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(result);
        return _server.CommitAsync(round, model, result, abort);
    }

    public override void Fire(string eventType, Contribution contribution)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        var context = new FLContext(_server.Engine, contribution.Site, contribution.TaskName, contribution.Token, contribution.Message.PeerProperties);
        context.Set(ContextKeys.CurrentRound, contribution.Round);
        context.Set(ContextKeys.Contribution, contribution);
        context.Fire(eventType);
    }

    public override void Fire(string eventType, int round, StateDict model)
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

    private JobTaskResponses SendTo(FlareTask task, string target, TimeSpan? assignmentTimeout, TimeSpan? timeout, CancellationToken abort, out Task<bool> taken)
    {
        RequireUse();
        var run = _server.Start(task, [target], 1, TimeSpan.Zero, null, _controller.Name);
        taken = run.Assignments[0].TakenAsync;
        _ = WatchAsync(run, assignmentTimeout, timeout);
        return new JobTaskResponses(_server, run, abort, tolerant: true);
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

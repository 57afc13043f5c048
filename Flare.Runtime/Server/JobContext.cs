using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>The verbs of one workflow of a job, until the workflow is over.</summary>
internal sealed class JobContext(
    JobLife life, SiteRegistry sites, Dispatcher tasks, RoundCommitter rounds, Controller controller) :
    ControllerContext
{
    private readonly List<Aggregator> _provided = [];
    private bool _ended;
    private int _round; // of the task last sent

    public override string JobId => life.Options.JobId;

    public override ulong Seed => life.Options.Seed;

    public override IReadOnlyList<string> Sites => sites.Names;

    public override StateDict Model => rounds.Model;

    public override int LastCommittedRound => rounds.LastRound;

    public override RoundReport? LastReport => rounds.LastReport;

    public override RunState State => rounds.State;

    public override FLContext Context { get; } = new FLContext(life.Side);

    public override int WorkflowNumber { get; } = rounds.Workflow + 1;

    public override TimeProvider Time => life.Time;

    public override ComputeScheduler Compute => life.Options.Compute;

    public override ILogger Logger => life.Logger.With(round: _round);

    public override int MaxConcurrentUploads => life.Limits.MaxConcurrentUploads;

    public override Aggregator CreateAggregator(Func<Aggregator> otherwise)
    {
        ArgumentNullException.ThrowIfNull(otherwise);
        return life.Options.CreateAggregator is { } make ? Provided(make()) : otherwise();
    }

    // Whoever provides it may hand out one that another run has.
    private Aggregator Provided(Aggregator aggregator)
    {
        if (!aggregator.TryClaim(life))
            throw new FlareException(
                ErrorIds.Configuration,
                $"UseAggregator gave the workflow {controller.Name} an aggregator {aggregator.GetType().Name} that is "
                + "at work in another federation. Have it make a new one for each run: UseAggregator(() => new …).");
        _provided.Add(aggregator);
        return aggregator;
    }

    public override TaskResponses BroadcastAsync(
        FlareTask task, BroadcastOptions? options = null, CancellationToken abort = default)
    {
        RequireUse();
        ArgumentNullException.ThrowIfNull(task);
        options ??= new();
        NotNegative(options.Grace, nameof(BroadcastOptions.Grace));
        NotNegative(options.Timeout, nameof(BroadcastOptions.Timeout));
        var targets = Known(options.Targets ?? [.. Sites]);
        if (targets.Distinct(StringComparer.Ordinal).Count() != targets.Count)
            throw new ArgumentException(
                $"A site is named twice among the targets of task '{task.Name}'; it can answer once.", nameof(options));
        var minimum = options.MinResponses ?? targets.Count;
        if (minimum < 0 || minimum > targets.Count)
            throw new ArgumentException(
                $"Task '{task.Name}' needs {Readable.Count(minimum, "response")}, and has "
                    + $"{Readable.Count(targets.Count, "target")}. Ask for no more "
                    + "responses than there are targets.", nameof(options));
        Note(task);
        return new JobTaskResponses(
            life, tasks, tasks.Start(task, targets, minimum, options.Grace, options.Timeout, controller.Name), abort);
    }

    public override TaskResponses BroadcastUntilCancelledAsync(
        FlareTask task, TimeSpan? timeout = null, CancellationToken abort = default)
    {
        RequireUse();
        ArgumentNullException.ThrowIfNull(task);
        NotNegative(timeout, nameof(timeout));
        Note(task);
        return new JobTaskResponses(
            life, tasks, tasks.Start(
                task, [.. Sites], 0, TimeSpan.Zero, timeout, controller.Name, standing: true, newcomers: true), abort);
    }

    public override async Task<Contribution> SendAsync(
        FlareTask task, SendOptions options, CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(options);
        NotNegative(options.AssignmentTimeout, nameof(SendOptions.AssignmentTimeout));
        NotNegative(options.Timeout, nameof(SendOptions.Timeout));
        var targets = Known(options.Targets);
        if (options.Order == SendOrder.Any) targets = [.. targets.OrderByDescending(site => sites[site].Connected)];
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

    public override async IAsyncEnumerable<Contribution> RelayAsync(
        Func<Contribution?, FlareTask> makeTask, RelayOptions? options = null,
        [EnumeratorCancellation] CancellationToken abort = default)
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
                task = makeTask(last)
                    ?? throw new InvalidOperationException(
                        $"The relay has no task for {target}: {nameof(makeTask)} returned "
                            + "null. Leave the stream to end the relay early.");
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
            if (last is null && task is not null)
                throw new TaskFailedException(task.Name, task.Round, CompletionStatus.Error, attempts);
        }
        finally
        {
            last?.Dispose();
        }
    }

    public override Task<RoundReport> CommitAsync(
        int round, StateDict model, RoundResult result, CancellationToken abort = default)
    {
        RequireUse();
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(result);
        return rounds.CommitAsync(round, model, result, abort);
    }

    public override void BeginRoundAgain(int round)
    {
        RequireUse();
        rounds.Forget(round);
    }

    public override void Fire(string eventType, Contribution contribution)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        var context = new FLContext(
            life.Side, contribution.Site, contribution.TaskName, contribution.Token,
            contribution.Message.PeerProperties);
        context.Set(ContextKeys.CurrentRound, contribution.Round);
        context.Set(ContextKeys.Contribution, contribution);
        context.Fire(eventType);
    }

    public override void Fire(string eventType, int round, StateDict model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var context = new FLContext(life.Side);
        context.Set(ContextKeys.CurrentRound, round);
        context.Set(ContextKeys.GlobalModel, model);
        context.Fire(eventType);
    }

    /// <summary>Where the workflow is, in words.</summary>
    internal string Where => _round > rounds.LastRound ? Invariant($"in round {_round}")
        : rounds.LastRound > 0 ? Invariant($"after round {rounds.LastRound}") : "before its first round";

    /// <summary>The workflow is over, or abandoned.</summary>
    internal void End(bool hasEnded)
    {
        _ended = true;
        if (!hasEnded) return; // it still uses them
        foreach (var aggregator in _provided) aggregator.Release(life);
    }

    private void Note(FlareTask task)
    {
        if (task.Round > 0) _round = task.Round;
    }

    private void RequireUse()
    {
        life.RequireLoop();
        if (_ended)
            throw new InvalidOperationException(
                $"The workflow {controller.Name} is over: its run has ended or was aborted.");
    }

    private JobTaskResponses SendTo(
        FlareTask task, string target, TimeSpan? assignmentTimeout, TimeSpan? timeout, CancellationToken abort,
        out Task<bool> taken)
    {
        RequireUse();
        Note(task);
        var run = tasks.Start(task, [target], 1, TimeSpan.Zero, null, controller.Name);
        taken = run.Assignments[0].TakenAsync;
        _ = WatchAsync(run, assignmentTimeout, timeout);
        return new JobTaskResponses(life, tasks, run, abort, tolerant: true);
    }

    // Two clocks in turn: one until the site takes the task, one from then until it answers.
    private async Task WatchAsync(TaskRun run, TimeSpan? assignmentTimeout, TimeSpan? timeout)
    {
        using (assignmentTimeout is { } window
            ? life.After(
                window, () =>
                tasks.Complete(run, CompletionStatus.Timeout, $"{Dispatcher.NotTaken} within {window}"))
                : null)
        {
            if (!await run.Assignments[0].TakenAsync || timeout is null) return;
        }
        using (life.After(
            timeout.Value, () =>
            tasks.Complete(run, CompletionStatus.Timeout, $"the site did not answer within {timeout.Value}")))
            await run.Assignments[0].EndedAsync;
    }

    private static void NotNegative(TimeSpan? time, string name)
    {
        if (time < TimeSpan.Zero && time != Timeout.InfiniteTimeSpan)
            throw new ArgumentOutOfRangeException(name, time, "A time must not be negative; use null for no limit.");
    }

    private List<string> Known(IReadOnlyList<string> targets)
    {
        if (targets.Count == 0)
            throw new ArgumentException(
                "A task needs at least one target; no site is known, or the list is empty.", nameof(targets));
        foreach (var target in targets)
            if (!sites.IsKnown(target))
                throw new ArgumentException(
                    $"The site '{target}' is not known. Known are: "
                        + $"{string.Join(", ", Sites.Take(10))}{(Sites.Count > 10 ? ", …" : "")}.", nameof(targets));
        return [.. targets];
    }
}

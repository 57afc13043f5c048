using Flare.Runtime;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Testing;

/// <summary>
/// What a part of a round (an aggregator, a sampler, a selection) sees of a federation, for a unit test of that part: a
/// model, sites, a state, and contributions made by hand. It sends no tasks: a whole workflow is tested in a
/// <see cref="Simulation"/>. Not thread-safe.
/// </summary>
public sealed class UnitFederation : ControllerContext
{
    private readonly Dictionary<string, string> _refusals = new(StringComparer.Ordinal);
    private readonly EventRecorder _events = new();
    private readonly IReadOnlyList<FLComponent> _components;
    private StateDict _model;
    private int _lastCommittedRound;

    /// <summary>A federation with a model and sites.</summary>
    /// <param name="model">The global model; frozen by this call.</param>
    /// <param name="sites">The names of the sites; <c>site-1</c> to <c>site-3</c> if there are none.</param>
    public UnitFederation(StateDict model, params string[] sites) : this(model, 0, sites: sites)
    {
    }

    /// <summary>A federation with a model, sites, and a seed, clock, log and components of the test's own.</summary>
    /// <param name="model">The global model; frozen by this call.</param>
    /// <param name="seed">The job's seed.</param>
    /// <param name="time">The clock; the system's if left out.</param>
    /// <param name="logger">Where to log; nowhere if left out.</param>
    /// <param name="components">What sees the events, in order; <see cref="Events"/> has them in any case.</param>
    /// <param name="sites">The names of the sites; <c>site-1</c> to <c>site-3</c> if there are none.</param>
    public UnitFederation(
        StateDict model, ulong seed, TimeProvider? time = null, ILogger? logger = null,
        IReadOnlyList<FLComponent>? components = null, params IReadOnlyList<string> sites)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sites);
        (_model, Sites) = (model.Freeze(), sites.Count > 0 ? [.. sites] : ["site-1", "site-2", "site-3"]);
        (Seed, Time, Logger) = (seed, time ?? TimeProvider.System, logger ?? NullLogger.Instance);
        _components = [_events, .. components ?? []];
        Context = UnitParts.Context(FLContext.Server, JobId, Seed, Time, Logger, _components);
    }

    /// <summary>The refusals so far: site, and the reason.</summary>
    public IReadOnlyDictionary<string, string> Refusals => _refusals;

    /// <summary>The events that were fired, by <see cref="Context"/> too, in order.</summary>
    public IReadOnlyList<string> Events => _events.Types;

    /// <inheritdoc/>
    public override string JobId => "unit";

    /// <inheritdoc/>
    public override ulong Seed { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Sites { get; }

    /// <inheritdoc/>
    public override int WorkflowNumber => 1;

    /// <inheritdoc/>
    public override StateDict Model => _model;

    /// <inheritdoc/>
    public override int LastCommittedRound => _lastCommittedRound;

    /// <inheritdoc/>
    public override RoundReport? LastReport => null;

    /// <inheritdoc/>
    public override RunState State { get; } = new();

    /// <inheritdoc/>
    public override FLContext Context { get; }

    /// <inheritdoc/>
    public override TimeProvider Time { get; }

    /// <inheritdoc/>
    public override ComputeScheduler Compute => ComputeScheduler.ThreadPool;

    /// <inheritdoc/>
    public override ILogger Logger { get; }

    /// <inheritdoc/>
    public override int MaxConcurrentUploads => 2;

    /// <summary>
    /// A contribution as admission hands it on, if the contract of <paramref name="task"/> admits it.
    /// </summary>
    /// <param name="site">Who contributes.</param>
    /// <param name="answer">The data; frozen by this call.</param>
    /// <param name="task">What it answers; the training of <see cref="Model"/> in round 1 if left out.</param>
    /// <exception cref="FlareException">The contract refuses it; the message has the reason.</exception>
    public Contribution Contribution(string site, Dxo answer, FlareTask? task = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(site);
        ArgumentNullException.ThrowIfNull(answer);
        task ??= FlareTask.Train(1, Model);
        var contribution = TestContribution.Of(site, answer, task.Round, task, reason => _refusals[site] = reason);
        UnitParts.RequireValues(contribution, task);
        return contribution;
    }

    /// <inheritdoc/>
    public override Aggregator CreateAggregator(Func<Aggregator> otherwise)
    {
        ArgumentNullException.ThrowIfNull(otherwise);
        return otherwise();
    }

    /// <summary>The model becomes the global one.</summary>
    public override Task<RoundReport> CommitAsync(
        int round, StateDict model, RoundResult result, CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(result);
        (_model, _lastCommittedRound) = (model.Freeze(), round);
        return Task.FromResult(new RoundReport
        {
            Number = round,
            Targets = 0,
            Accepted = 0,
            Metrics = result.Metrics,
            Sites = [],
            Elapsed = TimeSpan.Zero,
            IsBest = result.IsBest,
            Warnings = result.Warnings,
        });
    }

    /// <inheritdoc/>
    public override void Fire(string eventType, Contribution contribution)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        var context = UnitParts.Context(
            FLContext.Server, JobId, Seed, Time, Logger, _components, contribution.Site, contribution.TaskName);
        context.Set(ContextKeys.CurrentRound, contribution.Round);
        context.Set(ContextKeys.Contribution, contribution);
        context.Fire(eventType);
    }

    /// <inheritdoc/>
    public override void Fire(string eventType, int round, StateDict model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var context = UnitParts.Context(FLContext.Server, JobId, Seed, Time, Logger, _components);
        context.Set(ContextKeys.CurrentRound, round);
        context.Set(ContextKeys.GlobalModel, model);
        context.Fire(eventType);
    }

    /// <summary>Not here.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override TaskResponses BroadcastAsync(
        FlareTask task, BroadcastOptions? options = null, CancellationToken abort = default) => throw NoTasks();

    /// <summary>Not here.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override TaskResponses BroadcastUntilCancelledAsync(
        FlareTask task, TimeSpan? timeout = null, CancellationToken abort = default) => throw NoTasks();

    /// <summary>Not here.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override Task<Contribution> SendAsync(
        FlareTask task, SendOptions options, CancellationToken abort = default) => throw NoTasks();

    /// <summary>Not here.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override IAsyncEnumerable<Contribution> RelayAsync(
        Func<Contribution?, FlareTask> makeTask, RelayOptions? options = null, CancellationToken abort = default) =>
        throw NoTasks();

    private static NotSupportedException NoTasks() =>
        new($"A {nameof(UnitFederation)} has no sites that do tasks: test what sends them in a {nameof(Simulation)}, "
            + "or in a federation in process.");

    private sealed class EventRecorder : FLComponent
    {
        public List<string> Types { get; } = [];

        protected override void HandleEvent(string eventType, FLContext context) => Types.Add(eventType);
    }
}

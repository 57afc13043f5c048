using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>
/// What a <see cref="Controller"/> works with: the sites, the global model, and the verbs. Use it on the job's loop
/// only. The runtime derives from
/// it; so may a test of a controller.
/// </summary>
public abstract class ControllerContext
{
    /// <summary>The job's id.</summary>
    public abstract string JobId { get; }

    /// <summary>The job's seed.</summary>
    public abstract ulong Seed { get; }

    /// <summary>The names of all sites known now, in the order in which they became known. Sites that join later are
    /// not added to it.</summary>
    public abstract IReadOnlyList<string> Sites { get; }

    /// <summary>The workflow's place among those of the job, from 1.</summary>
    public abstract int WorkflowNumber { get; }

    /// <summary>The global model: the initial one, then that of the last committed round. Frozen.</summary>
    public abstract StateDict Model { get; }

    /// <summary>The last round that is durable; 0 before the first.</summary>
    public abstract int LastCommittedRound { get; }

    /// <summary>The report of the last committed round of this workflow, after a resume too; null before the
    /// first.</summary>
    public abstract RoundReport? LastReport { get; }

    /// <summary>What the workflow keeps from round to round; durable with the next commit.</summary>
    public abstract RunState State { get; }

    /// <summary>A context of the server, for events and properties.</summary>
    public abstract FLContext Context { get; }

    /// <summary>The clock.</summary>
    public abstract TimeProvider Time { get; }

    /// <summary>Where heavy arithmetic runs.</summary>
    public abstract ComputeScheduler Compute { get; }

    /// <summary>Where to log.</summary>
    public abstract ILogger Logger { get; }

    /// <summary>How many large results the server holds at once; an aggregator that folds several together takes no
    /// more.</summary>
    public abstract int MaxConcurrentUploads { get; }

    /// <summary>The run's aggregator: that of an extension of the federation, such as homomorphic encryption, where
    /// there is one. The caller owns it.</summary>
    /// <param name="otherwise">Makes the workflow's own where there is none.</param>
    public abstract Aggregator CreateAggregator(Func<Aggregator> otherwise);

    /// <summary>Sends a task to several sites at once.</summary>
    /// <remarks>
    /// Several tasks may be on their way. A site runs one after the other and keeps a large result until the server
    /// takes it, which is when the
    /// workflow has read those before it: read the answers of tasks that share sites side by side, or in the order in
    /// which you sent them.
    /// </remarks>
    /// <param name="task">The task.</param>
    /// <param name="options">Targets, minimum, times; all sites, all answers and no limit if left out.</param>
    /// <param name="abort">Aborts the task.</param>
    /// <returns>The admitted answers, as they arrive. The task is on its way when this returns.</returns>
    /// <exception cref="ArgumentException">No target, an unknown one, or more responses than targets.</exception>
    public abstract TaskResponses BroadcastAsync(
        FlareTask task, BroadcastOptions? options = null, CancellationToken abort = default);

    /// <summary>
    /// Sends a task again and again: each site gets it anew as soon as it has answered, and sites that join get it
    /// too, until the stream is
    /// left, the time runs out or the job ends (FLARE: broadcast forever).
    /// </summary>
    /// <param name="task">The task.</param>
    /// <param name="timeout">How long at most; null for no limit.</param>
    /// <param name="abort">Aborts the task.</param>
    public abstract TaskResponses BroadcastUntilCancelledAsync(
        FlareTask task, TimeSpan? timeout = null, CancellationToken abort = default);

    /// <summary>Sends a task to one of several sites and waits for its answer. The caller owns the
    /// contribution.</summary>
    /// <param name="task">The task.</param>
    /// <param name="options">The candidates and the times.</param>
    /// <param name="abort">Aborts the task.</param>
    /// <exception cref="TaskFailedException">No candidate took the task, or the one that did gave no answer that
    /// could be admitted.</exception>
    public abstract Task<Contribution> SendAsync(
        FlareTask task, SendOptions options, CancellationToken abort = default);

    /// <summary>
    /// Hands a task from site to site: the next one's task is made from the answer of the one before. A site that
    /// does not take the task or
    /// gives no usable answer is passed over, with the reason in the round's report.
    /// </summary>
    /// <param name="makeTask">Makes the task for the next site from the last answer, which is null for the first. That
    /// answer's tensors stay valid until the next one is there.</param>
    /// <param name="options">Sites and times; all sites once, in order, if left out.</param>
    /// <param name="abort">Aborts the relay.</param>
    /// <exception cref="TaskFailedException">No site at all gave a usable answer. Thrown at the end of the
    /// route.</exception>
    public abstract IAsyncEnumerable<Contribution> RelayAsync(
        Func<Contribution?, FlareTask> makeTask, RelayOptions? options = null, CancellationToken abort = default);

    /// <summary>Makes a round durable and announces it: the model becomes the global one. Where the job keeps a
    /// journal, the round is on disk when this returns.</summary>
    /// <param name="round">The round; greater than <see cref="LastCommittedRound"/>.</param>
    /// <param name="model">The round's model; frozen by this call.</param>
    /// <param name="abort">Aborts before anything is written.</param>
    /// <exception cref="FlareException">The model is not finite, or the journal cannot be written.</exception>
    public Task<RoundReport> CommitAsync(int round, StateDict model, CancellationToken abort = default) =>
        CommitAsync(round, model, new RoundResult(), abort);

    /// <summary>Makes a round durable and announces it, with what the workflow knows of it.</summary>
    /// <param name="round">The round; greater than <see cref="LastCommittedRound"/>.</param>
    /// <param name="model">The round's model; frozen by this call.</param>
    /// <param name="result">Metrics of the model, and whether it is the best so far.</param>
    /// <param name="abort">Aborts before anything is written.</param>
    /// <exception cref="FlareException">The model is not finite, or the journal cannot be written.</exception>
    public abstract Task<RoundReport> CommitAsync(
        int round, StateDict model, RoundResult result, CancellationToken abort = default);

    /// <summary>
    /// Has a round begin again, all answers of which are read: they count no longer. The sites' next tasks go on from
    /// the <see cref="SiteState"/> of before the round, and the round's report is of the tasks that come now.
    /// </summary>
    /// <param name="round">The round; not committed yet.</param>
    public virtual void BeginRoundAgain(int round) { }

    /// <summary>Tells the server's components that something happened.</summary>
    public void Fire(string eventType) => Context.Fire(eventType);

    /// <summary>Tells the server's components that something happened to a contribution: they read it as <see
    /// cref="ContextKeys.Contribution"/>.</summary>
    public abstract void Fire(string eventType, Contribution contribution);

    /// <summary>Tells the server's components that something happened to a global model: they read it as <see
    /// cref="ContextKeys.GlobalModel"/>.</summary>
    public abstract void Fire(string eventType, int round, StateDict model);
}

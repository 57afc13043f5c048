namespace Flare;

/// <summary>
/// A workflow (FLARE: Controller): one asynchronous method at the server that reads like the algorithm's pseudo-code.
/// It runs on the job's loop, so its state needs no locks; heavy arithmetic goes through
/// <see cref="ControllerContext.Compute"/>.
/// </summary>
public abstract class Controller : FLComponent
{
    /// <summary>The workflow's name in messages and logs.</summary>
    public virtual string Name => GetType().Name;

    /// <summary>
    /// What the workflow reads of contributions in plain. One that takes its aggregator from
    /// <see cref="ControllerContext.CreateAggregator"/> and computes with nothing else reads
    /// <see cref="PlaintextAccess.None"/>: then an extension of the federation, such as homomorphic encryption, can
    /// provide it. <see cref="PlaintextAccess.SingleUpdates"/> unless overridden.
    /// </summary>
    public virtual PlaintextAccess PlaintextAccess => PlaintextAccess.SingleUpdates;

    /// <summary>
    /// Which of the workflow's settings have it read what <see cref="PlaintextAccess"/> says, such as
    /// <c>Optimizer (ServerMomentum)</c>, for the message where that cannot be; null, as it is unless overridden, where
    /// it is the workflow itself.
    /// </summary>
    public virtual string? PlaintextReason => null;

    /// <summary>
    /// How many rounds the workflow commits at most, null where that is open. A journal that holds more is refused
    /// before the job counts as complete; one that is complete with fewer says that nothing will be trained. Null
    /// unless overridden.
    /// </summary>
    protected internal virtual int? PlannedRounds => null;

    /// <summary>Runs the workflow to its end. After a resume <see cref="ControllerContext.LastCommittedRound"/> says
    /// where to go on.</summary>
    /// <param name="context">The sites, the model, and the verbs.</param>
    /// <param name="abort">Cancelled when the job is aborted.</param>
    protected abstract Task RunAsync(ControllerContext context, CancellationToken abort);

    private int _inUse;

    /// <summary>Takes the controller for a run; false where another run has it.</summary>
    internal bool TryClaim() => Interlocked.Exchange(ref _inUse, 1) == 0;

    /// <summary>Gives it back, unless it is still at work; false where it is.</summary>
    internal bool Release() => Interlocked.CompareExchange(ref _inUse, 0, 1) != 2;

    /// <summary>The aggregators among its components, which keep a round's sums as it does.</summary>
    internal IReadOnlyList<Aggregator> Aggregators => [.. Components.OfType<Aggregator>()];

    /// <summary>Its run is over, and it goes on all the same: no other run can have it.</summary>
    internal void Abandon() => Volatile.Write(ref _inUse, 2);

    internal Task StartAsync(ControllerContext context, CancellationToken abort) => RunAsync(context, abort);

    /// <summary>Components of the workflow's own, such as its aggregator, that see the server's events as the workflow
    /// itself does. Asked when the job starts.</summary>
    protected internal virtual IEnumerable<FLComponent> Components => [];

    /// <summary>What is wrong with the workflow's settings; nothing where all is well. Asked when the federation is
    /// built.</summary>
    /// <param name="sites">How many sites the federation has.</param>
    protected internal virtual IEnumerable<string> Validate(int sites) => [];
}

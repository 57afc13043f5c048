namespace Flare;

/// <summary>
/// Turns a round's contributions into one update of the global model (FLARE: Aggregator). One instance serves all
/// rounds of a job, one after the other. Its calls come from the job's loop, one at a time; heavy arithmetic goes
/// through the context's compute scheduler.
/// </summary>
public abstract class Aggregator : FLComponent
{
    /// <summary>
    /// Whether it has to see each contribution by itself, as a median does. False for one that makes its result of sums
    /// of contributions: those can be made elsewhere, or under encryption, and <see cref="IMergeableAggregator"/> says
    /// that this one takes them in parts. An extension that hides single updates refuses one that needs them.
    /// </summary>
    public abstract bool NeedsSingleUpdates { get; }

    /// <summary>Begins a round; what an abandoned round left is dropped.</summary>
    /// <param name="context">The model (of another named set of tensors: that set's tensors), the compute
    /// scheduler.</param>
    /// <param name="round">The round.</param>
    public abstract void Begin(ControllerContext context, int round);

    /// <summary>
    /// What is wrong with the settings, as far as it can be known before there are sites; nothing where all is well.
    /// Asked when the federation is built.
    /// </summary>
    public virtual IEnumerable<string> Validate() => [];

    /// <summary>Lets the aggregator state what contributions must be like, beyond what the workflow asks for.</summary>
    /// <param name="contract">The workflow's contract.</param>
    public virtual ResultContract Refine(ResultContract contract) => contract;

    /// <summary>
    /// Takes a contribution whole, or refuses it whole through <see cref="Contribution.Reject"/>. To use its tensors
    /// after the call, retain it, and dispose of it when done.
    /// </summary>
    /// <param name="contribution">An admitted contribution.</param>
    /// <param name="abort">Aborts the round.</param>
    public abstract ValueTask AcceptAsync(Contribution contribution, CancellationToken abort);

    /// <summary>
    /// What there is to say of the round last completed, for its report beside the model's metrics; names that start
    /// with the aggregator's kind, such as <c>encryption.bytes_up</c>. Empty unless overridden.
    /// </summary>
    public virtual IReadOnlyDictionary<string, double> RoundMetrics => new Dictionary<string, double>();

    /// <summary>
    /// True when the accepted contributions cannot form a model but a repeated round could. A workflow then begins the
    /// round again instead of completing it. False unless overridden.
    /// </summary>
    public virtual bool MustRepeat => false;

    /// <summary>
    /// Why <see cref="MustRepeat"/> is true, and what keeps it from happening again: for the round's report. Null
    /// unless overridden.
    /// </summary>
    public virtual string? RepeatReason => null;

    /// <summary>The new global model, made from what was accepted.</summary>
    /// <exception cref="FlareException">Nothing was accepted, or the result cannot be formed.</exception>
    public abstract ValueTask<StateDict> CompleteAsync(CancellationToken abort);
}

namespace Flare.Crypto;

/// <summary>
/// The server's side of encryption: adds what sites encrypted, as it comes, and never holds a key. The new global model
/// is the ciphertext of the weighted sum with a description that lets a key holder open it; the tensors that a partial
/// encryption leaves in the clear are averaged exactly. The weight of a site is its training steps.
/// <para>Every task carries the round's agreement: policy, key, round and weight reference. Contributions under another
/// are refused by name, and so are those for another round or site, of another length, or with a seed that the sum has
/// already.</para>
/// <para>All that goes from round to round is in the model itself, so that a resumed job goes on as if nothing had
/// happened.</para>
/// <para>Memory: 16 bytes a coefficient of the exact scheme, 5.3 bytes a parameter at 3 a coefficient; 128 bytes a
/// parameter with CKKS. Not for concurrent use.</para>
/// </summary>
public sealed class EncryptedAggregator : Aggregator, IDisposable
{
    private const int MostRepeats = 3; // of a round whose sites took too few steps for its reference

    private readonly SumScheme _scheme;
    private readonly Lock _gate = new();
    private KeyId _key;
    private ControllerContext? _context;
    private ModelPlan? _plan;
    // Of the plan; kept from round to round, since it holds a model's worth of memory
    private ExactSum? _clear;
    private EncryptedRound? _round;
    private int _repeats;
    private IReadOnlyDictionary<string, double> _metrics = new Dictionary<string, double>();

    /// <summary>An aggregator of one workflow.</summary>
    /// <param name="policy">The federation's policy.</param>
    /// <param name="key">The key that sites encrypt under, by its public id.</param>
    /// <exception cref="ArgumentException">The policy is not usable.</exception>
    public EncryptedAggregator(EncryptionPolicy policy, KeyId key) => (_scheme, _key) = (SumScheme.For(policy), key);

    /// <summary>
    /// The key that sites encrypt under, by its public id. To rotate, have all sites add the new key to their rings by
    /// <see cref="KeyRing.AddNext"/>, then set its id here: from the next round on it is announced, and sites move to
    /// it. Any thread may set it.
    /// </summary>
    public KeyId Key
    {
        get
        {
            lock (_gate) return _key;
        }
        set
        {
            lock (_gate) _key = value;
        }
    }

    /// <summary>
    /// Of the round last completed: <c>encryption.bytes_up</c>, the ciphertexts of all sites; <c>encryption.seconds</c>
    /// and <c>encryption.decrypt_seconds</c>, what sites say that encrypting and opening took them together, to the
    /// millisecond; <c>encryption.clipped</c>, values that were clipped; <c>encryption.quantum</c>, what the model's
    /// values are multiples of.
    /// </summary>
    public override IReadOnlyDictionary<string, double> RoundMetrics => _metrics;

    /// <summary>False: it adds what it cannot read.</summary>
    public override bool NeedsSingleUpdates => false;

    /// <inheritdoc/>
    public override void Begin(ControllerContext context, int round)
    {
        ArgumentNullException.ThrowIfNull(context);
        _context = context;
        var model = context.Model;
        var before = EncryptedModel.Is(model) ? EncryptedModel.Read(model, _scheme) : null;
        if (before is not null && before.Job != context.JobId)
            throw new FlareCryptoException(
                CryptoFault.WrongRound,
                $"The initial model was encrypted by job '{before.Job}': open it "
                    + "with that job's key, and start from the plain model.");
        var plan = PlanFor(before, model.Layout, context.Compute);
        var number = (before?.Number ?? 0) + 1;
        // Trained, and not enough
        var left = _round is { Steps: > 0 } last && last.Agreement.Number == number ? last : null;
        _repeats = left is null ? 0 : _repeats + 1;
        var reference =
            (left?.MostSteps ?? before?.MostSteps) * 2L ?? _scheme.Policy.FirstRoundSteps;
        var agreement = new RoundAgreement(
            _scheme.PolicyFingerprint, Key, number, RoundAgreement.ReferenceFor(reference));
        _clear?.Reset();
        _round = new(plan, agreement, context.JobId, _clear, context.Compute);
        agreement.Publish(context.Context);
    }

    /// <inheritdoc/>
    public override ResultContract Refine(ResultContract contract)
    {
        ArgumentNullException.ThrowIfNull(contract);
        var round = Round;
        return contract with
        {
            Kinds = [DataKind.Weights],
            Layout = null,
            RequireNumSteps = true,
            Rule = c => round.Refuse(c) ?? contract.Rule?.Invoke(c),
        };
    }

    /// <inheritdoc/>
    public override async ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        if (await Round.AddAsync(contribution) is { } refusal) contribution.Reject(refusal);
        else abort.ThrowIfCancellationRequested();
    }

    /// <summary>
    /// Whether the sites took so much less steps than the round was prepared for that their mean would lose more than
    /// eight bits: the round is repeated with a reference that fits.
    /// </summary>
    public override bool MustRepeat => _round is { IsTooCoarse: true } && _repeats < MostRepeats;

    /// <inheritdoc/>
    public override string? RepeatReason => MustRepeat
        ? $"its sites took {_round!.Steps} steps together, too few for the weight reference of "
            + $"{_round.Agreement.Reference}. Set "
            + $"{nameof(EncryptionPolicy)}.{nameof(EncryptionPolicy.FirstRoundSteps)} to about "
            + "the steps of the site that takes the most, for that of the first round; that of a later one follows"
            + " the round before it, so have the sites take about as many steps in every round"
        : null;

    /// <inheritdoc/>
    public override async ValueTask<StateDict> CompleteAsync(CancellationToken abort)
    {
        var round = Round;
        if (round.Count == 0)
            throw new FlareException(
                ErrorIds.NothingToAggregate,
                "There is nothing to aggregate: no encrypted contribution was accepted. "
                    + "The round's report says why each was refused.");
        if (round.Count < _scheme.Policy.MinSites)
            throw new FlareException(
                ErrorIds.Aggregation,
                $"The sum of {round.Count} sites is not made: sites open none of fewer than {_scheme.Policy.MinSites}. "
                    + "Set the workflow's MinSites to no less than the policy's.");
        if (round.IsTooCoarse)
            throw new FlareException(
                ErrorIds.Aggregation,
                $"The sites' {round.Steps} steps are too few for the round's weight reference "
                    + $"of {round.Agreement.Reference}: the mean would be of multiples of "
                    + $"{Readable.Format(round.Quantum, "G3")}. Repeat the round, as "
                    + $"ScatterAndGather does where the aggregator says {nameof(MustRepeat)}; "
                    + "or have the sites take about as many steps in every round.");
        var global = _context!.Model;
        var model = await _context.Compute.RunAsync(() => round.Complete(global));
        _metrics = round.Metrics();
        _round = null;
        return model;
    }

    /// <summary>Gives the accumulators' memory back.</summary>
    public void Dispose()
    {
        _clear?.Dispose();
        (_clear, _plan, _round) = (null, null, null);
    }

    private EncryptedRound Round =>
        _round ?? throw new InvalidOperationException("Call Begin before a round's first contribution.");

    // An encrypted model's own plan; a plain one's is kept while the layout stays.
    private ModelPlan PlanFor(EncryptedModel? before, TensorLayout model, ComputeScheduler compute)
    {
        if (_plan is not null && _plan.Model.Equals(before?.Plan.Model ?? model)) return _plan;
        _clear?.Dispose();
        _plan = before?.Plan ?? new ModelPlan(model, _scheme);
        _clear = _plan.Plain.Count > 0 ? new ExactSum(_plan.Plain, default, compute) : null;
        return _plan;
    }
}

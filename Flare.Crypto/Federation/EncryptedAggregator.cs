using Flare.Runtime;

namespace Flare.Crypto;

/// <summary>
/// The server's side of encryption: adds what sites encrypted, as it comes, and never holds a key. The new global model is the ciphertext of the
/// weighted sum with a description that lets a key holder open it; the tensors that a partial encryption leaves in the clear are
/// averaged exactly. The weight of a site is its training steps.
/// <para>Every task carries the round's agreement: policy, key, round and weight reference. Contributions under another are refused by name, and so
/// are those for another round or site, of another length, or with a seed that the sum has already.</para>
/// <para>All that goes from round to round is in the model itself, so that a resumed job goes on as if nothing had happened.</para>
/// <para>Memory: 16 bytes a coefficient of the exact scheme, 5.3 bytes a parameter at 3 a coefficient; 128 bytes a parameter with CKKS. Not for concurrent
/// use.</para>
/// </summary>
public sealed class EncryptedAggregator : Aggregator, IDisposable
{
    // How many times the reference may exceed the steps of all sites together, and how often a round is repeated for that.
    private const int MaxCoarsening = 256;
    private const int MostRepeats = 3;

    private readonly SumScheme _scheme;
    private readonly Lock _gate = new();
    private readonly List<Member> _members = [];
    private long _steps;
    private int _repeats;
    private ControllerContext? _federation;
    private ModelPlan? _plan;
    private PartSum[] _sums = [];
    private ExactSum? _mean;
    private RoundAgreement? _agreement;
    private KeyId _key;
    private int _mostSteps;
    private long _mostRefused;
    private long _bytes, _clipped;
    private double _seconds, _decryptSeconds;
    private Dictionary<string, double> _metrics = [];

    /// <summary>An aggregator of one workflow.</summary>
    /// <param name="policy">The federation's policy.</param>
    /// <param name="key">The key that sites encrypt under, by its public id.</param>
    /// <exception cref="ArgumentException">The policy is not usable.</exception>
    public EncryptedAggregator(EncryptionPolicy policy, KeyId key) => (_scheme, _key) = (SumScheme.For(policy), key);

    /// <summary>
    /// The key that sites encrypt under, by its public id. To rotate, have all sites add the new key to their rings, then set its id here: from the
    /// next round on it is announced, and sites move to it. Any thread may set it.
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
    /// Of the round last completed: <c>encryption.bytes_up</c>, the ciphertexts of all sites; <c>encryption.seconds</c> and
    /// <c>encryption.decrypt_seconds</c>, what sites say that encrypting and opening took them together, to the millisecond; <c>encryption.clipped</c>, values that were
    /// clipped; <c>encryption.quantum</c>, what the model's values are multiples of.
    /// </summary>
    public override IReadOnlyDictionary<string, double> RoundMetrics => _metrics;

    /// <inheritdoc/>
    public override void Begin(ControllerContext federation, int round)
    {
        ArgumentNullException.ThrowIfNull(federation);
        _federation = federation;
        _members.Clear();
        (_bytes, _clipped, _seconds, _decryptSeconds) = (0, 0, 0, 0);
        var before = EncryptedModel.Is(federation.Model) ? EncryptedModel.Read(federation.Model, _scheme) : null;
        if (before is not null && before.Job != federation.JobId)
            throw new FlareCryptoException(CryptoFault.WrongRound, $"The initial model was encrypted by job '{before.Job}': open it with that job's key, and start from the plain model.");
        if (_plan is null || before is not null || !_plan.Model.Equals(federation.Model.Layout)) SetPlan(before?.Plan ?? new ModelPlan(federation.Model.Layout, _scheme));
        _mean?.Reset();
        var number = (before?.Number ?? 0) + 1;
        var isRepeated = _agreement?.Number == number && _steps > 0;
        _repeats = isRepeated ? _repeats + 1 : 0;
        var reference = RoundAgreement.ReferenceFor(isRepeated ? 2L * MostSteps : before is null ? _scheme.Policy.FirstRoundSteps : 2L * before.MostSteps);
        (_mostSteps, _mostRefused, _steps) = (1, 0, 0);
        var agreement = new RoundAgreement(_scheme.PolicyFingerprint, Key, number, reference);
        var plan = _plan!;
        _sums = [.. Enumerable.Range(0, plan.Parts).Select(part => _scheme.CreateSum(plan.Label(federation.JobId, agreement.Number, reference, part), agreement.Key, plan.ElementsOf(part)))];
        _agreement = agreement;
        agreement.Publish(federation.Context);
    }

    /// <inheritdoc/>
    public override ResultContract Refine(ResultContract contract)
    {
        ArgumentNullException.ThrowIfNull(contract);
        return contract with { Kinds = [DataKind.Weights], Layout = null, RequireNumSteps = true, Rule = c => Refuse(c) ?? contract.Rule?.Invoke(c) };
    }

    /// <inheritdoc/>
    public override async ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        var compute = Federation.Compute;
        var member = new Member(contribution.Site, (int)contribution.NumSteps!.Value);
        try
        {
            await compute.RunAsync(() => Add(contribution.Tensors, member, compute));
        }
        catch (Exception e) when (e is FlareCryptoException or RefusedContributionException)
        {
            contribution.Reject(e.Message);
            return;
        }
        _members.Add(member);
        _mostSteps = Math.Max(_mostSteps, member.Steps);
        _steps += member.Steps;
        for (var part = 0; part < _sums.Length; part++) _bytes += contribution.Tensors.Layout[part].ByteLength;
        _clipped += (long)NumberOf(contribution, EncryptionMeta.Clipped);
        _seconds += NumberOf(contribution, EncryptionMeta.Seconds);
        _decryptSeconds += NumberOf(contribution, EncryptionMeta.DecryptSeconds);
        abort.ThrowIfCancellationRequested();
    }

    /// <summary>
    /// Whether the sites took so much less steps than the round was prepared for that their mean would lose more than eight bits: the round is repeated
    /// with a reference that fits.
    /// </summary>
    public override bool MustRepeat => IsTooCoarse && _repeats < MostRepeats;

    private bool IsTooCoarse => _members.Count >= _scheme.Policy.MinSites && _steps * MaxCoarsening < _agreement!.Reference;

    /// <inheritdoc/>
    public override async ValueTask<StateDict> CompleteAsync(CancellationToken abort)
    {
        var (plan, agreement) = (_plan!, _agreement!);
        if (_members.Count == 0) throw new FlareException(ErrorIds.NothingToAggregate, "There is nothing to aggregate: no encrypted contribution was accepted. The round's report says why each was refused.");
        if (_members.Count < _scheme.Policy.MinSites)
            throw new FlareException(ErrorIds.Aggregation, $"The sum of {_members.Count} sites is not made: sites open none of fewer than {_scheme.Policy.MinSites}. Set the workflow's MinSites to no less than the policy's.");
        if (IsTooCoarse)
            throw new FlareException(ErrorIds.Aggregation, $"The sites' {_steps} steps are too few for the round's weight reference of {agreement.Reference}: the mean would be of multiples of {_scheme.Resolution / ModelCipher.Divisor(_members, agreement.Reference):G3}. Repeat the round, as ScatterAndGather does where the aggregator says {nameof(MustRepeat)}; or have the sites take about as many steps in every round.");
        var global = Federation.Model;
        var model = await Federation.Compute.RunAsync(() => Complete(plan, agreement, global));
        var divisor = ModelCipher.Divisor(_members, agreement.Reference);
        _metrics = new(StringComparer.Ordinal)
        {
            ["encryption.bytes_up"] = _bytes,
            ["encryption.seconds"] = Math.Round(_seconds, 3),
            ["encryption.decrypt_seconds"] = Math.Round(_decryptSeconds, 3),
            ["encryption.clipped"] = _clipped,
            ["encryption.quantum"] = _scheme.Resolution / divisor,
        };
        _sums = [];
        return model;
    }

    /// <summary>Gives the accumulators' memory back.</summary>
    public void Dispose()
    {
        _mean?.Dispose();
        (_mean, _plan, _sums) = (null, null, []);
    }

    private ControllerContext Federation => _federation ?? throw new InvalidOperationException("Call Begin before a round's first contribution.");

    private void SetPlan(ModelPlan plan)
    {
        if (_plan?.Model.Equals(plan.Model) == true) return;
        _mean?.Dispose();
        _plan = plan;
        _mean = plan.Plain.Count > 0 ? new ExactSum(plan.Plain, default, Federation.Compute) : null;
    }

    // What the next round's weight reference follows. A site that was refused gets room, but no site can claim so many steps that the others'
    // weights lose their bits: at most eight times what an accepted one took.
    private int MostSteps => (int)Math.Min(EncryptionPolicy.MaxSteps, Math.Max(_mostSteps, Math.Min(_mostRefused, 8L * _mostSteps)));

    private string? Refuse(Contribution contribution)
    {
        var (plan, agreement) = (_plan!, _agreement!);
        var steps = contribution.NumSteps!.Value;
        if (steps > agreement.Reference)
        {
            // The next round has room for it: the site is left out once, not for ever.
            _mostRefused = Math.Max(_mostRefused, steps);
            return $"it took {steps} steps, above the round's weight reference of {agreement.Reference}"
                + (steps > EncryptionPolicy.MaxSteps ? $"; at most {EncryptionPolicy.MaxSteps} are possible" : $"; set {nameof(EncryptionPolicy.FirstRoundSteps)} to at least that. The next round has room for it");
        }
        if (!contribution.Data!.TryGetMeta(MetaKey.ProcessedAlgorithm, out var algorithm) || algorithm.Kind != FlareValueKind.Text || algorithm.AsText() != _scheme.Algorithm)
            return $"it is not encrypted with {_scheme.Algorithm}; add an {nameof(EncryptFilter)} with the federation's policy at the site";
        if (!contribution.Data.HasTensors) return "it carries no tensors";
        var actual = contribution.Tensors.Layout;
        var lengths = new long[plan.Parts];
        for (var part = 0; part < plan.Parts; part++)
        {
            if (part >= actual.Count || actual[part] is not { DType: DType.UInt8, Shape.Length: 1 }) return $"its tensor {part} is not the ciphertext of part {part}";
            lengths[part] = actual[part].Length;
        }
        return actual.DifferenceFrom(new TensorLayout(EncryptedModel.UploadSpecs(plan, part => lengths[part]))) is { } difference ? $"its layout differs from what the round expects: {difference}" : null;
    }

    // Everything is looked at before anything is added: a contribution is taken whole or not at all.
    private void Add(StateDict upload, Member member, ComputeScheduler compute)
    {
        for (var part = 0; part < _sums.Length; part++)
        {
            var bytes = upload[part].AsReadOnlySpan<byte>();
            var members = _scheme.ReadHeader(bytes).Members;
            if (members.Count != 1 || members[0] != member.ToString())
                throw new FlareCryptoException(CryptoFault.WrongSites, $"The upload is of {string.Join(", ", members.Take(4))}, where {member} has sent it.");
            _sums[part].Check(bytes, compute.ForEachPart);
        }
        if (_mean is not null)
        {
            using var plain = upload.Select(t => !EncryptedModel.IsReserved(t.Name));
            _mean.Add(plain, member.Steps);
        }
        for (var part = 0; part < _sums.Length; part++) _sums[part].Add(upload[part].AsReadOnlySpan<byte>(), compute.ForEachPart);
    }

    private StateDict Complete(ModelPlan plan, RoundAgreement agreement, StateDict global)
    {
        var described = new EncryptedModel { Plan = plan, Job = Federation.JobId, Number = agreement.Number, Reference = agreement.Reference, MostSteps = MostSteps };
        var model = described.Create(part => _sums[part].SumBytes);
        for (var part = 0; part < _sums.Length; part++) _sums[part].Write(model[EncryptedModel.PartName(part)].AsSpan<byte>(), Federation.Compute.ForEachPart);
        if (_mean is not null)
        {
            // What has no mean, such as a bool, keeps its global value.
            using var mean = global.Select(t => plan.Plain.IndexOf(t.Name) >= 0);
            _mean.Complete(mean);
            plan.CopyPlain(mean, model);
        }
        return model;
    }

    private static double NumberOf(Contribution contribution, MetaKey key) =>
        contribution.Data!.TryGetMeta(key, out var value) && value.Kind is FlareValueKind.Number or FlareValueKind.Integer && value.AsNumber() is >= 0 and < 1e15 and var number ? number : 0;
}

namespace Flare.Crypto;

/// <summary>
/// The server's side of one round: the sums, who is in them, and what sites said of their work. Begun by an
/// <see cref="EncryptedAggregator"/> with the round, and dropped with it.
/// </summary>
internal sealed class EncryptedRound
{
    // How many times the reference may exceed the steps of all sites together.
    private const int MaxCoarsening = 256;

    private readonly SumScheme _scheme;
    private readonly ComputeScheduler _compute;
    private readonly ExactSum? _clear;
    private readonly PartSum[] _sums;
    private readonly List<Member> _members = [];
    private long _steps, _bytes, _clipped;
    private double _seconds, _decryptSeconds;
    private int _mostSteps = 1;
    private long _mostRefused;

    /// <summary>Begins a round.</summary>
    /// <param name="plan">Of the model.</param>
    /// <param name="agreement">What the sites are told.</param>
    /// <param name="job">The job.</param>
    /// <param name="clear">The mean of what travels in the clear, empty; null where nothing does. It stays the
    /// caller's.</param>
    /// <param name="compute">Where sums are made.</param>
    public EncryptedRound(
        ModelPlan plan, RoundAgreement agreement, string job, ExactSum? clear, ComputeScheduler compute)
    {
        (Plan, Agreement, Job, _scheme, _clear, _compute) = (plan, agreement, job, plan.Scheme, clear, compute);
        _sums = new PartSum[plan.Parts];
        for (var part = 0; part < _sums.Length; part++)
            _sums[part] = _scheme.CreateSum(
                plan.Label(job, agreement.Number, agreement.Reference, part), agreement.Key, plan.ElementsOf(part));
    }

    public ModelPlan Plan { get; }

    public RoundAgreement Agreement { get; }

    public string Job { get; }

    /// <summary>How many sites are in the sum.</summary>
    public int Count => _members.Count;

    /// <summary>The steps of all sites in the sum.</summary>
    public long Steps => _steps;

    /// <summary>Whether the sites took so few steps that their mean would lose more than eight bits.</summary>
    public bool IsTooCoarse
        => _members.Count >= _scheme.Policy.MinSites && _steps * MaxCoarsening < Agreement.Reference;

    /// <summary>What the mean's values are multiples of.</summary>
    public double Quantum => _scheme.Resolution / ModelCipher.Divisor(_members, Agreement.Reference);

    /// <summary>
    /// What the next round's weight reference follows. A site that was refused gets room, but no site can claim so many
    /// steps that the others' weights lose their bits: at most eight times what an accepted one took.
    /// </summary>
    public int MostSteps =>
        (int)Math.Min(EncryptionPolicy.MaxSteps, Math.Max(_mostSteps, Math.Min(_mostRefused, 8L * _mostSteps)));

    /// <summary>
    /// Why a contribution is not of the form that the round expects; null where it is. One of too many steps is, though
    /// it brings no tensors: <see cref="AddAsync"/> has to see it, and refuses it.
    /// </summary>
    public string? Refuse(Contribution contribution)
    {
        if (contribution.NumSteps > Agreement.Reference) return null;
        if (!contribution.Data!.TryGetMeta(MetaKey.ProcessedAlgorithm, out var algorithm)
            || algorithm.Kind != FlareValueKind.Text || algorithm.AsText() != _scheme.Algorithm)
            return $"it is not encrypted with {_scheme.Algorithm}; "
                + $"add an {nameof(EncryptFilter)} with the federation's policy at the site";
        if (!contribution.Data.HasTensors) return "it carries no tensors";
        var actual = contribution.Tensors.Layout;
        var lengths = new long[Plan.Parts];
        for (var part = 0; part < Plan.Parts; part++)
        {
            if (part >= actual.Count || actual[part] is not { DType: DType.UInt8, Shape.Length: 1 })
                return $"its tensor {part} is not the ciphertext of part {part}";
            lengths[part] = actual[part].Length;
        }
        var expected = new TensorLayout(EncryptedModel.UploadSpecs(Plan, part => lengths[part]));
        return actual.DifferenceFrom(expected) is { } difference
            ? $"its layout differs from what the round expects: {difference}"
            : null;
    }

    /// <summary>Takes a contribution, of the right form, whole or not at all.</summary>
    /// <returns>Why it was not taken; null where it was.</returns>
    public async ValueTask<string?> AddAsync(Contribution contribution)
    {
        var steps = contribution.NumSteps!.Value;
        if (steps > Agreement.Reference)
        {
            // The next round has room for it: the site is left out once, not for ever.
            _mostRefused = Math.Max(_mostRefused, steps);
            return $"it took {Readable.Count(steps, "step")}, above the round's weight reference of "
                + $"{Readable.Format(Agreement.Reference, "D")}" + RoomFor(steps);
        }
        var member = new Member(contribution.Site, (int)steps);
        if (await _compute.RunAsync(() => TryAdd(contribution, member)) is { } refusal) return refusal;
        _members.Add(member);
        _mostSteps = Math.Max(_mostSteps, member.Steps);
        _steps += member.Steps;
        for (var part = 0; part < _sums.Length; part++) _bytes += contribution.Tensors.Layout[part].ByteLength;
        _clipped += (long)NumberOf(contribution, EncryptionMeta.Clipped);
        _seconds += NumberOf(contribution, EncryptionMeta.Seconds);
        _decryptSeconds += NumberOf(contribution, EncryptionMeta.DecryptSeconds);
        return null;
    }

    // What gives a site room that took more steps than the round was prepared for.
    private string RoomFor(long steps)
    {
        if (steps > EncryptionPolicy.MaxSteps)
            return $"; at most {Readable.Count(EncryptionPolicy.MaxSteps, "step")} a round are possible";
        const string next = "The next round has room for the site";
        return Agreement.Number == 1
            ? $", which follows {nameof(EncryptionPolicy)}.{nameof(EncryptionPolicy.FirstRoundSteps)}. {next}; set "
                + $"that to {Readable.Format(steps, "D")} or more for the first one to have it, too"
            : ", which is that of twice the most steps of the round before. " + next;
    }

    /// <summary>Makes the new model.</summary>
    /// <param name="global">The one before, for what has no mean.</param>
    public StateDict Complete(StateDict global)
    {
        var described = new EncryptedModel
        {
            Plan = Plan,
            Job = Job,
            Number = Agreement.Number,
            Reference = Agreement.Reference,
            MostSteps = MostSteps,
        };
        var model = described.Create(part => _sums[part].SumBytes);
        for (var part = 0; part < _sums.Length; part++)
            _sums[part].Write(model[EncryptedModel.PartName(part)].AsSpan<byte>(), _compute.ForEachPart);
        if (_clear is not null)
        {
            // What has no mean, such as a bool, keeps its global value.
            using var mean = global.Select(t => Plan.Plain.IndexOf(t.Name) >= 0);
            _clear.Complete(mean);
            Plan.CopyPlain(mean, model);
        }
        return model;
    }

    /// <summary>What there is to say of the round, once it is complete.</summary>
    public Dictionary<string, double> Metrics() => new(StringComparer.Ordinal)
    {
        ["encryption.bytes_up"] = _bytes,
        ["encryption.seconds"] = Math.Round(_seconds, 3),
        ["encryption.decrypt_seconds"] = Math.Round(_decryptSeconds, 3),
        ["encryption.clipped"] = _clipped,
        ["encryption.quantum"] = Quantum,
    };

    // Everything is looked at before anything is added. What reading a stranger's bytes throws, of whatever type, is
    // the upload's fault, and no reason to end the job; what adding throws afterwards would be ours.
    private string? TryAdd(Contribution contribution, Member member)
    {
        StateDict upload;
        StateDict? clear = null;
        try
        {
            try
            {
                upload = contribution.Tensors;
                Check(upload, member);
                clear = _clear is null ? null : upload.Select(t => !EncryptedModel.IsReserved(t.Name));
            }
            catch (Exception e)
            {
                return e is FlareCryptoException ? e.Message : $"reading it threw {e.GetType().Name}: {e.Message}";
            }
            try
            {
                if (clear is not null) _clear!.Add(clear, member.Steps);
            }
            catch (RefusedContributionException e)
            {
                return e.Message;
            }
        }
        finally
        {
            clear?.Dispose();
        }
        for (var part = 0; part < _sums.Length; part++)
            _sums[part].Add(upload[part].AsReadOnlySpan<byte>(), _compute.ForEachPart);
        return null;
    }

    private void Check(StateDict upload, Member member)
    {
        for (var part = 0; part < _sums.Length; part++)
        {
            var bytes = upload[part].AsReadOnlySpan<byte>();
            var members = _scheme.ReadHeader(bytes).Members;
            if (members.Count != 1 || members[0] != member.ToString())
                throw new FlareCryptoException(
                    CryptoFault.WrongSites, $"The upload is of {string.Join(
                        ", ", members.Take(4))}, where {member} has sent it.");
            _sums[part].Check(bytes, _compute.ForEachPart);
        }
    }

    private static double NumberOf(Contribution contribution, MetaKey key) =>
        contribution.Data!.TryGetMeta(key, out var value)
            && value.Kind is FlareValueKind.Number or FlareValueKind.Integer
            && value.AsNumber() is >= 0 and < 1e15 and var number ? number : 0;
}

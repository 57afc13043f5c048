namespace Flare.Crypto;

/// <summary>
/// A site's filter on task data: opens the encrypted global model, so that the executor sees plain weights. Add it with
/// <see cref="SiteDefinition.AddOutermostFilter"/> at <see cref="FilterPlace.SiteIn"/>, for all tasks, with an
/// <see cref="EncryptFilter"/> at <see cref="FilterPlace.SiteOut"/>.
/// <para>It fails closed. The task must bring the agreement on encryption, under this site's own policy and a key of
/// its ring. A sum opens only if it is of this job and of the uploads it names, no more of them than the policy's
/// <see cref="EncryptionPolicy.MaxSites"/> and no fewer than its <see cref="EncryptionPolicy.MinSites"/>, and its round
/// is the one before the task's (or the task's own, when the new model is measured), which never goes back. Plain
/// weights are taken in the job's first round only. CKKS authenticates nothing: a sum's names are then the server's
/// word.</para>
/// </summary>
public sealed class DecryptFilter : Filter, IDisposable
{
    internal static readonly FLContextKey<OpenTask> Seen = new("flare.encryption.task");

    private readonly ModelCipher _cipher;
    private readonly bool _owned;
    private long _number;

    /// <summary>A site's filter.</summary>
    /// <param name="policy">The site's own policy.</param>
    /// <param name="keys">The site's keys; they stay their owner's, and must outlive the filter.</param>
    /// <exception cref="ArgumentException">The policy is not usable.</exception>
    public DecryptFilter(EncryptionPolicy policy, KeyRing keys) : this(
        new ModelCipher(SumScheme.For(policy), NotNull(keys))) => _owned = true;

    internal DecryptFilter(ModelCipher cipher) => _cipher = cipher;

    /// <inheritdoc/>
    public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(message);
        ArgumentNullException.ThrowIfNull(context);
        var data = message.ContentType == ContentTypes.Dxo ? Dxo.From(message) : null;
        if (data is not { HasTensors: true }) return ValueTask.FromResult(message);

        var agreement = RoundAgreement.Of(context);
        Check(agreement);
        var task = EncryptedModel.Is(data.Tensors)
            ? Open(data.Tensors, agreement, context)
            : TakePlain(data.Tensors, agreement);
        _number = agreement.Number;
        context.Set(Seen, task);

        return ValueTask.FromResult(message.With(new Dxo(data.Kind, task.Model, data.Values, data.Meta)));
    }

    /// <summary>Overwrites what was derived from keys.</summary>
    public void Dispose()
    {
        if (_owned) _cipher.Dispose();
    }

    private void Check(RoundAgreement agreement)
    {
        if (agreement.Policy != _cipher.Scheme.PolicyFingerprint)
            throw new FlareCryptoException(
                CryptoFault.WrongParameters,
                $"The round is under encryption policy {agreement.Policy}, this site's is "
                    + $"{_cipher.Scheme.PolicyFingerprint}: give all sites and the server the same EncryptionPolicy.");
        if (!_cipher.Keys.TryMoveTo(agreement.Key))
            throw new FlareCryptoException(CryptoFault.WrongKey, _cipher.Keys.TryGet(agreement.Key, out _)
                ? $"The round is under key {agreement.Key}, which this site has given up for "
                    + $"{_cipher.Keys.Current.Id}, or was never to move to: "
                    + $"{nameof(KeyRing)}.{nameof(KeyRing.AddNext)} lets rounds move to a key."
                : $"The round is under key {agreement.Key}, which is not in this site's key ring: add it by "
                    + $"{nameof(KeyRing)}.{nameof(KeyRing.AddNext)}.");
        if (agreement.Number < _number)
            throw new FlareCryptoException(
                CryptoFault.WrongRound,
                $"The task is of the job's round {agreement.Number}, and this site has seen round {_number}: rounds "
                    + "do not go back. Start the job anew under another id.");
    }

    private OpenTask Open(StateDict model, RoundAgreement agreement, FLContext context)
    {
        var opened = _cipher.Open(model, context.Time, context.Compute.ForEachPart);
        if (opened.Job != context.JobId)
            throw new FlareCryptoException(
                CryptoFault.WrongRound, $"The task's model is of job '{opened.Job}', not of '{context.JobId}'.");
        if (opened.Number != agreement.Number - 1
            && (opened.Number != agreement.Number || context.TaskName == TaskNames.Train))
            throw new FlareCryptoException(
                CryptoFault.WrongRound,
                $"The task's model is of the job's round {opened.Number}, where the task is of round "
                    + $"{agreement.Number}.");
        if (opened.Members.Count < _cipher.Scheme.Policy.MinSites)
            throw new FlareCryptoException(
                CryptoFault.WrongSites,
                $"The task's model is the sum of {opened.Members.Count} sites, and this site opens none of fewer than "
                    + $"{_cipher.Scheme.Policy.MinSites}.");
        return new(agreement, opened.Model, opened.TakeSeconds());
    }

    private static OpenTask TakePlain(StateDict model, RoundAgreement agreement) => agreement.Number == 1
        ? new(agreement, model, 0)
        : throw new FlareCryptoException(
            CryptoFault.WrongRound,
            $"The task of the job's round {agreement.Number} brings a plain model; only the first round may.");

    private static KeyRing NotNull(KeyRing keys)
    {
        ArgumentNullException.ThrowIfNull(keys);
        return keys;
    }
}

/// <summary>What the filter on the way in leaves for the one on the way out.</summary>
/// <param name="Agreement">The round.</param>
/// <param name="Model">The model that the task brought, opened.</param>
/// <param name="Seconds">How long opening it took.</param>
internal sealed record OpenTask(RoundAgreement Agreement, StateDict Model, double Seconds);

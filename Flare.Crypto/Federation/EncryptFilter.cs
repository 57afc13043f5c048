namespace Flare.Crypto;

/// <summary>
/// A site's filter on results: encrypts what was trained. Add it with <see cref="SiteDefinition.AddOutermostFilter"/>
/// at <see cref="FilterPlace.SiteOut"/>, for all tasks, so that other filters see values, with a
/// <see cref="DecryptFilter"/> at <see cref="FilterPlace.SiteIn"/>.
/// <para>It fails closed: without an agreement, a key, steps, or finite values within the policy's
/// <see cref="EncryptionPolicy.Range"/>, nothing is sent; and no tensor leaves the site in another place of an answer
/// or in the answer to another task than <see cref="TaskNames.Train"/>. Metrics and training steps travel in the
/// clear.</para>
/// <para>A weight difference becomes weights first, since encrypted sums of weights need nothing but themselves to be
/// opened. Then every value is multiplied with steps / reference, once, and encrypted.</para>
/// </summary>
public sealed class EncryptFilter : Filter, IDisposable
{
    private readonly ModelCipher _cipher;
    private readonly bool _owned;
    private ModelPlan? _plan;

    /// <summary>A site's filter.</summary>
    /// <param name="policy">The site's own policy.</param>
    /// <param name="keys">The site's keys; they stay their owner's, and must outlive the filter.</param>
    /// <exception cref="ArgumentException">The policy is not usable.</exception>
    public EncryptFilter(EncryptionPolicy policy, KeyRing keys)
        : this(new ModelCipher(SumScheme.For(policy), keys ?? throw new ArgumentNullException(nameof(keys))))
            => _owned = true;

    internal EncryptFilter(ModelCipher cipher) => _cipher = cipher;

    /// <inheritdoc/>
    public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(message);
        ArgumentNullException.ThrowIfNull(context);
        if (EncryptionMeta.HoldsTensors(message.Headers))
            throw new FlareCryptoException(
                CryptoFault.NotEncryptable,
                "The answer has tensors among its headers; they would leave the site in the clear.");
        if (context.TaskName != TaskNames.Train)
            return EncryptionMeta.HoldsTensors(message.Body)
                ? throw new FlareCryptoException(
                    CryptoFault.NotEncryptable,
                    $"The answer to task '{context.TaskName}' has tensors, which would leave the site in the clear: "
                        + $"with encryption only answers to '{TaskNames.Train}' may have any.")
                : ValueTask.FromResult(message);

        var data = Dxo.From(message);
        if (EncryptionMeta.HoldsTensors(data.Values) || EncryptionMeta.HoldsTensors(data.Meta))
            throw new FlareCryptoException(
                CryptoFault.NotEncryptable,
                "The answer has tensors among its values or meta values; they would leave the site in the clear.");
        if (!context.TryGet(DecryptFilter.Seen, out var task))
            throw new FlareCryptoException(
                CryptoFault.NoAgreement,
                $"No {nameof(DecryptFilter)} has seen the task's model: "
                    + $"add one at {FilterPlace.SiteIn}, for all tasks.");
        var steps = StepsOf(data);
        var result = steps > task.Agreement.Reference ? TooManySteps(data) : Encrypt(data, task, steps, context, abort);
        return ValueTask.FromResult(message.With(result));
    }

    /// <summary>Overwrites what was derived from keys.</summary>
    public void Dispose()
    {
        if (_owned) _cipher.Dispose();
    }

    private Dxo Encrypt(Dxo data, OpenTask task, long steps, FLContext context, CancellationToken abort)
    {
        Require(data, task.Model);
        var begin = context.Time.GetTimestamp();
        if (_plan is null || !_plan.Model.Equals(task.Model.Layout))
            _plan = new ModelPlan(task.Model.Layout, _cipher.Scheme);
        using var sum = data.Kind == DataKind.WeightDiff ? task.Model + data.Tensors : null;
        if (sum?.FirstNonFiniteTensor() is { } beyond)
            throw new FlareCryptoException(
                CryptoFault.ValueOutOfRange,
                $"The trained tensor '{beyond}' leaves the range of its type, and cannot be encrypted; look at the "
                    + "site's learning rate and data.");
        var (weights, member) = (sum ?? data.Tensors, new Member(context.Identity, (int)steps));
        var (upload, clipped) = _cipher.Encrypt(weights, _plan, context.JobId, task.Agreement, member, Chunks);
        if (clipped > 0) TellClipped(weights, _plan, task.Agreement, member, context);
        var seconds = context.Time.GetElapsedTime(begin).TotalSeconds;
        return new Dxo(DataKind.Weights, upload.HandOver(), data.Values, new FlareMap(data.Meta))
            .WithMeta(MetaKey.ProcessedAlgorithm, _cipher.Scheme.Algorithm)
            .WithMeta(MetaKey.ProcessedKeys, FlareValue.List([.. _plan.EncryptedNames.Select(n => (FlareValue)n)]))
            .WithMeta(EncryptionMeta.Clipped, clipped)
            .WithMeta(EncryptionMeta.Seconds, seconds)
            .WithMeta(EncryptionMeta.DecryptSeconds, task.Seconds);

        void Chunks(int chunks, Action<int> process) => context.Compute.ForEachPart(chunks, chunk =>
        {
            abort.ThrowIfCancellationRequested();
            process(chunk);
        });
    }

    private static void Require(Dxo data, StateDict model)
    {
        if (data.Kind is not (DataKind.Weights or DataKind.WeightDiff) || !data.HasTensors)
            throw new FlareCryptoException(
                CryptoFault.NotEncryptable,
                $"The answer is of kind {data.Kind}; encryption takes {DataKind.Weights} and {DataKind.WeightDiff}.");
        if (data.Tensors.Layout.DifferenceFrom(model.Layout) is { } difference)
            throw new FlareCryptoException(
                CryptoFault.NotEncryptable,
                $"The answer's layout differs from the model's: {difference}. "
                    + "Send all of the model's tensors, in their order.");
        if (data.Tensors.FirstNonFiniteTensor() is { } bad)
            throw new FlareCryptoException(
                CryptoFault.ValueOutOfRange,
                $"The trained tensor '{bad}' holds NaN or an infinity, and cannot be encrypted; look at the site's "
                    + "learning rate and data.");
    }

    private void TellClipped(
        StateDict weights, ModelPlan plan, RoundAgreement agreement, Member member, FLContext context)
    {
        foreach (var tensor in _cipher.FindClipped(weights, plan, agreement, member))
            Log.Clipped(
                context.Logger, context.Identity, tensor.Count, tensor.Tensor.Name, agreement.Number,
                _cipher.Scheme.Policy.Range, tensor.Largest);
    }

    // Without tensors: the aggregator refuses it by name, and sets the next round's reference by what it says.
    private static Dxo TooManySteps(Dxo data) => new(DataKind.Weights, null, data.Values, new FlareMap(data.Meta));

    private static long StepsOf(Dxo data)
    {
        if (!data.TryGetMeta(MetaKey.NumStepsCurrentRound, out var value) || value.Kind != FlareValueKind.Integer
            || value.AsInteger() < 1)
            throw new FlareCryptoException(
                CryptoFault.NotEncryptable,
                $"The answer states no training steps: set the meta value {MetaKey.NumStepsCurrentRound} to those of "
                    + "all local epochs, at least 1. They are its weight.");
        return value.AsInteger();
    }
}

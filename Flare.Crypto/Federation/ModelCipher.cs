using System.Buffers;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Flare.Crypto;

/// <summary>
/// A key holder's side: encrypts a site's weights, opens a global model. Sites in one process that share a key ring
/// share one: each model is then opened once for all of them. Safe for concurrent use.
/// </summary>
internal sealed class ModelCipher(SumScheme scheme, KeyRing keys) : IDisposable
{
    private readonly PartCipher _cipher = scheme.CreateCipher(keys);
    private readonly ConditionalWeakTable<StateDict, Lazy<OpenedModel>> _opened = [];

    public SumScheme Scheme => scheme;

    public KeyRing Keys => keys;

    /// <summary>Opens an encrypted model; what it was made of is authentic where the scheme authenticates.</summary>
    /// <exception cref="FlareCryptoException">It is malformed, altered, or under another policy or key.</exception>
    public OpenedModel Open(StateDict model, TimeProvider time, ChunkLoop loop)
    {
        try
        {
            return _opened.GetValue(model, m => new(() => Decrypt(m, time, loop))).Value;
        }
        catch
        {
            _opened.Remove(model); // it may open once the key that lacked is in the ring, or memory is free again
            throw;
        }
    }

    /// <summary>Encrypts a site's weights for a round.</summary>
    /// <param name="weights">The weights; finite.</param>
    /// <param name="plan">Of their layout.</param>
    /// <param name="job">The job.</param>
    /// <param name="agreement">The round; its key is in the ring.</param>
    /// <param name="member">The site, and its steps.</param>
    /// <param name="loop">Runs through the chunks.</param>
    /// <returns>The upload, the caller's; and how many values were clipped, where the policy has that done.</returns>
    /// <exception cref="FlareCryptoException">The key is missing, or a value is out of range and the policy refuses
    /// that.</exception>
    public (StateDict Upload, long Clipped) Encrypt(
        StateDict weights, ModelPlan plan, string job, RoundAgreement agreement, Member member, ChunkLoop loop)
    {
        if (!keys.TryGet(agreement.Key, out var key))
            throw new FlareCryptoException(
                CryptoFault.WrongKey,
                $"The round is under key {agreement.Key}, which is not in this site's key ring: add it.");
        if (scheme.Policy.OutOfRange == OutOfRange.Refuse)
            RequireRange(weights, plan);
        var name = member.ToString();
        var upload = new StateDict(
            new TensorLayout(
                EncryptedModel.UploadSpecs(
                    plan, part => _cipher.UploadBytes(Label(part), name, plan.ElementsOf(part)))));
        var values = ArrayPool<float>.Shared.Rent(plan.ElementsOf(0));
        var clipped = 0L;
        try
        {
            for (var part = 0; part < plan.Parts; part++)
            {
                var run = values.AsSpan(0, plan.ElementsOf(part));
                // The weight, once, and before encryption.
                plan.Gather(weights, part, Factor(agreement, member), run);
                clipped += _cipher.Encrypt(
                    key, run, Label(part), name, upload[EncryptedModel.PartName(part)].AsSpan<byte>(), loop);
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(values, clearArray: true);
        }
        plan.CopyPlain(weights, upload);
        return (upload, clipped);

        AggregationRound Label(int part) => plan.Label(job, agreement.Number, agreement.Reference, part);
    }

    /// <summary>What was clipped where <see cref="Encrypt"/> says that something was, tensor by tensor.</summary>
    public IEnumerable<TensorOutOfRange> FindClipped(
        StateDict weights, ModelPlan plan, RoundAgreement agreement, Member member)
    {
        var factor = Factor(agreement, member);
        // Multiplied as Gather does.
        return TensorOutOfRange.Find(
            weights, plan, (value, dtype)
                => scheme.Holds(dtype == DType.Float64 ? (float)(value * factor) : (float)value * factor));
    }

    public void Dispose() => _cipher.Dispose();

    // Before the weight: whether a value is in range must not depend on how many steps a site took in the round.
    private void RequireRange(StateDict weights, ModelPlan plan)
    {
        TensorOutOfRange[] beyond = [.. TensorOutOfRange.Find(weights, plan, (value, _) => scheme.Holds(value))];
        if (beyond.Length == 0) return;
        var largest = beyond.Max(b => Math.Abs(b.Largest));
        var others = beyond.Sum(b => b.Count) - 1;
        var policy = scheme.Policy;
        throw new FlareCryptoException(CryptoFault.ValueOutOfRange, string.Create(
            CultureInfo.InvariantCulture,
            $"""
            The trained tensor {beyond[0]}, which is not below
             {nameof(EncryptionPolicy)}.{nameof(policy.Range)}, {policy.Range}:
             encryption would change it, so nothing is sent.{Others()}
             Set {nameof(policy.Range)} above {largest:G7} at the server and all sites
             (with more {nameof(policy.Bits)} to keep the step),
             leave such tensors out of encryption by {nameof(policy.Tensors)},
             or let {nameof(policy.OutOfRange)}.{nameof(OutOfRange.Clip)} change such values.
            """).ReplaceLineEndings(""));

        string Others() => others == 0 ? "" : string.Create(
            CultureInfo.InvariantCulture,
            $" {others} more {(others == 1 ? "value is" : "values are")} out of range, up to {largest:G7} in "
                + $"magnitude, in {Names()}.");

        string Names()
            => string.Join(", ", beyond.Take(8).Select(b => $"'{b.Tensor.Name}'")) + (beyond.Length > 8 ? ", …" : "");
    }

    // Steps below 2^24 by a power of two are a float without rounding.
    private static float Factor(RoundAgreement agreement, Member member) => (float)member.Steps / agreement.Reference;

    private OpenedModel Decrypt(StateDict encrypted, TimeProvider time, ChunkLoop loop)
    {
        var begin = time.GetTimestamp();
        var read = EncryptedModel.Read(encrypted, scheme);
        var plan = read.Plan;
        var model = new StateDict(plan.Model);
        var sums = ArrayPool<double>.Shared.Rent(plan.ElementsOf(0));
        Member[]? members = null;
        try
        {
            for (var part = 0; part < plan.Parts; part++)
            {
                var bytes = encrypted[EncryptedModel.PartName(part)].AsReadOnlySpan<byte>();
                var header = scheme.ReadHeader(bytes);
                Member[] those = [.. header.Members.Select(Member.Parse)];
                members ??= those;
                if (!members.SequenceEqual(those))
                    throw new FlareCryptoException(
                        CryptoFault.WrongSites, $"Part {part} of the encrypted model is of other sites than part 0.");
                RequireMembers(members, read.Reference);
                if (!keys.TryGet(header.Key, out _))
                    throw new FlareCryptoException(
                        CryptoFault.WrongKey,
                        $"The model is under key {header.Key}, which is not in this key ring: add it from the "
                            + "KeyFile that keeps it. Without that key nobody can open the model, and its job cannot "
                            + "go on; begin another with a plain one.");
                var run = sums.AsSpan(0, plan.ElementsOf(part));
                _cipher.Decrypt(bytes, header, read.Label(part), run, loop);
                plan.Scatter(run, Divisor(members, read.Reference), model, part);
            }
        }
        finally
        {
            ArrayPool<double>.Shared.Return(sums, clearArray: true);
        }
        plan.CopyPlain(encrypted, model);
        return new(model.Freeze(), read.Job, read.Number, members!, time.GetElapsedTime(begin));
    }

    /// <summary>Σ steps / reference: below 2^37 steps by a power of two, so exact.</summary>
    public static double Divisor(IEnumerable<Member> members, int reference)
        => (double)members.Sum(m => (long)m.Steps) / reference;

    private static void RequireMembers(Member[] members, int reference)
    {
        if (members.Select(m => m.Site).Distinct(StringComparer.Ordinal).Count() != members.Length)
            throw new FlareCryptoException(CryptoFault.Repeated, "A site occurs twice in the sum.");
        if (Array.Find(members, m => m.Steps > reference) is { Site: not null } heavy)
            throw new FlareCryptoException(
                CryptoFault.WrongSites,
                $"{heavy.Site} is in the sum with {heavy.Steps} steps, above the round's reference of {reference}.");
    }
}

/// <summary>A global model that was opened.</summary>
internal sealed class OpenedModel(
    StateDict model, string job, long number, IReadOnlyList<Member> members, TimeSpan elapsed)
{
    private long _ticks = elapsed.Ticks;

    /// <summary>The plain model; frozen, since sites share it.</summary>
    public StateDict Model => model;

    public string Job => job;

    public long Number => number;

    public IReadOnlyList<Member> Members => members;

    /// <summary>How long opening took, told once: of the sites that share it, one did the work.</summary>
    public double TakeSeconds() => TimeSpan.FromTicks(Interlocked.Exchange(ref _ticks, 0)).TotalSeconds;
}

using System.Buffers;
using System.Runtime.CompilerServices;
using Flare.Runtime;

namespace Flare.Crypto;

/// <summary>
/// A key holder's side: encrypts a site's weights, opens a global model. Sites in one process that share a key ring share one: each model is
/// then opened once for all of them. Safe for concurrent use.
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
        catch (FlareCryptoException)
        {
            _opened.Remove(model); // it may open once the key that lacked is in the ring
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
    public (StateDict Upload, long Clipped) Encrypt(StateDict weights, ModelPlan plan, string job, RoundAgreement agreement, Member member, ChunkLoop loop)
    {
        if (!keys.TryGet(agreement.Key, out var key)) throw new FlareCryptoException(CryptoFault.WrongKey, $"The round is under key {agreement.Key}, which is not in this site's key ring: add it.");
        var name = member.ToString();
        var upload = new StateDict(new TensorLayout(EncryptedModel.UploadSpecs(plan, part => _cipher.UploadBytes(Label(part), name, plan.ElementsOf(part)))));
        var values = ArrayPool<float>.Shared.Rent(plan.ElementsOf(0));
        var clipped = 0L;
        try
        {
            for (var part = 0; part < plan.Parts; part++)
            {
                var run = values.AsSpan(0, plan.ElementsOf(part));
                // The weight, once, and before encryption: steps below 2^24 by a power of two are a float without rounding.
                plan.Gather(weights, part, (float)member.Steps / agreement.Reference, run);
                clipped += _cipher.Encrypt(key, run, Label(part), name, upload[EncryptedModel.PartName(part)].AsSpan<byte>(), loop);
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

    public void Dispose() => _cipher.Dispose();

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
                if (!members.SequenceEqual(those)) throw new FlareCryptoException(CryptoFault.WrongSites, $"Part {part} of the encrypted model is of other sites than part 0.");
                RequireMembers(members, read.Reference);
                if (!keys.TryGet(header.Key, out _))
                    throw new FlareCryptoException(CryptoFault.WrongKey, $"The model is under key {header.Key}, which is not in this key ring: add it from the KeyFile that keeps it. Without that key nobody can open the model, and its job cannot go on; begin another with a plain one.");
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
    public static double Divisor(IEnumerable<Member> members, int reference) => (double)members.Sum(m => (long)m.Steps) / reference;

    private static void RequireMembers(Member[] members, int reference)
    {
        if (members.Select(m => m.Site).Distinct(StringComparer.Ordinal).Count() != members.Length) throw new FlareCryptoException(CryptoFault.Repeated, "A site occurs twice in the sum.");
        if (Array.Find(members, m => m.Steps > reference) is { Site: not null } heavy) throw new FlareCryptoException(CryptoFault.WrongSites, $"{heavy.Site} is in the sum with {heavy.Steps} steps, above the round's reference of {reference}.");
    }
}

/// <summary>A global model that was opened.</summary>
internal sealed class OpenedModel(StateDict model, string job, long number, IReadOnlyList<Member> members, TimeSpan elapsed)
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

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Flare.Crypto;

/// <summary>How models are encrypted.</summary>
public enum EncryptionScheme
{
    /// <summary>Exact additive RLWE: sums without error, authenticated, the fewest bytes. The default.</summary>
    Exact = 0,

    /// <summary>
    /// CKKS with NVIDIA FLARE's parameters, in SEAL's format: larger, slower, approximate, and its sums are not
    /// authenticated.
    /// </summary>
    Ckks = 1,
}

/// <summary>
/// The public parameters of a federation's encryption: server and sites must agree on them, and a site refuses a task
/// whose <see cref="Fingerprint"/> is another. docs/encryption.md lists them with the reasons for the defaults.
/// </summary>
public sealed record EncryptionPolicy
{
    /// <summary>The most training steps of a round that a weight can stand for, 2^24.</summary>
    public const int MaxSteps = 1 << 24;

    private static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(1);

    /// <summary>The scheme; <see cref="EncryptionScheme.Exact"/> unless set.</summary>
    public EncryptionScheme Scheme { get; init; }

    /// <summary>Bits of a fixed-point value with its sign, 2 to 32; 24 unless set. Of the exact scheme only.</summary>
    public int Bits { get; init; } = 24;

    /// <summary>
    /// A, rounded up to a power of two: weights below it in magnitude are encrypted as they are, to the step of the
    /// fixed-point numbers; what becomes of others says <see cref="OutOfRange"/>. 8 unless set. The smaller, the finer.
    /// Of the exact scheme only.
    /// </summary>
    public double Range { get; init; } = 8;

    /// <summary>
    /// What a site does with weights beyond <see cref="Range"/>. Unless set it refuses to send any of its answer, and
    /// names tensor, element and value: encryption changes nothing that it is not told to.
    /// <see cref="Flare.Crypto.OutOfRange.Clip"/> moves those to the range's end that are beyond it once they are
    /// multiplied with the site's weight; the site's log names them in a warning, and the round's report counts them
    /// (<c>encryption.clipped</c>). Each site's own. Of the exact scheme only.
    /// </summary>
    public OutOfRange OutOfRange { get; init; }

    /// <summary>K, the most sites of a round, 1 to 8192; 64 unless set. The fewer, the smaller the uploads.</summary>
    public int MaxSites { get; init; } = 64;

    /// <summary>
    /// The fewest sites of a sum that may be opened, from 1 to <see cref="MaxSites"/>; 1 unless set. Each site keeps to
    /// its own; a sum of one is that site's model.
    /// </summary>
    public int MinSites { get; init; } = 1;

    /// <summary>The least security; 128 bits against classical computers unless set.</summary>
    public SecurityLevel Security { get; init; }

    /// <summary>
    /// Of the floating-point tensors, those whose name this regular expression matches anywhere are encrypted; null for
    /// all. The others, and all that are no floating-point tensors, travel in the clear.
    /// </summary>
    public string? Tensors { get; init; }

    /// <summary>
    /// Encrypt only the first of these tensors, in the model's order, until they hold at least this share of all their
    /// elements. Above 0, at most 1; 1 unless set.
    /// </summary>
    public double Fraction { get; init; } = 1;

    /// <summary>
    /// The most training steps that a site is expected to take in the first round, 1 to 2^24; 4096 unless set. A site's
    /// weight is its steps, divided by a reference that no site may exceed. In the first round that is this number,
    /// rounded up to a power of two; later it is the power of two from twice the most steps seen. Too low, and sites
    /// are refused in the first round; too high, and that round is coarser. The server's alone.
    /// </summary>
    public int FirstRoundSteps { get; init; } = 4096;

    /// <summary>
    /// 32 hexadecimal digits over all that server and sites must agree on: everything but <see cref="MinSites"/> and
    /// <see cref="OutOfRange"/>, which are each site's own, and <see cref="FirstRoundSteps"/>, which only the server
    /// uses.
    /// </summary>
    /// <exception cref="ArgumentException">The policy is not usable.</exception>
    public string Fingerprint => SumScheme.For(this).PolicyFingerprint;

    // ±A itself is one unit beyond the end: a whole bit for it would be a poor bargain.
    internal Quantization Format => new(Bits, Bits - 1 - (int)Math.Ceiling(Math.Log2(Range)));

    /// <summary>What is wrong, and what to do about it; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        string[] faults = [.. FaultsOfSettings()];
        return faults.Length == 0 && SumScheme.FaultOf(this) is { } fault ? [fault] : faults;
    }

    private IEnumerable<string> FaultsOfSettings()
    {
        if (Scheme is not (EncryptionScheme.Exact or EncryptionScheme.Ckks))
            yield return $"{nameof(Scheme)} is {Scheme}; it must be {EncryptionScheme.Exact} or "
                + $"{EncryptionScheme.Ckks}";
        if (Bits is < 2 or > 32) yield return $"{nameof(Bits)} is {Bits}; it must be from 2 to 32";
        if (!(Range is >= 1e-9 and <= 1e9)) yield return $"{nameof(Range)} is {Range}; it must be from 10^-9 to 10^9";
        if (!Enum.IsDefined(OutOfRange))
            yield return $"{nameof(OutOfRange)} is {OutOfRange}; it must be {OutOfRange.Refuse} or {OutOfRange.Clip}";
        if (MaxSites is < 1 or > RlweParameters.SummandLimit)
            yield return $"{nameof(MaxSites)} is {MaxSites}; it must be from 1 to {RlweParameters.SummandLimit}";
        if (MinSites < 1 || MinSites > MaxSites)
            yield return $"{nameof(MinSites)} is {MinSites}; it must be from 1 to {nameof(MaxSites)}, {MaxSites}";
        if (!Enum.IsDefined(Security)) yield return $"{nameof(Security)} is {Security}; there is no such level";
        if (!(Fraction is > 0 and <= 1))
            yield return $"{nameof(Fraction)} is {Fraction}; it must be above 0 and at most 1";
        if (FirstRoundSteps is < 1 or > MaxSteps)
            yield return $"{nameof(FirstRoundSteps)} is {FirstRoundSteps}; it must be from 1 to {MaxSteps}";
        if (Tensors is not null && !IsPattern(Tensors))
            yield return $"{nameof(Tensors)} is '{Tensors}', which is no regular expression";
    }

    /// <summary>For each tensor of a model, whether it is encrypted.</summary>
    internal bool[] Select(TensorLayout layout)
    {
        var pattern = Tensors is null ? null : new Regex(Tensors, RegexOptions.CultureInvariant, MatchTimeout);
        bool[] chosen = [.. layout.Select(
            t => t.DType.IsFloatingPoint() && t.Length > 0 && (pattern is null || Matches(pattern, t.Name)))];
        if (Fraction == 1) return chosen;
        var wanted = Fraction * Enumerable.Range(0, layout.Count).Where(i => chosen[i]).Sum(i => layout[i].Length);
        var reached = 0L;
        for (var i = 0; i < chosen.Length; i++)
        {
            if (!chosen[i]) continue;
            chosen[i] = reached < wanted;
            reached += layout[i].Length;
        }
        return chosen;
    }

    private static bool Matches(Regex pattern, string name)
    {
        try
        {
            return pattern.IsMatch(name);
        }
        catch (RegexMatchTimeoutException e)
        {
            throw new FlareCryptoException(
                CryptoFault.NotEncryptable,
                $"{nameof(EncryptionPolicy)}.{nameof(Tensors)} '{pattern}' took "
                    + $"more than {MatchTimeout.TotalSeconds} s for the tensor "
                    + $"name '{name}': use a pattern that does not backtrack.",
                e);
        }
    }

    internal string FingerprintWith(string parameters)
    {
        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"flare encryption 1\n{Scheme}\n{parameters}\n{MaxSites}\n{Fraction:R}\n{Tensors}");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, 16));
    }

    private static bool IsPattern(string text)
    {
        try
        {
            return text.Length > 0 && new Regex(text) is not null;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}

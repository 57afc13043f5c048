using System.Security.Cryptography;

namespace Flare.Transport;

/// <summary>
/// Who belongs to a project, and whose certificate no longer holds: signed by the project's certificate authority and
/// numbered, so that a newer one can be taken from anybody. Immutable.
/// </summary>
public sealed partial class Roster
{
    /// <summary>What a file of a roster has at most: 12 MiB.</summary>
    public const int MaxBytes = 12 << 20;

    /// <summary>How many members a roster has at most, and how many revoked certificates: 50,000.</summary>
    public const int MaxMembers = 50_000;

    private readonly Dictionary<string, RosterMember> _members;
    private readonly Dictionary<string, RevokedCertificate> _revoked;
    private readonly byte[] _signed;
    private readonly CaSignature _signature;

    private Roster(
        string project, long version, DateTimeOffset issued, IReadOnlyList<RosterMember> members,
        IReadOnlyList<RevokedCertificate> revoked, Func<byte[], CaSignature> signature)
    {
        (Project, Version, Issued, Members, Revoked) = (project, version, issued.ToUniversalTime(), members, revoked);
        _members = new(StringComparer.Ordinal);
        _revoked = new(StringComparer.OrdinalIgnoreCase);
        if (Fault() is { } fault) throw new FormatException(fault);
        _signed = Encode();
        _signature = signature(_signed);
    }

    /// <summary>The project.</summary>
    public string Project { get; }

    /// <summary>1 for the first; a higher number replaces a lower.</summary>
    public long Version { get; }

    /// <summary>When it was made, in UTC.</summary>
    public DateTimeOffset Issued { get; }

    /// <summary>The members, in the order in which the authority lists them.</summary>
    public IReadOnlyList<RosterMember> Members { get; }

    /// <summary>The certificates that no longer hold, though they have not expired.</summary>
    public IReadOnlyList<RevokedCertificate> Revoked { get; }

    /// <summary>SHA-256 of what is signed, in lower hexadecimal: two that have the same say the same.</summary>
    public string Fingerprint => Convert.ToHexStringLower(SHA256.HashData(_signed));

    /// <summary>A member; null where nobody has the name.</summary>
    public RosterMember? Find(string name) => _members.GetValueOrDefault(name);

    /// <summary>What is said of a certificate that no longer holds; null where it is not on the list.</summary>
    /// <param name="serial">Its serial number, in hexadecimal.</param>
    public RevokedCertificate? FindRevoked(string serial) => _revoked.GetValueOrDefault(serial);

    /// <summary>Makes and signs a roster.</summary>
    /// <param name="project">The project.</param>
    /// <param name="version">One more than the last had.</param>
    /// <param name="issued">Now.</param>
    /// <param name="members">The members.</param>
    /// <param name="revoked">The certificates that no longer hold.</param>
    /// <param name="signer">The project's certificate authority.</param>
    /// <exception cref="ArgumentException">A name is none or is there twice, or something is above its
    /// limit.</exception>
    public static Roster Issue(
        string project, long version, DateTimeOffset issued, IEnumerable<RosterMember> members,
        IEnumerable<RevokedCertificate> revoked, KitSigner signer)
    {
        ArgumentNullException.ThrowIfNull(members);
        ArgumentNullException.ThrowIfNull(revoked);
        ArgumentNullException.ThrowIfNull(signer);
        try
        {
            return new(project, version, issued, [.. members], [.. revoked], signer.Sign);
        }
        catch (FormatException e)
        {
            throw new ArgumentException($"There can be no such roster: {e.Message}.", e);
        }
    }

    /// <summary>Why these roots do not vouch for the roster; null where they do.</summary>
    internal string? SignatureFault(IReadOnlyList<ReadOnlyMemory<byte>> roots) => _signature.Fault(_signed, roots);

    private string? Fault()
    {
        if (SiteName.Fault(Project) is { } fault) return $"the project: {fault}";
        if (Version < 1) return $"its version is {Version}, and the first is 1";
        if (Members.Count > MaxMembers || Revoked.Count > MaxMembers)
            return $"it has more than {MaxMembers} members or revoked certificates";
        foreach (var member in Members)
        {
            if (SiteName.Fault(member.Name) is { } wrong) return $"a member: {wrong}";
            if (!_members.TryAdd(member.Name, member)) return $"two members are named '{member.Name}'";
            if (member.Keys.Count > RosterMember.MaxKeys || member.FurtherKeys.Count > RosterMember.MaxFurtherKeys)
                return $"'{member.Name}' has too many keys";
            if (!member.Keys.All(IsFingerprint)) return $"a key of '{member.Name}' is no SHA-256 in lower hexadecimal";
            if (!member.FurtherKeys.All(IsKey)) return $"a further key of '{member.Name}' has no purpose or no bytes";
        }
        foreach (var revoked in Revoked)
        {
            if (revoked.Serial.Length is < 2 or > 40 || !revoked.Serial.All(char.IsAsciiHexDigitUpper))
                return "a revoked serial number is not in upper hexadecimal";
            if (revoked.Reason?.Length > 200) return "a reason has more than 200 characters";
            if (!_revoked.TryAdd(revoked.Serial, revoked)) return $"{revoked.Serial} is revoked twice";
        }
        return null;
    }

    private static bool IsFingerprint(string key) => key.Length == 64 && key.All(char.IsAsciiHexDigitLower);

    private static bool IsKey(RosterKey key) => key.Purpose.Length is > 0 and <= 64
        && key.Purpose.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '.' or '-')
        && key.PublicKey.Length is > 0 and <= 4096;

    private byte[] Encode() => new SignedFields("flare roster v1")
        .Add(Project).Add(Version).Add(Issued.UtcTicks)
        .AddAll(Members, (to, m) => to.Add(m.Name).Add(m.Role.Word()).AddAll(m.Keys, (t, key) => t.Add(key))
            .AddAll(m.FurtherKeys, (t, key) => t.Add(key.Purpose).Add(key.PublicKey.Span)))
        .AddAll(Revoked, (to, r) => to.Add(r.Serial).Add(r.Since.UtcTicks).Add(r.Reason is null ? 0 : 1)
            .Add(r.Reason ?? ""))
        .ToArray();
}

namespace Flare.Transport;

// A roster's file.
public sealed partial class Roster
{
    private const string Format = "flare-roster/1";

    /// <summary>Reads a roster that may come from anybody.</summary>
    /// <param name="utf8">Its file.</param>
    /// <param name="trustRoots">The roots of the project, DER: one of them must vouch for it.</param>
    /// <param name="source">What the errors call it.</param>
    /// <exception cref="FlareException">It is no roster, or nobody who is trusted has signed it.</exception>
    public static Roster Parse(
        ReadOnlySpan<byte> utf8, IReadOnlyList<ReadOnlyMemory<byte>> trustRoots, string source = "The roster")
    {
        ArgumentNullException.ThrowIfNull(trustRoots);
        var file = StrictJson.Read(utf8, IdentityJson.Default.RosterFile, MaxBytes, source);
        var roster = Read(file, source);
        return roster.SignatureFault(trustRoots) is { } fault ? throw Words.Refuse(source, fault) : roster;
    }

    /// <summary>The roster's file, in UTF-8.</summary>
    public byte[] Write() => StrictJson.Write(ToFile(), IdentityJson.Default.RosterFile);

    /// <exception cref="FlareException">It is no roster. Its signature is not looked at.</exception>
    internal static Roster Read(RosterFile file, string source)
    {
        if (file.Format != Format)
            throw Words.Refuse(source, $"its format is '{Words.Of(file.Format)}'; this version reads '{Format}'");
        try
        {
            var signature = SignatureFiles.Read(file.Signature);
            return new(
                file.Project, file.Version, file.Issued, [.. file.Members.Select(Read)],
                [.. file.Revoked.Select(r => new RevokedCertificate(r.Serial, r.Since, r.Reason))], _ => signature);
        }
        catch (FormatException e)
        {
            throw Words.Refuse(source, e.Message, e);
        }
    }

    internal RosterFile ToFile() => new()
    {
        Format = Format, Project = Project, Version = Version, Issued = Issued,
        Members =
        [
            .. Members.Select(m => new MemberFile
            {
                Name = m.Name, Role = m.Role.Word(), Keys = [.. m.Keys],
                FurtherKeys = m.FurtherKeys.Count == 0 ? null
                    : [.. m.FurtherKeys.Select(k => new FurtherKeyFile
                    {
                        Purpose = k.Purpose, PublicKey = k.PublicKey.ToArray(),
                    })],
            }),
        ],
        Revoked = [.. Revoked.Select(r => new RevokedFile { Serial = r.Serial, Since = r.Since, Reason = r.Reason })],
        Signature = SignatureFiles.Write(_signature),
    };

    private static RosterMember Read(MemberFile member) => new(
        member.Name, FlareRoles.Read(member.Role)
            ?? throw new FormatException($"'{Words.Of(member.Role)}' is no role; 'server' and 'site' are"))
    {
        Keys = member.Keys,
        FurtherKeys = [.. (member.FurtherKeys ?? []).Select(k => new RosterKey(k.Purpose, k.PublicKey))],
    };
}

internal static class SignatureFiles
{
    /// <exception cref="FormatException">It is no signature.</exception>
    public static CaSignature Read(SignatureFile file)
    {
        if (file.Certificates.Length is 0 or > CaSignature.MaxCertificates || file.Value.Length > Signatures.MaxBytes)
            throw new FormatException("its signature has no certificate, too many, or too many bytes");
        return new(
            [.. file.Certificates.Select((text, i) => PemAt(text, "certificate of its signature", i))], file.Value);
    }

    public static SignatureFile Write(CaSignature signature) => new()
    {
        Certificates = [.. signature.Certificates.Select(Pem.Write)], Value = signature.Value,
    };

    /// <exception cref="FormatException">It is no certificate.</exception>
    public static ReadOnlyMemory<byte> PemAt(string text, string what, int index)
    {
        try
        {
            return Pem.Read(text);
        }
        catch (FormatException e)
        {
            throw new FormatException($"{what} {index + 1}: {e.Message}", e);
        }
    }
}

using System.Security.Cryptography;

namespace Flare.Transport;

// A kit's file.
public sealed partial class StartupKit
{
    private const string Format = "flare-startup-kit/1";

    /// <summary>Reads a kit.</summary>
    /// <param name="utf8">Its file.</param>
    /// <param name="source">What the errors call it.</param>
    /// <exception cref="FlareException">It is no kit, or was changed since the authority signed it.</exception>
    public static StartupKit Parse(ReadOnlySpan<byte> utf8, string source = "The startup kit")
    {
        var file = StrictJson.Read(utf8, IdentityJson.Default.KitFile, MaxBytes, source);
        if (file.Format != Format)
            throw Words.Refuse(source, $"its format is '{Words.Of(file.Format)}'; this version reads '{Format}'");
        try
        {
            return Read(file, source);
        }
        catch (Exception e) when (e is FormatException or CryptographicException)
        {
            throw Words.Refuse(source, Words.Of(e.Message, 600), e);
        }
    }

    /// <summary>Reads a kit's file.</summary>
    /// <exception cref="FlareException">It is no kit, or was changed since the authority signed it.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static StartupKit Load(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var source = $"The startup kit {path}";
        if (stream.Length > MaxBytes)
            throw Words.Refuse(source, $"it has {stream.Length} bytes, of at most {MaxBytes}");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return Parse(bytes, source);
    }

    /// <summary>The kit's file, in UTF-8. With a key in the clear it is a secret.</summary>
    public byte[] Write() => StrictJson.Write(
        new KitFile
        {
            Format = Format, Project = Project, Name = Name, Role = Role.Word(),
            Addresses = [.. Addresses.Select(a => a.OriginalString)],
            Certificates = [.. Certificates.Select(Pem.Write)],
            TrustRoots = [.. TrustRoots.Select(Pem.Write)],
            RosterVersion = _leastRoster, Signature = SignatureFiles.Write(_signature),
            PrivateKey = PrivateKey, Roster = Roster.ToFile(),
        },
        IdentityJson.Default.KitFile);

    /// <summary>
    /// Writes the kit to a file that its owner alone may read (on Windows: whom the folder lets). It is there whole or
    /// not at all.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="overwrite">Whether a file that is there already is replaced, and the key in it lost.</param>
    /// <exception cref="IOException">The file is there already, or cannot be written.</exception>
    public void Save(string path, bool overwrite = false) => SecretFile.Write(path, Write(), overwrite);

    /// <exception cref="FormatException">A part of it is wrong.</exception>
    private static StartupKit Read(KitFile file, string source)
    {
        var role = FlareRoles.Read(file.Role)
            ?? throw new FormatException($"'{Words.Of(file.Role)}' is no role; 'server' and 'site' are");
        if (SiteName.Fault(file.Name) is { } fault) throw new FormatException($"the name: {fault}");
        if (file.Certificates.Length > MaxCertificates || file.TrustRoots.Length > MaxCertificates)
            throw new FormatException($"it has more than {MaxCertificates} certificates or trusted roots");
        var signature = SignatureFiles.Read(file.Signature);
        var content = new StartupKitContent
        {
            Project = file.Project, Member = new(role, file.Name),
            Addresses = [.. file.Addresses.Select(Address)],
            Certificates = [.. file.Certificates.Select((c, i) => SignatureFiles.PemAt(c, "certificate", i))],
            TrustRoots = [.. file.TrustRoots.Select((c, i) => SignatureFiles.PemAt(c, "trusted root", i))],
            Roster = Roster.Read(file.Roster, $"{source}: the roster"), PrivateKey = file.PrivateKey,
        };
        return new(content, file.RosterVersion, _ => signature);
    }

    private static Uri Address(string text) => Uri.TryCreate(text, UriKind.Absolute, out var address)
        ? address : throw new FormatException($"'{Words.Of(text)}' is no address");
}

using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>
/// What a server or a site needs to take part in a project, in one file: who it is, its certificate and key, where the
/// server is, whom to trust and who else takes part. The project's certificate authority signs it, so a kit that was
/// changed is refused. Its key is not covered, since it may be made at the site; it must be the certificate's. The
/// roster has its own signature, and may be newer than the kit. Immutable.
/// </summary>
public sealed partial class StartupKit
{
    /// <summary>What a kit's file has at most: 16 MiB.</summary>
    public const int MaxBytes = 16 << 20;

    private const int MaxCertificates = 8, MaxAddresses = 16, MaxKeyBytes = 16 * 1024;

    private readonly long _leastRoster;
    private readonly CaSignature _signature;

    private StartupKit(StartupKitContent content, long leastRoster, Func<byte[], CaSignature> signature)
    {
        _leastRoster = leastRoster;
        (Project, Member, Addresses) = (content.Project, content.Member, content.Addresses);
        (Certificates, TrustRoots, Roster) = (content.Certificates, content.TrustRoots, content.Roster);
        PrivateKey = content.PrivateKey;
        if (ShapeFault() is { } fault) throw new FormatException(fault);
        var signed = Encode();
        _signature = signature(signed);
        if (ContentFault(signed) is { } wrong) throw new FormatException(wrong);
    }

    private StartupKit(StartupKit kit, string? privateKey, Roster roster)
    {
        (Project, Member, Addresses) = (kit.Project, kit.Member, kit.Addresses);
        (Certificates, TrustRoots, _leastRoster) = (kit.Certificates, kit.TrustRoots, kit._leastRoster);
        (_signature, PrivateKey, Roster) = (kit._signature, privateKey, roster);
    }

    /// <summary>The project.</summary>
    public string Project { get; }

    /// <summary>Whose kit it is.</summary>
    public CertifiedName Member { get; }

    /// <summary>Its name.</summary>
    public string Name => Member.Name;

    /// <summary>What it is.</summary>
    public FlareRole Role => Member.Role;

    /// <summary>Where the server is, in the order in which to try.</summary>
    public IReadOnlyList<Uri> Addresses { get; }

    /// <summary>The member's certificate, DER, and behind it what stands between it and a root.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Certificates { get; }

    /// <summary>The roots that the member trusts, DER.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> TrustRoots { get; }

    /// <summary>Who belongs to the project.</summary>
    public Roster Roster { get; }

    /// <summary>The certificate's key, PEM of PKCS#8; null in a kit for a member that has it already.</summary>
    public string? PrivateKey { get; }

    /// <summary>Whether the key wants a passphrase.</summary>
    public bool IsKeyEncrypted => PrivateKey?.Contains("-----BEGIN ENCRYPTED", StringComparison.Ordinal) == true;

    /// <summary>
    /// SHA-256 of the trusted roots, lower hexadecimal. A kit that was replaced whole, root and all, has others: ask
    /// the project's operator for them by another way than the kit came.
    /// </summary>
    public IReadOnlyList<string> RootFingerprints =>
        [.. TrustRoots.Select(r => Convert.ToHexStringLower(SHA256.HashData(r.Span)))];

    /// <summary>Makes and signs a kit.</summary>
    /// <param name="content">What is in it.</param>
    /// <param name="signer">The project's certificate authority; one of the trusted roots must vouch for it.</param>
    /// <exception cref="ArgumentException">Something of it is wrong; the message says what.</exception>
    public static StartupKit Issue(StartupKitContent content, KitSigner signer)
    {
        ArgumentNullException.ThrowIfNull(content);
        ArgumentNullException.ThrowIfNull(signer);
        try
        {
            return new(content, content.Roster.Version, signer.Sign);
        }
        catch (FormatException e)
        {
            throw new ArgumentException($"There can be no such kit: {e.Message}.", nameof(content), e);
        }
    }

    /// <summary>The kit with another key, such as the one that was made at the site, or none.</summary>
    /// <param name="privateKey">PEM of PKCS#8, in the clear or encrypted.</param>
    /// <exception cref="FlareException">It is no such text. Whether it is the certificate's shows when the identity is
    /// loaded.</exception>
    public StartupKit WithPrivateKey(string? privateKey)
    {
        if (KeyFault(privateKey) is { } fault) throw Words.Refuse("The private key", fault);
        return new(this, privateKey, Roster);
    }

    /// <summary>The kit with a newer roster.</summary>
    /// <exception cref="FlareException">It is of another project, older, or nobody who is trusted has signed
    /// it.</exception>
    public StartupKit WithRoster(Roster roster)
    {
        ArgumentNullException.ThrowIfNull(roster);
        if (roster.Project != Project || roster.Version < Roster.Version)
        {
            throw Words.Refuse("The roster", $"it is version {roster.Version} of '{roster.Project}', and the kit has "
                + $"version {Roster.Version} of '{Project}'");
        }
        if (roster.SignatureFault(TrustRoots) is { } fault) throw Words.Refuse("The roster", fault);
        if (roster.Version == Roster.Version && roster.Fingerprint != Roster.Fingerprint)
        {
            throw Words.Refuse("The roster", $"it says something else than the version {roster.Version} that the kit "
                + "has, and both are signed: ask the certificate authority");
        }
        return new(this, PrivateKey, roster);
    }

    /// <summary>
    /// The kit that takes the place of this one: the authority has renewed the certificate, or changes its root. Where
    /// it brings no key of its own, it goes on with this one's. It need not be kept secret on its way.
    /// </summary>
    /// <exception cref="FlareException">It is another member's or older, or nobody whom this kit trusts has signed
    /// it.</exception>
    public StartupKit Renew(StartupKit renewal)
    {
        ArgumentNullException.ThrowIfNull(renewal);
        if (renewal.Project != Project || renewal.Member != Member)
        {
            throw Words.Refuse("The renewed kit", $"it is for {renewal.Member} of '{renewal.Project}', and this is "
                + $"{Member} of '{Project}'");
        }
        if (renewal._signature.Fault(renewal.Encode(), TrustRoots) is { } fault)
            throw Words.Refuse("The renewed kit", fault);
        using (var ours = X509CertificateLoader.LoadCertificate(Certificates[0].Span))
        using (var theirs = X509CertificateLoader.LoadCertificate(renewal.Certificates[0].Span))
        {
            if (theirs.NotBefore < ours.NotBefore)
                throw Words.Refuse("The renewed kit", "its certificate is older than the one in use");
        }
        var roster = renewal.Roster.Version >= Roster.Version ? renewal.Roster : Roster;
        return new(renewal, renewal.PrivateKey ?? PrivateKey, roster);
    }

    private byte[] Encode() => new SignedFields("flare startup kit v1")
        .Add(Project).Add(Member.Uri).Add(_leastRoster)
        .AddAll(Addresses, (to, a) => to.Add(a.OriginalString))
        .AddAll(Certificates, (to, c) => to.Add(c.Span))
        .AddAll(TrustRoots, (to, c) => to.Add(c.Span))
        .ToArray();

    private string? ShapeFault()
    {
        if (SiteName.Fault(Project) is { } fault) return $"the project: {fault}";
        if (Addresses.Count > MaxAddresses) return $"it has more than {MaxAddresses} addresses";
        if (Addresses.Select(AddressFault).FirstOrDefault(f => f is not null) is { } wrong) return wrong;
        if (Certificates.Count is 0 or > MaxCertificates)
            return $"it has none or more than {MaxCertificates} certificates";
        if (TrustRoots.Count is 0 or > MaxCertificates)
            return $"it has none or more than {MaxCertificates} trusted roots";
        return KeyFault(PrivateKey);
    }

    private string? ContentFault(byte[] signed)
    {
        if (_signature.Fault(signed, TrustRoots) is { } fault) return fault;
        using (var certificate = X509CertificateLoader.LoadCertificate(Certificates[0].Span))
        {
            var name = CertifiedName.Read(certificate, out var unnamed);
            if (name is null) return $"its certificate proves no name: {unnamed}";
            if (name != Member) return $"it is for {Member}, and its certificate is {name}'s";
        }
        if (Roster.SignatureFault(TrustRoots) is { } unsigned) return $"its roster: {unsigned}";
        if (Roster.Project != Project)
            return $"its roster is of the project '{Roster.Project}', and it of '{Project}'";
        return Roster.Version < _leastRoster
            ? $"its roster is version {Roster.Version}, older than version {_leastRoster}, with which it was made"
            : null;
    }

    private static string? AddressFault(Uri address) => StartupAddress.IsRight(address) ? null
        : $"'{Words.Of(address.OriginalString)}' is no address of a server: "
            + "'flare://host:8002', 'wss://host/flare' and 'unix:/path' are";

    private static string? KeyFault(string? key)
    {
        if (key is null) return null;
        try
        {
            Pem.ReadAny(key, MaxKeyBytes, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
            return null;
        }
        catch (FormatException e)
        {
            return $"the private key: {e.Message}";
        }
    }
}

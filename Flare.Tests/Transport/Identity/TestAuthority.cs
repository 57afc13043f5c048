using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Flare.Transport;

namespace Flare.Tests.Transport.Identity;

/// <summary>A certificate authority of the platform's parts alone, that also makes what a good one never
/// would.</summary>
internal sealed class TestAuthority : IDisposable
{
    public const string Project = "digits-study";
    public static readonly DateTimeOffset Now = new(2026, 5, 4, 12, 0, 0, TimeSpan.Zero);

    private readonly List<IDisposable> _owned = [];

    public TestAuthority(string name = "Root", bool isRsa = false, bool isAuthority = true)
    {
        using var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var rsa = isRsa ? RSA.Create(2048) : null;
        var request = rsa is null ? new CertificateRequest($"CN={name}", ecdsa, HashAlgorithmName.SHA256)
            : new CertificateRequest($"CN={name}", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        Extend(request, isAuthority);
        Root = Own(request.CreateSelfSigned(Now.AddYears(-1), Now.AddYears(9)));
    }

    public X509Certificate2 Root { get; }

    public IReadOnlyList<ReadOnlyMemory<byte>> Roots => [Root.RawData];

    public KitSigner Signer => new(Root);

    /// <summary>This authority's key in a certificate of another.</summary>
    public X509Certificate2 CrossSignedBy(TestAuthority other)
    {
        var request = new CertificateRequest(Root.SubjectName, Root.PublicKey, HashAlgorithmName.SHA256);
        Extend(request, isAuthority: true);
        return Own(request.Create(other.Root, Now.AddYears(-1), Now.AddYears(5), Serial()));
    }

    public X509Certificate2 Certify(
        string uri, bool forServer, DateTimeOffset? from = null, DateTimeOffset? until = null,
        Action<CertificateRequest>? change = null, bool isRsa = false)
    {
        using var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var rsa = isRsa ? RSA.Create(2048) : null;
        var request = rsa is null ? new CertificateRequest("CN=member", ecdsa, HashAlgorithmName.SHA256)
            : new CertificateRequest("CN=member", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid(forServer ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2")], false));
        var names = new SubjectAlternativeNameBuilder();
        if (uri.Length > 0) names.AddUri(new Uri(uri));
        if (forServer) names.AddDnsName("localhost");
        if (forServer) names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        change?.Invoke(request);
        var generator = Root.GetRSAPrivateKey() is { } key
            ? X509SignatureGenerator.CreateForRSA(key, RSASignaturePadding.Pkcs1)
            : X509SignatureGenerator.CreateForECDsa(Root.GetECDsaPrivateKey()!);
        using var bare = request.Create(
            Root.SubjectName, generator, from ?? Now.AddDays(-1), until ?? Now.AddDays(89), Serial());
        return Own(rsa is null ? bare.CopyWithPrivateKey(ecdsa) : bare.CopyWithPrivateKey(rsa));
    }

    public X509Certificate2 Certify(CertifiedName name, bool isRsa = false) =>
        Certify(name.Uri, name.Role == FlareRole.Server, isRsa: isRsa);

    public Roster Roster(long version, params RosterMember[] members) =>
        Flare.Transport.Roster.Issue(Project, version, Now, members, [], Signer);

    public StartupKit Kit(
        CertifiedName name, Roster? roster = null, string? passphrase = null, bool isRsa = false,
        string? address = null)
    {
        var certificate = Certify(name, isRsa);
        return StartupKit.Issue(
            new()
            {
                Project = Project, Member = name,
                Addresses = address is not null ? [new(address)] :
                [
                    new("flare://localhost:8002"), new("wss://example.org/flare"), new("unix:/run/flare.sock"),
                ],
                Certificates = [certificate.RawData], TrustRoots = Roots, Roster = roster ?? Everybody(),
                PrivateKey = Key(certificate, passphrase),
            },
            Signer);
    }

    public Roster Everybody() => Roster(
        1, new("server", FlareRole.Server), new("hospital-1", FlareRole.Site), new("hospital-2", FlareRole.Site));

    public FlareIdentity Identity(FlareRole role, string name, Roster? roster = null, bool isRsa = false) =>
        Own(FlareIdentity.Load(Kit(new(role, name), roster, isRsa: isRsa)));

    public static string Key(X509Certificate2 certificate, string? passphrase = null)
    {
        using AsymmetricAlgorithm key = (AsymmetricAlgorithm?)certificate.GetECDsaPrivateKey()
            ?? certificate.GetRSAPrivateKey()!;
        return passphrase is null ? key.ExportPkcs8PrivateKeyPem()
            : key.ExportEncryptedPkcs8PrivateKeyPem(
                passphrase, new(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000));
    }

    public void Dispose() => _owned.ForEach(o => o.Dispose());

    private T Own<T>(T item) where T : IDisposable
    {
        _owned.Add(item);
        return item;
    }

    private static void Extend(CertificateRequest request, bool isAuthority)
    {
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        if (isAuthority)
        {
            request.CertificateExtensions.Add(new X509KeyUsageExtension(
                X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.DigitalSignature, true));
        }
    }

    private static byte[] Serial() => [1, .. RandomNumberGenerator.GetBytes(15)];
}

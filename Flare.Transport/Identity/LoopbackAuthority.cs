using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>
/// Certificates for the server and the sites of one process, for one run: nobody else ever has the key.
/// </summary>
internal sealed class LoopbackAuthority : IDisposable
{
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 _root;
    private readonly DateTimeOffset _from = DateTimeOffset.UtcNow.AddHours(-1);
    private readonly List<X509Certificate2> _made = [];

    public LoopbackAuthority()
    {
        var request = new CertificateRequest("CN=one run", _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        _root = request.CreateSelfSigned(_from, _from.AddDays(30));
    }

    public TlsEnd ServerEnd() => End(new(FlareRole.Server, "server"), FlareRole.Site);

    public TlsEnd SiteEnd(string site) => End(new(FlareRole.Site, site), FlareRole.Server);

    private TlsEnd End(CertifiedName name, FlareRole other)
    {
        var certificate = SslStreamCertificateContext.Create(Make(name), null, offline: true);
        return new(() => certificate, (peer, _) => Verify(peer, other)) { ShowsRefused = false };
    }

    private X509Certificate2 Make(CertifiedName name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=member of one run", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(
            name.Role == FlareRole.Server ? name.ToExtension(["localhost"], [IPAddress.Loopback]) : name.ToExtension());
        using var bare = request.Create(_root, _from, _from.AddDays(29), RandomNumberGenerator.GetBytes(16));
        using var keyed = bare.CopyWithPrivateKey(key);
        // Through PKCS#12: on Windows TLS takes no key that lives in memory alone.
        var made = X509CertificateLoader.LoadPkcs12(keyed.Export(X509ContentType.Pfx), null);
        lock (_made) _made.Add(made);
        return made;
    }

    private PeerProof Verify(X509Certificate2 peer, FlareRole due)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(_root);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        if (!chain.Build(peer)) return PeerProof.Refuse("it is not of this run");
        return CertifiedName.Read(peer, out var fault) is not { } name ? PeerProof.Refuse(fault!)
            : name.Role != due ? PeerProof.Refuse($"it is that of {name}") : PeerProof.Accept(name);
    }

    public void Dispose()
    {
        foreach (var certificate in _made) certificate.Dispose();
        _root.Dispose();
        _key.Dispose();
    }
}

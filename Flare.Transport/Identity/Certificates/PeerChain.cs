using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>A certificate's way to one of the project's roots, by the platform.</summary>
internal sealed class PeerChain : IDisposable
{
    // More than a chain of ours ever has; what else a peer sends is not looked at.
    private const int MostExtra = 8;

    private readonly X509Chain _chain = new();
    private readonly X509Certificate2 _certificate;

    public PeerChain(X509Certificate2 certificate, X509Certificate2Collection roots, X509Certificate2Collection extra)
    {
        _certificate = certificate;
        var policy = _chain.ChainPolicy;
        policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        policy.CustomTrustStore.AddRange(roots);
        foreach (var other in extra.Take(MostExtra)) policy.ExtraStore.Add(other);
        policy.RevocationMode = X509RevocationMode.NoCheck; // the roster's list
        policy.DisableCertificateDownloads = true; // a certificate names no address that this process then asks
    }

    /// <summary>What the platform objects to.</summary>
    public X509ChainStatusFlags Flags => _chain.ChainStatus.Aggregate(
        X509ChainStatusFlags.NoError, (all, s) => all | s.Status);

    public string Said => Words.Of(string.Join("; ", _chain.ChainStatus.Select(s => s.StatusInformation.Trim())), 300);

    public IEnumerable<X509ChainElement> Elements => _chain.ChainElements;

    public bool Build(DateTimeOffset now, bool ignoreTime = false)
    {
        _chain.ChainPolicy.VerificationTime = now.UtcDateTime;
        if (ignoreTime)
            _chain.ChainPolicy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        return _chain.Build(_certificate);
    }

    public void Dispose()
    {
        foreach (var element in _chain.ChainElements) element.Certificate.Dispose();
        _chain.Dispose();
    }
}

using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>Who an end is, and how it looks at the other's certificate.</summary>
/// <param name="Certificate">The end's own certificate, with its key and what stands between it and a root; asked for
/// at each connection, since it may be renewed.</param>
/// <param name="Verify">Whom a certificate proves, or why it proves nobody.</param>
internal sealed record TlsEnd(
    Func<SslStreamCertificateContext> Certificate,
    Func<X509Certificate2, X509Certificate2Collection, PeerProof> Verify)
{
    // Told apart from whatever else may share the port.
    private static readonly List<SslApplicationProtocol> Protocols = [new("flare/1")];

    /// <summary>
    /// Whether a certificate that is refused is handed on all the same, so that its holder can be told why: TLS has
    /// only an alert, which the platform sends when the handshake is over at the other end.
    /// </summary>
    public bool ShowsRefused { get; init; } = true;

    /// <summary>Proves both ends to each other over a stream.</summary>
    /// <param name="stream">The bare connection; disposed of where it fails.</param>
    /// <param name="host">The server's name, for a site; null at a server.</param>
    /// <param name="from">Where the other end is.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The stream, and what the other end has shown and has the key of.</returns>
    /// <exception cref="FrameException">The other end is refused, or refuses this one.</exception>
    public async Task<Shown> AuthenticateAsync(
        Stream stream, string? host, string from, CancellationToken cancellationToken)
    {
        var check = new Check(this, host);
        var tls = new SslStream(stream);
        try
        {
            if (host is null) await tls.AuthenticateAsServerAsync(check.ForServer(), cancellationToken);
            else await tls.AuthenticateAsClientAsync(check.ForSite(host), cancellationToken);
        }
        catch (Exception e)
        {
            await tls.DisposeAsync();
            if (check.Refusal is { } refusal)
            {
                var who = host is null ? "site" : "server";
                throw new FrameException(
                    ErrorIds.Connection, $"The certificate of the {who} at {from} is refused: {Words.End(refusal)}",
                    isTransient: false, e);
            }
            if (e is AuthenticationException or IOException)
            {
                throw new FrameException(
                    ErrorIds.Connection, $"TLS with {from} failed: the other end refuses the certificate of this one "
                    + $"({check.Own}; its own log says why), speaks no TLS 1.3, or is none of Flare's: "
                    + $"{Innermost(e).Message}", isTransient: e is IOException, e);
            }
            throw;
        }
        return new(tls, check.Certificates, check.Proof!, check.Refusal);
    }

    // TLS's own message says that it failed; the alert is further in.
    private static Exception Innermost(Exception e) => e.InnerException is { } inner ? Innermost(inner) : e;

    /// <summary>What the other end has shown.</summary>
    /// <param name="Stream">The connection.</param>
    /// <param name="Certificates">Its certificate, and what it sent along.</param>
    /// <param name="Proof">Whom they prove.</param>
    /// <param name="Refusal">Why they are refused: for what they prove, or for the address.</param>
    internal sealed record Shown(
        SslStream Stream, IReadOnlyList<byte[]> Certificates, PeerProof Proof, string? Refusal);

    private sealed class Check(TlsEnd end, string? host)
    {
        private readonly SslStreamCertificateContext _own = end.Certificate();

        public PeerProof? Proof { get; private set; }

        public IReadOnlyList<byte[]> Certificates { get; private set; } = [];

        public string? Refusal { get; private set; }

        public string Own
        {
            get
            {
                var own = _own.TargetCertificate;
                var name = CertifiedName.Read(own, out _);
                return $"{name} by '{own.Issuer}', until {Words.At(own.NotAfter.ToUniversalTime())}";
            }
        }

        public SslServerAuthenticationOptions ForServer() => new()
        {
            ServerCertificateContext = _own,
            ClientCertificateRequired = true,
            EnabledSslProtocols = SslProtocols.Tls13,
            ApplicationProtocols = Protocols,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck, // the roster's list, which Verify looks at
            RemoteCertificateValidationCallback = Look,
            // A resumed session would bring a certificate that was looked at some other day.
            AllowTlsResume = false,
        };

        public SslClientAuthenticationOptions ForSite(string target) => new()
        {
            TargetHost = target,
            ClientCertificateContext = _own,
            EnabledSslProtocols = SslProtocols.Tls13,
            ApplicationProtocols = Protocols,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            RemoteCertificateValidationCallback = Look,
            AllowTlsResume = false,
        };

        private bool Look(object sender, X509Certificate? given, X509Chain? chain, SslPolicyErrors errors)
        {
            if (given is null)
            {
                Refusal = "it shows none";
                return false;
            }
            using var certificate = X509CertificateLoader.LoadCertificate(given.GetRawCertData());
            var others = chain?.ChainPolicy.ExtraStore ?? [];
            Proof = end.Verify(certificate, others);
            Certificates = [certificate.RawData, .. others.Select(c => c.RawData)];
            Refusal = Proof.Refusal;
            if (Refusal is null && host is not null && !certificate.MatchesHostname(host))
            {
                Refusal = $"it is not for the address '{host}': connect by an address that it names, or have this one "
                    + "added to the project file and the server's kit renewed";
            }
            return Refusal is null || end.ShowsRefused;
        }
    }
}

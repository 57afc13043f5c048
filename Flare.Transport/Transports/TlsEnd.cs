using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>Who an end is, and how it looks at the other's certificate.</summary>
/// <param name="Certificate">The end's own certificate, with its key and what stands between it and a root; asked for
/// at each connection, since it may be renewed.</param>
/// <param name="Verify">The name that a certificate proves, or why it proves none.</param>
internal sealed record TlsEnd(
    Func<SslStreamCertificateContext> Certificate,
    Func<X509Certificate2, X509Certificate2Collection, (string? Name, string? Refusal)> Verify)
{
    // Told apart from whatever else may share the port.
    private static readonly List<SslApplicationProtocol> Protocols = [new("flare/1")];

    /// <summary>Proves both ends to each other over a stream.</summary>
    /// <param name="stream">The bare connection; disposed of where it fails.</param>
    /// <param name="host">The server's name, for a site; null at a server.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The stream and the name that the other end has proven.</returns>
    /// <exception cref="FrameException">The other end is refused, or refuses this one.</exception>
    public async Task<(SslStream Stream, string Name)> AuthenticateAsync(
        Stream stream, string? host, CancellationToken cancellationToken)
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
                throw new FrameException(
                    ErrorIds.Connection, $"The certificate of {(host is null ? "the site" : $"the server {host}")} is "
                    + $"refused: {refusal}.", isTransient: false, e);
            }
            if (e is AuthenticationException or IOException)
            {
                throw new FrameException(
                    ErrorIds.Connection,
                    $"TLS with {host ?? "a site"} failed, most likely because the other end refuses "
                    + $"this one's certificate, or speaks no TLS 1.3: {e.Message}", isTransient: e is IOException, e);
            }
            throw;
        }
        return (tls, check.Name!);
    }

    private sealed class Check(TlsEnd end, string? host)
    {
        public string? Name { get; private set; }

        public string? Refusal { get; private set; }

        public SslServerAuthenticationOptions ForServer() => new()
        {
            ServerCertificateContext = end.Certificate(),
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
            ClientCertificateContext = end.Certificate(),
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
            (Name, Refusal) = end.Verify(certificate, others);
            if (Refusal is null && host is not null && !certificate.MatchesHostname(host))
                Refusal = $"it is not for the address '{host}'";
            return Refusal is null;
        }
    }
}

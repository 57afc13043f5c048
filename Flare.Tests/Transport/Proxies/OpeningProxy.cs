using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Flare.Tests.Transport.Proxies;

/// <summary>
/// A proxy as hospitals have them: HTTP CONNECT with a password, and it opens the TLS that passes, with a certificate
/// of its own. It keeps what sites say, as such a proxy could.
/// </summary>
internal sealed class OpeningProxy : LocalProxy
{
    private readonly X509Certificate2 _certificate;
    private readonly string _authorization;
    private int _tunnels;

    /// <param name="certificate">What it shows to sites in the server's place.</param>
    /// <param name="user">Who may pass.</param>
    /// <param name="password">With what.</param>
    public OpeningProxy(X509Certificate2 certificate, string user, string password)
    {
        _certificate = certificate;
        _authorization = $"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}"))}";
        Start();
    }

    public Uri Address => new($"http://127.0.0.1:{Port}");

    /// <summary>Tunnels that were let through.</summary>
    public int Tunnels => Volatile.Read(ref _tunnels);

    /// <summary>What the first site has said, in the clear.</summary>
    public MemoryStream Said { get; } = new();

    protected override async Task CarryAsync(Socket site, Socket server, int number)
    {
        await using var near = new NetworkStream(site);
        if (await TargetAsync(near) is not { } port) return;
        await server.ConnectAsync(IPAddress.Loopback, port, Stop);
        await using var inner = new SslStream(near);
        await using var outer = new SslStream(new NetworkStream(server));
        await inner.AuthenticateAsServerAsync(
            new SslServerAuthenticationOptions { ServerCertificate = _certificate }, Stop);
        await outer.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost", RemoteCertificateValidationCallback =
                (_, shown, _, _) => shown?.Issuer == _certificate.Issuer,
        }, Stop);
        var isFirst = Interlocked.Increment(ref _tunnels) == 1;
        await Task.WhenAny(CopyAsync(inner, outer, isFirst ? Keep : null), CopyAsync(outer, inner));
    }

    private void Keep(ReadOnlyMemory<byte> bytes)
    {
        lock (Said) Said.Write(bytes.Span);
    }

    // The port that a site wants to reach; null once it has been refused.
    private async Task<int?> TargetAsync(NetworkStream site)
    {
        while (true)
        {
            var head = await HeadAsync(site);
            if (head is null) return null;
            var lines = head.Split("\r\n");
            var isKnown = lines.Any(l => l.Equals(
                $"Proxy-Authorization: {_authorization}", StringComparison.OrdinalIgnoreCase));
            var answer = isKnown ? "HTTP/1.1 200 Connected\r\n\r\n"
                : "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"hospital\"\r\n"
                    + "Content-Length: 0\r\n\r\n";
            await site.WriteAsync(Encoding.ASCII.GetBytes(answer), Stop);
            if (isKnown) return new Uri($"http://{lines[0].Split(' ')[1]}").Port;
        }
    }

    private async Task<string?> HeadAsync(NetworkStream site)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (await site.ReadAsync(one, Stop) == 0) return null;
            head.Append((char)one[0]);
        }
        return head.ToString();
    }
}

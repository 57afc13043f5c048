using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Flare.Tests.Federations;

namespace Flare.Tests.Transport.Proxies;

/// <summary>
/// A proxy as hospitals have them: HTTP CONNECT with a password, and it opens the TLS that passes, with a certificate
/// of its own. It keeps what sites say, as such a proxy could.
/// </summary>
internal sealed class OpeningProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly X509Certificate2 _certificate;
    private readonly string _authorization;
    private readonly Task _accepting;
    private int _tunnels;

    /// <param name="certificate">What it shows to sites in the server's place.</param>
    /// <param name="user">Who may pass.</param>
    /// <param name="password">With what.</param>
    public OpeningProxy(X509Certificate2 certificate, string user, string password)
    {
        _certificate = certificate;
        _authorization = $"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}"))}";
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");

    /// <summary>Tunnels that were let through.</summary>
    public int Tunnels => Volatile.Read(ref _tunnels);

    /// <summary>What the first site has said, in the clear.</summary>
    public MemoryStream Said { get; } = new();

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                _ = CarryAsync(await _listener.AcceptTcpClientAsync(_stop.Token));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task CarryAsync(TcpClient site)
    {
        using (site)
        using (var server = new TcpClient())
        {
            try
            {
                if (await TargetAsync(site.GetStream()) is not { } port) return;
                await server.ConnectAsync(IPAddress.Loopback, port, _stop.Token);
                await using var inner = new SslStream(site.GetStream());
                await using var outer = new SslStream(server.GetStream());
                await inner.AuthenticateAsServerAsync(
                    new SslServerAuthenticationOptions { ServerCertificate = _certificate }, _stop.Token);
                await outer.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
                {
                    TargetHost = "localhost", RemoteCertificateValidationCallback =
                        (_, shown, _, _) => shown?.Issuer == _certificate.Issuer,
                }, _stop.Token);
                var isFirst = Interlocked.Increment(ref _tunnels) == 1;
                await Task.WhenAny(CopyAsync(inner, outer, isFirst ? Said : null), CopyAsync(outer, inner, null));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or IOException
                or ObjectDisposedException or System.Security.Authentication.AuthenticationException)
            {
                // One of both has hung up.
            }
        }
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
            await site.WriteAsync(Encoding.ASCII.GetBytes(answer), _stop.Token);
            if (isKnown) return new Uri($"http://{lines[0].Split(' ')[1]}").Port;
        }
    }

    private async Task<string?> HeadAsync(NetworkStream site)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (await site.ReadAsync(one, _stop.Token) == 0) return null;
            head.Append((char)one[0]);
        }
        return head.ToString();
    }

    private async Task CopyAsync(Stream from, Stream to, MemoryStream? keep)
    {
        var buffer = new byte[16 * 1024];
        try
        {
            while (await from.ReadAsync(buffer, _stop.Token) is > 0 and var count)
            {
                if (keep is not null) lock (keep) keep.Write(buffer, 0, count);
                await to.WriteAsync(buffer.AsMemory(0, count), _stop.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or IOException
            or ObjectDisposedException)
        {
            // One of both has hung up.
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting.WaitAsync(Patience.Long);
    }
}

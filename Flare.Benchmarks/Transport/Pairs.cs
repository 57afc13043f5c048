using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Benchmarks.Transport;

/// <summary>Connected streams on this machine, set as Flare sets its own.</summary>
internal static class Pairs
{
    private static readonly X509Certificate2 Certificate = Make();

    /// <param name="tls">Whether over TLS.</param>
    /// <param name="boundsUnsent">Whether the system is told to hold little that is not sent yet.</param>
    /// <param name="between">What the site connects to in the server's place, from the server's port.</param>
    public static async Task<(Stream Site, Stream Server)> ConnectAsync(
        bool tls, bool boundsUnsent = true, Func<int, int>? between = null)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var site = new Socket(SocketType.Stream, ProtocolType.Tcp);
        var accepting = listener.AcceptSocketAsync();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        await site.ConnectAsync(IPAddress.Loopback, between?.Invoke(port) ?? port);
        var server = await accepting;
        foreach (var socket in new[] { site, server })
        {
            socket.NoDelay = true;
            if (boundsUnsent && OperatingSystem.IsLinux())
                socket.SetRawSocketOption(6, 25, BitConverter.GetBytes(64 * 1024));
        }
        Stream a = new NetworkStream(site, true), b = new NetworkStream(server, true);
        if (!tls) return (a, b);
        var client = new SslStream(a, false, IsOurs);
        var host = new SslStream(b, false, IsOurs);
        await Task.WhenAll(
            host.AuthenticateAsServerAsync(new SslServerAuthenticationOptions
            {
                ServerCertificate = Certificate, ClientCertificateRequired = true,
                EnabledSslProtocols = SslProtocols.Tls13,
            }),
            client.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "localhost", ClientCertificates = [Certificate], EnabledSslProtocols = SslProtocols.Tls13,
            }));
        return (client, host);
    }

    /// <summary>The pipes that Flare's transports make of a stream.</summary>
    public static IDuplexPipe Pipes(Stream stream) => new Duplex(
        PipeReader.Create(stream, new(bufferSize: 128 * 1024, minimumReadSize: 16 * 1024)),
        PipeWriter.Create(stream, new(minimumBufferSize: 16 * 1024)));

    private static bool IsOurs(object sender, X509Certificate? shown, X509Chain? chain, SslPolicyErrors errors) =>
        shown?.GetCertHashString() == Certificate.Thumbprint;

    private static X509Certificate2 Make()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        using var made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}

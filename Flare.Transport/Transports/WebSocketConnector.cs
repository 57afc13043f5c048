using System.Net;
using System.Net.WebSockets;

namespace Flare.Transport;

/// <summary>
/// A site's way to its server as a WebSocket: the same frames through whatever lets browsers through. Where a proxy on
/// the way opens TLS, the certificate that the site sees is the proxy's, and the server sees none of the site: the site
/// then proves its name inside the connection.
/// </summary>
public sealed class WebSocketConnector : IFlareConnector
{
    /// <summary>The sub-protocol that is asked for.</summary>
    public const string SubProtocol = "flare.1";

    private readonly Uri _address;

    /// <summary>Creates a connector.</summary>
    /// <param name="address">Such as <c>wss://host/flare</c>; <c>ws</c> hides nothing and is for tests.</param>
    public WebSocketConnector(Uri address)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (address.Scheme is not ("ws" or "wss"))
            throw new ArgumentException($"The address {address} is not one of ws or wss.", nameof(address));
        _address = address;
    }

    /// <summary>
    /// The proxy, with its credentials where it asks for some; the system's unless set. TLS goes through it by CONNECT.
    /// </summary>
    public IWebProxy? Proxy { get; init; }

    /// <summary>What else the connection needs: client certificates, headers, the check of the server's
    /// certificate.</summary>
    public Action<ClientWebSocketOptions>? Configure { get; init; }

    /// <summary>How long connecting may take in all; 30 s unless set.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <inheritdoc/>
    public async ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        var socket = new ClientWebSocket();
        socket.Options.AddSubProtocol(SubProtocol);
        socket.Options.KeepAliveInterval = TimeSpan.Zero; // the frames' own say more
        if (Proxy is not null) socket.Options.Proxy = Proxy;
        Configure?.Invoke(socket.Options);
        using var timeout = new CancellationTokenSource(ConnectTimeout);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await socket.ConnectAsync(_address, either.Token);
            if (socket.SubProtocol != SubProtocol)
            {
                throw new FrameException(
                    ErrorIds.Connection, $"{_address} is a WebSocket, and not of Flare: it does not speak the "
                    + $"sub-protocol {SubProtocol}.", isTransient: false);
            }
            return StreamPipes.Connection(StreamOf(socket), null, _address.ToString(), boundsUnsent: false);
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or HttpRequestException)
        {
            socket.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            if (Refusal(e) is { } refusal)
            {
                throw new FrameException(
                    ErrorIds.Connection, $"{_address} cannot be reached: {refusal}.", isTransient: false, e);
            }
            var why = timeout.IsCancellationRequested
                ? Invariant($"it did not answer within {ConnectTimeout.TotalSeconds} s") : Innermost(e).Message;
            throw new FrameException(ErrorIds.Connection, $"{_address} cannot be reached: {why}", isTransient: true, e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    // A proxy that does not know its user will not do so later, either.
    private string? Refusal(Exception e)
    {
        for (var inner = e; inner is not null; inner = inner.InnerException!)
        {
            if (inner is HttpRequestException { StatusCode: HttpStatusCode.ProxyAuthenticationRequired })
            {
                var proxy = (Proxy ?? HttpClient.DefaultProxy).GetProxy(Http(_address));
                return $"the proxy {proxy} answers with status 407: it does not let this site through by the user and "
                    + $"password that it is given; set the credentials of {nameof(WebSocketConnector)}.{nameof(Proxy)}";
            }
        }
        return null;
    }

    // The frames have said their Close; the WebSocket's own is not waited for long, of a peer that may not answer.
    internal static WebSocketStream StreamOf(WebSocket socket) =>
        WebSocketStream.Create(socket, WebSocketMessageType.Binary, closeTimeout: TimeSpan.FromSeconds(1));

    // Proxies are told by the schemes of HTTP.
    private static Uri Http(Uri address) =>
        new UriBuilder(address) { Scheme = address.Scheme == "wss" ? Uri.UriSchemeHttps : Uri.UriSchemeHttp }.Uri;

    // A WebSocket's own message says that it failed; why is further in.
    private static Exception Innermost(Exception e) => e.InnerException is { } inner ? Innermost(inner) : e;
}

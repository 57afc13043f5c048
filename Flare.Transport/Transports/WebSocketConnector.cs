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
    private readonly SocketOptions _options;

    /// <summary>Creates a connector.</summary>
    /// <param name="address">Such as <c>wss://host/flare</c>; <c>ws</c> hides nothing and is for tests.</param>
    /// <param name="options">How it connects, and through which proxy; the defaults if left out.</param>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public WebSocketConnector(Uri address, SocketOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (address.Scheme is not ("ws" or "wss"))
            throw new ArgumentException($"The address {address} is not one of ws or wss.", nameof(address));
        (_address, _options) = (address, (options ?? new()).Checked());
    }

    /// <inheritdoc/>
    public async ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.ConnectTimeout, _options.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        var socket = new ClientWebSocket();
        socket.Options.AddSubProtocol(SubProtocol);
        socket.Options.KeepAliveInterval = TimeSpan.Zero; // the frames' own say more
        try
        {
            if (_options.Proxy is not null) socket.Options.Proxy = _options.Proxy;
            _options.ConfigureWebSocket?.Invoke(socket.Options);
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
                ? Invariant($"it did not answer within {_options.ConnectTimeout.TotalSeconds} s")
                : Innermost(e).Message;
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
                var proxy = (_options.Proxy ?? HttpClient.DefaultProxy).GetProxy(Http(_address));
                return $"the proxy {proxy} answers with status 407: it does not let this site through by the user and "
                    + $"password that it is given; set the credentials of {nameof(SocketOptions)}."
                    + nameof(SocketOptions.Proxy);
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

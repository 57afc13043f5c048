using System.IO.Pipelines;
using System.Net.WebSockets;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Transport;

/// <summary>
/// Takes connections that the application has accepted itself: WebSockets of its Kestrel, or whatever else gives a
/// duplex pipe. Whoever connects proves who it is inside the connection (<see cref="ChannelProof"/>), since what the
/// application sees of a site on the way through proxies is the last proxy.
/// </summary>
/// <example><code>
/// app.Map("/flare", async (HttpContext http) =>
/// {
///     using var socket = await http.WebSockets.AcceptWebSocketAsync(WebSocketConnector.SubProtocol);
///     await listener.CarryAsync(socket, $"{http.Connection.RemoteIpAddress}", http.RequestAborted);
/// });
/// </code></example>
public sealed class HostedListener : IFlareListener
{
    private readonly IdentitySource? _identity;
    private readonly ILoggerFactory _logging;
    private readonly ListenLimits _limits;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly LinkedList<CancellationTokenSource> _proving = new();

    // Taken by one caller that hands each to its own work at once: a few places are enough.
    private readonly Channel<FlareConnection> _ready = Channel.CreateBounded<FlareConnection>(16);

    /// <summary>Creates a listener; <see cref="FederationServer.Start(IFlareListener, LinkLimits?, ILoggerFactory?,
    /// TimeProvider?)"/> takes from it.</summary>
    /// <param name="address">Where sites reach it, for logs: <c>wss://study.example.org/flare</c>.</param>
    /// <param name="identity">Who the server is; it stays the caller's. Each connection has to prove its name to
    /// it.</param>
    /// <param name="options">How many may be proving who they are at once, and for how long; logging and clock. Bounds
    /// for each address are the application's affair: behind a proxy all have one.</param>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public HostedListener(string address, FlareIdentity identity, SocketOptions? options = null)
        : this(address, IdentitySource.Of(identity, options?.Logging), options)
    {
    }

    /// <summary>The same with an identity that may change: each connection has the newest.</summary>
    /// <param name="address">Where sites reach it, for logs.</param>
    /// <param name="identity">Who the server is, now and later; it stays the caller's.</param>
    /// <param name="options">As for the other constructor.</param>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public HostedListener(string address, IdentitySource identity, SocketOptions? options = null)
        : this(address, options) => _identity = identity ?? throw new ArgumentNullException(nameof(identity));

    private HostedListener(string address, SocketOptions? options)
    {
        ArgumentException.ThrowIfNullOrEmpty(address);
        options = (options ?? new()).Checked();
        (Address, _limits, _time) = (address, options.Limits, options.Time);
        _logging = options.Logging;
        _logger = _logging.CreateLogger("Flare.Transport");
    }

    /// <summary>
    /// A listener whose connections prove nothing by themselves: for an application that knows by its own means who is
    /// there (<see cref="CarryAsync(IDuplexPipe, string?, string, CancellationToken)"/>), and for tests.
    /// </summary>
    /// <param name="address">Where sites reach it, for logs.</param>
    /// <param name="options">Logging.</param>
    public static HostedListener WithoutProof(string address, SocketOptions? options = null) => new(address, options);

    /// <inheritdoc/>
    public string Address { get; }

    /// <summary>Carries a WebSocket until it ends.</summary>
    /// <param name="socket">An open one, of the sub-protocol <see cref="WebSocketConnector.SubProtocol"/>.</param>
    /// <param name="from">Where it comes from, for logs.</param>
    /// <param name="cancellationToken">Gives up while it is proving who it is: the request's.</param>
    /// <returns>Ends when the connection has; one that is refused is logged, and told why as far as it can be.
    /// Whoever has accepted the WebSocket keeps the request open until then.</returns>
    /// <exception cref="ArgumentException">The WebSocket has another sub-protocol.</exception>
    public Task CarryAsync(WebSocket socket, string from, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentException.ThrowIfNullOrEmpty(from);
        if (socket.SubProtocol != WebSocketConnector.SubProtocol)
        {
            throw new ArgumentException(
                $"The WebSocket has the sub-protocol '{socket.SubProtocol}': accept it with "
                + $"{nameof(WebSocketConnector)}.{nameof(WebSocketConnector.SubProtocol)}.", nameof(socket));
        }
        var stream = WebSocketConnector.StreamOf(socket);
        return CarryAsync(
            StreamPipes.Connection(stream, null, from, boundsUnsent: false), stream.DisposeAsync, cancellationToken);
    }

    /// <summary>Carries a duplex pipe until it ends.</summary>
    /// <param name="pipe">The connection's bytes in both directions.</param>
    /// <param name="provenName">The site's name, where the application has proof of it; where the listener has an
    /// identity, the one that is proven inside counts.</param>
    /// <param name="from">Where it comes from, for logs.</param>
    /// <param name="cancellationToken">Gives up while it is proving who it is.</param>
    /// <returns>Ends when the connection has, whose pipes are then completed.</returns>
    public Task CarryAsync(IDuplexPipe pipe, string? provenName, string from, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(pipe);
        ArgumentException.ThrowIfNullOrEmpty(from);
        return CarryAsync(
            new(pipe.Input, pipe.Output, provenName, from, false, static () => default), async () =>
            {
                await pipe.Input.CompleteAsync();
                await pipe.Output.CompleteAsync();
            }, cancellationToken);
    }

    private async Task CarryAsync(
        FlareConnection connection, Func<ValueTask> close, CancellationToken cancellationToken)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        connection = new(
            connection.Input, connection.Output, connection.PeerName, connection.PeerAddress, connection.BoundsUnsent,
            async () =>
            {
                try
                {
                    await close();
                }
                finally
                {
                    ended.TrySetResult();
                }
            });
        try
        {
            if (_identity is not null) connection = await ProveAsync(connection, _identity, cancellationToken);
            await _ready.Writer.WriteAsync(connection, _stop.Token);
        }
        catch (Exception e) when (e is FrameException or IOException or WebSocketException or OperationCanceledException
            or ObjectDisposedException or ChannelClosedException)
        {
            await connection.DisposeAsync();
            if (!_stop.IsCancellationRequested) Log.DroppedUnproven(_logger, connection.PeerAddress, e.Message);
        }
        await ended.Task;
    }

    private async Task<FlareConnection> ProveAsync(
        FlareConnection connection, IdentitySource identity, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_limits.HandshakeTimeout, _time);
        using var dropped = new CancellationTokenSource();
        using var any = CancellationTokenSource.CreateLinkedTokenSource(
            timeout.Token, dropped.Token, _stop.Token, cancellationToken);
        LinkedListNode<CancellationTokenSource> node;
        CancellationTokenSource? oldest = null;
        lock (_gate)
        {
            // The one that has taken longest makes room: an honest one takes milliseconds.
            if (_proving.Count >= _limits.MaxHandshakes)
            {
                oldest = _proving.First!.Value;
                _proving.RemoveFirst();
            }
            node = _proving.AddLast(dropped);
        }
        try
        {
            Drop(oldest); // what it calls is not for under the lock
            return await ChannelProof.ProveAsync(connection, identity, _time, _logging, any.Token);
        }
        catch (OperationCanceledException e)
        {
            throw new FrameException(
                ErrorIds.Connection, timeout.IsCancellationRequested ? "it took too long to prove who it is"
                : dropped.IsCancellationRequested ? "too many are proving who they are, and it had taken longest"
                : "it was given up while it proved who it is", isTransient: true, e);
        }
        finally
        {
            lock (_gate)
                if (node.List is not null) _proving.Remove(node);
        }
    }

    // It may have ended meanwhile, and disposed of its source.
    private static void Drop(CancellationTokenSource? oldest)
    {
        try
        {
            oldest?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // Its place is free all the same.
        }
    }

    /// <inheritdoc/>
    public async ValueTask<FlareConnection?> AcceptAsync(CancellationToken cancellationToken)
    {
        while (await _ready.Reader.WaitToReadAsync(cancellationToken))
            if (_ready.Reader.TryRead(out var connection)) return connection;
        return null;
    }

    /// <summary>Drops connections that nobody has taken; those that were taken are their server's.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _ready.Writer.TryComplete();
        while (_ready.Reader.TryRead(out var connection)) await connection.DisposeAsync();
    }
}

using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>TCP, with or without TLS, and Unix sockets.</summary>
public sealed class SocketTransport : IFlareTransport
{
    private readonly string _host;
    private readonly int _port;
    private readonly string? _path;
    private readonly TlsEnd? _tls;
    private readonly SocketOptions _options;
    private IdentitySource? _identity;

    private SocketTransport(string host, int port, string? path, TlsEnd? tls, SocketOptions? options)
    {
        (_host, _port, _path, _tls) = (host, port, path, tls);
        _options = (options ?? new()).Checked();
    }

    /// <summary>
    /// TCP without TLS. It proves nobody's name and hides nothing: for one machine, for tests, and inside a tunnel that
    /// does both.
    /// </summary>
    /// <param name="host">A name or an address; at a server, what to listen on: <c>0.0.0.0</c> for all
    /// of IPv4, <c>::</c> for all of both.</param>
    /// <param name="port">The port; 0 at a server for any that is free.</param>
    /// <param name="options">How it connects and listens; the defaults if left out.</param>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public static SocketTransport PlainTcp(string host, int port, SocketOptions? options = null)
    {
        CheckAddress(host, port);
        return new(host, port, null, null, options);
    }

    /// <summary>A Unix socket, for processes of one machine; who may open the file may connect.</summary>
    /// <param name="path">The socket's file; a server makes it, for its own user alone, and deletes it. One that a
    /// server left that is dead is replaced; anything else that stands there is an error.</param>
    /// <param name="options">How it connects and listens; the defaults if left out.</param>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public static SocketTransport Unix(string path, SocketOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new("", 0, path, null, options);
    }

    /// <summary>TCP with TLS 1.3, where both ends prove who they are by the certificates of their kits.</summary>
    /// <param name="host">A name or an address. At a site, what the server's certificate must be for; at a server, what
    /// to listen on: <c>0.0.0.0</c> for all of IPv4, <c>::</c> for all of both.</param>
    /// <param name="port">The port; 0 at a server for any that is free.</param>
    /// <param name="identity">Who this end is; it stays the caller's.</param>
    /// <param name="options">How it connects and listens; the defaults if left out.</param>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public static SocketTransport Tls(string host, int port, FlareIdentity identity, SocketOptions? options = null)
    {
        options ??= new();
        var source = IdentitySource.Of(identity, options.Logging);
        IdentityLog.WarnOfExpiry(Logger(options), identity, options.Time.GetUtcNow());
        return Tls(host, port, source, options);
    }

    /// <summary>
    /// TCP with TLS 1.3, where both ends prove who they are by the certificates of their kits: the newest ones at each
    /// connection. A connection ends when this end learns that the other is refused by now.
    /// </summary>
    /// <param name="host">As for the other overload.</param>
    /// <param name="port">The port; 0 at a server for any that is free.</param>
    /// <param name="identity">Who this end is, now and later; it stays the caller's.</param>
    /// <param name="options">How it connects and listens; the defaults if left out.</param>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public static SocketTransport Tls(string host, int port, IdentitySource identity, SocketOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(identity);
        CheckAddress(host, port);
        options ??= new();
        var time = options.Time;
        var end = new TlsEnd(() => identity.Current.TlsContext, (peer, others) =>
        {
            var now = identity.Current;
            return now.Verify(peer, others, Peer.DueAt(now), time.GetUtcNow());
        });
        return new(host, port, null, end, options) { _identity = identity };
    }

    /// <summary>
    /// The same way, where both ends prove their names inside it (<see cref="ChannelProof"/>): for a Unix socket, and
    /// for TCP in a tunnel that hides what passes.
    /// </summary>
    /// <param name="identity">Who this end is, now and later; it stays the caller's.</param>
    /// <exception cref="InvalidOperationException">It is TLS, which proves them already.</exception>
    public SocketTransport Proving(IdentitySource identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        if (_tls is not null) throw new InvalidOperationException("TLS proves the names of both ends already.");
        return new(_host, _port, _path, null, _options) { _identity = identity };
    }

    internal static SocketTransport Tls(string host, int port, TlsEnd tls, SocketOptions? options = null)
    {
        CheckAddress(host, port);
        return new(host, port, null, tls, options);
    }

    /// <inheritdoc/>
    public async ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.ConnectTimeout, _options.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        var socket = NewSocket(out var endPoint);
        try
        {
            if (endPoint is null) await socket.ConnectAsync(_host, _port, either.Token);
            else await socket.ConnectAsync(endPoint, either.Token);
            var bounded = SocketTuning.Apply(socket);
            return await ProveAsync(socket, _host, bounded, either.Token);
        }
        catch (Exception e) when (e is SocketException or IOException or OperationCanceledException)
        {
            socket.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            var why = timeout.IsCancellationRequested
                ? Invariant($"it did not answer within {_options.ConnectTimeout.TotalSeconds} s") : e.Message;
            throw new FrameException(ErrorIds.Connection, $"{Shown()} cannot be reached: {why}", isTransient: true, e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public IFlareListener Listen()
    {
        var socket = NewSocket(out var endPoint);
        try
        {
            if (_path is not null) SocketFile.Take(_path);
            endPoint ??= new IPEndPoint(Dns.GetHostAddresses(_host)[0], _port);
            if (endPoint is IPEndPoint { AddressFamily: AddressFamily.InterNetwork } && socket.AddressFamily
                == AddressFamily.InterNetworkV6)
            {
                socket.Dispose();
                socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            }
            if (endPoint is IPEndPoint { Address: var all } && all.Equals(IPAddress.IPv6Any)) socket.DualMode = true;
            socket.Bind(endPoint);
            if (_path is not null && !OperatingSystem.IsWindows())
                File.SetUnixFileMode(_path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            var shown = socket.LocalEndPoint is IPEndPoint bound
                ? $"{(_tls is null ? "tcp" : "flare")}://{bound}" : Shown();
            return new SocketListener(
                socket, shown, AcceptAsync, _options.Limits, _options.Time,
                Logger(_options), hearsFirst: _identity is not null || _tls is not null,
                () => { if (_path is not null) SocketFile.Leave(_path); });
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException)
        {
            socket.Dispose();
            throw new FrameException(
                ErrorIds.Connection, $"{Shown()} cannot be listened on: {e.Message}", isTransient: false, e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task<FlareConnection> AcceptAsync(Socket socket, CancellationToken cancellationToken)
    {
        var bounded = SocketTuning.Apply(socket);
        return await ProveAsync(socket, null, bounded, cancellationToken);
    }

    private async Task<FlareConnection> ProveAsync(
        Socket socket, string? host, bool bounded, CancellationToken cancellationToken)
    {
        var from = socket.RemoteEndPoint is IPEndPoint peer ? $"{new IPEndPoint(Plain(peer.Address), peer.Port)}"
            : socket.RemoteEndPoint?.ToString() is { Length: > 0 } path ? path : Shown();
        var stream = new NetworkStream(socket, ownsSocket: true);
        if (_tls is null)
        {
            var plain = StreamPipes.Connection(stream, null, from, bounded);
            return _identity is null ? plain : await ChannelProof.ProveAsync(
                plain, _identity, _options.Time, _options.Logging, cancellationToken);
        }
        var shown = await _tls.AuthenticateAsync(stream, host, from, cancellationToken);
        var connection = StreamPipes.Connection(shown.Stream, shown.Proof.Name, from, bounded);
        return _identity is null ? connection : await Introduction.IntroduceAsync(
            connection, new(_identity, shown.Certificates, _options.Time), Logger(_options), cancellationToken,
            shown.Proof.Unlisted is null ? shown.Refusal : null);
    }

    private Socket NewSocket(out EndPoint? endPoint)
    {
        endPoint = _path is not null ? new UnixDomainSocketEndPoint(_path)
            : IPAddress.TryParse(_host, out var address) ? new IPEndPoint(address, _port) : null;
        return endPoint is null
            ? new(SocketType.Stream, ProtocolType.Tcp)
            : new(
                endPoint.AddressFamily, SocketType.Stream, _path is null ? ProtocolType.Tcp : ProtocolType.Unspecified);
    }

    // A socket for both families shows IPv4 as IPv6.
    internal static IPAddress Plain(IPAddress address) =>
        address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    private static ILogger Logger(SocketOptions options) => options.Logging.CreateLogger("Flare.Transport");

    private string Shown() =>
        _path is not null ? $"unix:{_path}" : $"{(_tls is null ? "tcp" : "flare")}://{_host}:{_port}";

    private static void CheckAddress(string host, int port)
    {
        ArgumentException.ThrowIfNullOrEmpty(host);
        ArgumentOutOfRangeException.ThrowIfNegative(port);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(port, ushort.MaxValue);
    }
}

using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// Listens on a socket. Who connects proves who it is beside all others that do, within bounds of number and time: one
/// that says nothing costs a socket for a while, and the others nothing.
/// </summary>
internal sealed class SocketListener : IFlareListener
{
    private readonly Socket _socket;
    private readonly Func<Socket, CancellationToken, Task<FlareConnection>> _prove;
    private readonly ListenLimits _limits;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly LinkedList<Handshake> _pending = new();
    private readonly Dictionary<IPAddress, int> _byAddress = [];
    private readonly DropLog _dropped, _refused;
    private readonly bool _hearsFirst;
    private readonly Action? _onDispose;
    private readonly Task _accepting;

    // Taken by one caller that hands each to its own work at once: a few places are enough.
    private readonly Channel<FlareConnection> _ready = Channel.CreateBounded<FlareConnection>(16);

    /// <param name="socket">Bound; not yet listening.</param>
    /// <param name="address">How the address is shown.</param>
    /// <param name="prove">Makes a connection of a socket once it has proven who it is; disposes of it
    /// otherwise.</param>
    /// <param name="limits">What may be spent before.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Told of whom is dropped.</param>
    /// <param name="hearsFirst">Whether who connects speaks first, as in TLS: until it does, little is spent.</param>
    /// <param name="onDispose">Called once it is closed.</param>
    public SocketListener(
        Socket socket, string address, Func<Socket, CancellationToken, Task<FlareConnection>> prove,
        ListenLimits limits, TimeProvider time, ILogger logger, bool hearsFirst, Action? onDispose = null)
    {
        (_socket, Address, _prove, _limits, _time, _logger) = (socket, address, prove, limits, time, logger);
        // Whoever is refused is not hidden by a flood of those who prove nothing.
        (_dropped, _refused) = (new(logger, time, address), new(logger, time, address));
        (_hearsFirst, _onDispose) = (hearsFirst, onDispose);
        socket.Listen(limits.Backlog);
        _accepting = Task.Run(AcceptAllAsync);
    }

    public string Address { get; }

    /// <summary>Connections that are proving who they are.</summary>
    internal int Pending
    {
        get { lock (_gate) return _pending.Count; }
    }

    /// <summary>The most that ever were at once.</summary>
    internal int MostPending { get; private set; }

    public async ValueTask<FlareConnection?> AcceptAsync(CancellationToken cancellationToken)
    {
        while (await _ready.Reader.WaitToReadAsync(cancellationToken))
            if (_ready.Reader.TryRead(out var connection)) return connection;
        return null;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _socket.Dispose();
        await _accepting;
        lock (_gate)
            foreach (var handshake in _pending) handshake.Drop();
        _ready.Writer.TryComplete();
        while (_ready.Reader.TryRead(out var connection)) await connection.DisposeAsync();
        _dropped.SayRest();
        _refused.SayRest();
        _onDispose?.Invoke();
    }

    private async Task AcceptAllAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var socket = await _socket.AcceptAsync(_stop.Token);
                if (Begin(socket) is { } handshake) _ = ProveAsync(handshake);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e) // out of descriptors, a peer that is gone already: the next one may fare better
            {
                if (_stop.IsCancellationRequested) return;
                Log.AcceptFailed(_logger, Address, e.Message);
                await Task.Delay(TimeSpan.FromMilliseconds(50), _time);
            }
        }
    }

    private Handshake? Begin(Socket socket)
    {
        var from = SocketTransport.Plain((socket.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None);
        var handshake = new Handshake(socket, from);
        Handshake? dropped = null;
        lock (_gate)
        {
            if (_byAddress.GetValueOrDefault(from) >= _limits.MaxHandshakesPerAddress && !Equals(from, IPAddress.None))
            {
                dropped = _pending.FirstOrDefault(h => !h.Speaks && h.From.Equals(from));
                if (dropped is null)
                {
                    socket.Dispose();
                    _dropped.Dropped($"{from}", "so many of this address are proving who they are");
                    return null;
                }
            }
            else if (_pending.Count >= _limits.MaxHandshakes) dropped = Crowding();
            if (dropped is not null) Remove(dropped);
            handshake.Node = _pending.AddLast(handshake);
            _byAddress[from] = _byAddress.GetValueOrDefault(from) + 1; // the dropped one may be of the same address
            MostPending = Math.Max(MostPending, _pending.Count);
        }
        if (dropped is not null)
        {
            dropped.Drop();
            _dropped.Dropped($"{dropped.From}", dropped.Speaks
                ? "too many are, and it had taken longest" : "too many are, and it had said nothing");
        }
        return handshake;
    }

    // Who says nothing makes room first, then whose address has most: a flood for itself, and not for an honest site.
    private Handshake Crowding() => _pending.MinBy(h => (h.Speaks, -_byAddress[h.From]))!;

    private async Task ProveAsync(Handshake handshake)
    {
        CancellationTokenSource? timeout = null;
        try
        {
            timeout = new(_limits.HandshakeTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _stop.Token);
            if (_hearsFirst)
            {
                await handshake.Socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, either.Token);
                handshake.Speaks = true; // until then it costs a socket, and nothing of TLS
            }
            var connection = await _prove(handshake.Socket, either.Token);
            lock (_gate) Remove(handshake);
            try
            {
                await _ready.Writer.WriteAsync(connection, _stop.Token);
            }
            catch
            {
                await connection.DisposeAsync();
                throw;
            }
        }
        catch (Exception e) when (e is FrameException or IOException or SocketException or ObjectDisposedException
            or OperationCanceledException or ChannelClosedException)
        {
            handshake.Drop();
            if (_stop.IsCancellationRequested) return;
            var isLate = timeout is { IsCancellationRequested: true };
            var why = isLate ? "it took too long to prove who it is"
                : e is FlareException refused ? Words.Of(refused) : e.Message;
            (e is FrameException && !isLate ? _refused : _dropped).Dropped($"{handshake.From}", why);
        }
        catch (Exception e) // of this end: nobody waits for it, so it is said here
        {
            handshake.Drop();
            _dropped.Failed($"{handshake.From}", e);
        }
        finally
        {
            timeout?.Dispose();
            lock (_gate) Remove(handshake);
        }
    }

    private void Remove(Handshake handshake)
    {
        if (handshake.Node is not { } node) return;
        handshake.Node = null;
        _pending.Remove(node);
        if (--_byAddress[handshake.From] == 0) _byAddress.Remove(handshake.From);
    }

    private sealed class Handshake(Socket socket, IPAddress from)
    {
        public Socket Socket => socket;
        public IPAddress From => from;
        public LinkedListNode<Handshake>? Node { get; set; }
        public volatile bool Speaks;
        public void Drop() => socket.Dispose();
    }
}

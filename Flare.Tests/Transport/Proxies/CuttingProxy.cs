using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Flare.Tests.Transport;

/// <summary>
/// Stands between sites and a server, and cuts each connection after so many bytes of either direction.
/// </summary>
internal sealed class CuttingProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly int _port;
    private readonly long _cutAfter;
    private readonly Task _accepting;
    private readonly ConcurrentDictionary<TcpClient, byte> _open = [];
    private readonly Action<ReadOnlyMemory<byte>> _seen;
    private int _cuts;

    /// <param name="port">The server's.</param>
    /// <param name="cutAfter">Bytes of a direction.</param>
    /// <param name="seen">Sees what sites send, from any thread.</param>
    public CuttingProxy(int port, long cutAfter, Action<ReadOnlyMemory<byte>>? seen = null)
    {
        (_port, _cutAfter, _seen) = (port, cutAfter, seen ?? (static _ => { }));
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public int Cuts => Volatile.Read(ref _cuts);

    /// <summary>Cuts all connections that are open.</summary>
    public void CutAll()
    {
        foreach (var client in _open.Keys) client.Dispose();
    }

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
            _open.TryAdd(site, 0);
            try
            {
                await server.ConnectAsync(IPAddress.Loopback, _port, _stop.Token);
                var either = await Task.WhenAny(CopyAsync(site, server, _seen), CopyAsync(server, site));
                if (await either) Interlocked.Increment(ref _cuts);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or IOException
                or ObjectDisposedException)
            {
                // One of both has hung up.
            }
            _open.TryRemove(site, out _);
        }
    }

    private async Task<bool> CopyAsync(TcpClient from, TcpClient to, Action<ReadOnlyMemory<byte>>? seen = null)
    {
        var buffer = new byte[16 * 1024];
        long carried = 0;
        try
        {
            while (true)
            {
                var count = await from.GetStream().ReadAsync(buffer, _stop.Token);
                if (count == 0) return false;
                seen?.Invoke(buffer.AsMemory(0, count));
                await to.GetStream().WriteAsync(buffer.AsMemory(0, count), _stop.Token);
                carried += count;
                if (carried >= _cutAfter) return true;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or IOException
            or ObjectDisposedException or InvalidOperationException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
    }
}

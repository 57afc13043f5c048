using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Flare.Tests.Transport.Proxies;

/// <summary>Cuts each connection after so many bytes of either direction.</summary>
internal sealed class CuttingProxy : LocalProxy
{
    private readonly int _port;
    private readonly long _cutAfter;
    private readonly Action<ReadOnlyMemory<byte>>? _seen;
    private readonly ConcurrentDictionary<Socket, byte> _open = [];
    private int _cuts;

    /// <param name="port">The server's.</param>
    /// <param name="cutAfter">Bytes of a direction.</param>
    /// <param name="seen">Sees what sites send, from any thread.</param>
    public CuttingProxy(int port, long cutAfter, Action<ReadOnlyMemory<byte>>? seen = null)
    {
        (_port, _cutAfter, _seen) = (port, cutAfter, seen);
        Start();
    }

    public int Cuts => Volatile.Read(ref _cuts);

    /// <summary>Cuts all connections that are open.</summary>
    public void CutAll()
    {
        foreach (var site in _open.Keys) site.Dispose();
    }

    protected override async Task CarryAsync(Socket site, Socket server, int number)
    {
        _open.TryAdd(site, 0);
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _port, Stop);
            await using var inner = new NetworkStream(site);
            await using var outer = new NetworkStream(server);
            var either = await Task.WhenAny(
                CopyAsync(inner, outer, _seen, _cutAfter), CopyAsync(outer, inner, most: _cutAfter));
            if (await either) Interlocked.Increment(ref _cuts);
        }
        finally
        {
            _open.TryRemove(site, out _);
        }
    }
}

using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Flare.Tests.Transport.Proxies;

/// <summary>Stands between sites and a server of this machine. A proxy says how it carries a connection.</summary>
internal abstract class LocalProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private Task _accepting = Task.CompletedTask;

    /// <summary>Where sites connect to.</summary>
    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Cancelled when it is disposed of.</summary>
    protected CancellationToken Stop => _stop.Token;

    /// <summary>Begins: the last thing that a constructor does.</summary>
    /// <param name="bufferBytes">Of what a connection to the proxy holds; the system's choice where 0.</param>
    protected void Start(int bufferBytes = 0)
    {
        if (bufferBytes > 0) _listener.Server.ReceiveBufferSize = bufferBytes; // before it listens, for its window
        _listener.Start(512);
        _accepting = AcceptAsync();
    }

    /// <summary>Carries a connection until one of both ends hangs up, which may throw.</summary>
    /// <param name="site">The site's end; disposed of afterwards.</param>
    /// <param name="server">Not connected yet; disposed of afterwards.</param>
    /// <param name="number">Counted from 0.</param>
    protected abstract Task CarryAsync(Socket site, Socket server, int number);

    /// <summary>Passes on what comes, until there is no more or somebody hangs up.</summary>
    /// <param name="from">Where it comes from.</param>
    /// <param name="to">Where it goes.</param>
    /// <param name="seen">Sees it before it goes on.</param>
    /// <param name="most">Bytes after which it leaves off.</param>
    /// <returns>Whether it left off.</returns>
    protected async Task<bool> CopyAsync(
        Stream from, Stream to, Action<ReadOnlyMemory<byte>>? seen = null, long most = long.MaxValue)
    {
        var buffer = new byte[16 * 1024];
        try
        {
            for (long carried = 0; carried < most;)
            {
                var count = await from.ReadAsync(buffer, Stop);
                if (count == 0) return false;
                seen?.Invoke(buffer.AsMemory(0, count));
                await to.WriteAsync(buffer.AsMemory(0, count), Stop);
                carried += count;
            }
            return true;
        }
        catch (Exception e) when (IsHangingUp(e))
        {
            return false;
        }
    }

    /// <summary>Whether that is what comes of a connection that ends.</summary>
    protected static bool IsHangingUp(Exception e) => e is OperationCanceledException or SocketException or IOException
        or ObjectDisposedException or AuthenticationException;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
    }

    private async Task AcceptAsync()
    {
        for (var number = 0; !_stop.IsCancellationRequested; number++)
        {
            try
            {
                _ = CarryAsync(await _listener.AcceptSocketAsync(_stop.Token), number);
            }
            catch (Exception e) when (IsHangingUp(e))
            {
                return;
            }
        }
    }

    private async Task CarryAsync(Socket site, int number)
    {
        using (site)
        using (var server = new Socket(SocketType.Stream, ProtocolType.Tcp))
        {
            try
            {
                await CarryAsync(site, server, number);
            }
            catch (Exception e) when (IsHangingUp(e))
            {
                // One of both has hung up.
            }
        }
    }
}

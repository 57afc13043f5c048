using System.Net;
using System.Net.Sockets;

/// <summary>Stands between the sites and the server, and cuts all that passes every second.</summary>
internal sealed class CuttingProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<TcpClient> _open = [];
    private readonly int _server;
    private readonly Task _work;

    /// <param name="server">The server's port on this machine.</param>
    public CuttingProxy(int server)
    {
        _server = server;
        _listener.Start();
        _work = Task.WhenAll(AcceptAllAsync(), CutAllAsync());
    }

    /// <summary>Where sites connect.</summary>
    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Connections that were cut.</summary>
    public int Cuts { get; private set; }

    private async Task CutAllAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                TcpClient[] open;
                lock (_open) open = [.. _open];
                foreach (var client in open) client.Dispose();
                Cuts += open.Length;
            }
        }
        catch (OperationCanceledException)
        {
            // The run is over.
        }
    }

    private async Task AcceptAllAsync()
    {
        try
        {
            while (true) _ = CarryAsync(await _listener.AcceptTcpClientAsync(_stop.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The run is over.
        }
    }

    private async Task CarryAsync(TcpClient site)
    {
        using var server = new TcpClient();
        lock (_open) _open.Add(site);
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _server, _stop.Token);
            NetworkStream up = server.GetStream(), down = site.GetStream();
            await Task.WhenAny(down.CopyToAsync(up, _stop.Token), up.CopyToAsync(down, _stop.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or IOException
            or InvalidOperationException)
        {
            // The server is not there yet, or the site was cut off already.
        }
        finally
        {
            lock (_open) _open.Remove(site);
            site.Dispose();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _work;
    }
}

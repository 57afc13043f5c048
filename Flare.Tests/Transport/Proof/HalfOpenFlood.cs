using System.Net;
using System.Net.Sockets;

namespace Flare.Tests.Transport.Proof;

/// <summary>
/// Connections that never prove who they are, from 250 addresses of this machine: a third says nothing, a third the
/// first byte of TLS, a third half of what TLS begins with.
/// </summary>
internal sealed class HalfOpenFlood(int port, int count) : IDisposable
{
    private const int Addresses = 250, AtOnce = 64;

    private static readonly byte[] HalfHello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, .. new byte[200]];

    private readonly List<Socket> _open = [];
    private int _opened, _failed;

    /// <summary>How many the system let through to the server, whatever became of them.</summary>
    public int Opened => Volatile.Read(ref _opened);

    /// <summary>How many the system did not.</summary>
    public int Failed => Volatile.Read(ref _failed);

    /// <summary>Opens them, and leaves them open.</summary>
    public Task RunAsync() => Parallel.ForAsync(
        0, count, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (i, _) => await OpenAsync(i));

    private async Task OpenAsync(int i)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        lock (_open) _open.Add(socket);
        try
        {
            socket.Bind(new IPEndPoint(new IPAddress([127, 1, (byte)(i % Addresses), 1]), 0));
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            await socket.ConnectAsync(IPAddress.Loopback, port, patience.Token);
            Interlocked.Increment(ref _opened);
            if (i % 3 > 0) await socket.SendAsync(HalfHello.AsMemory(0, i % 3 == 1 ? 1 : HalfHello.Length));
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            if (!socket.Connected) Interlocked.Increment(ref _failed);
        }
    }

    public void Dispose()
    {
        foreach (var socket in _open) socket.Dispose();
    }
}

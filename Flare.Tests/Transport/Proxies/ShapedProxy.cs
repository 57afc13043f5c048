using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Flare.Tests.Transport.Proxies;

/// <summary>What a connection through a <see cref="ShapedProxy"/> may carry.</summary>
internal sealed record Shape
{
    /// <summary>Bytes a second towards the server.</summary>
    public double Up { get; init; } = double.PositiveInfinity;

    /// <summary>Bytes a second towards the site.</summary>
    public double Down { get; init; } = double.PositiveInfinity;

    /// <summary>Bytes of either direction that pass unhindered before.</summary>
    public long Free { get; init; }

    /// <summary>Nothing passes towards the site, after what is free, until this ends.</summary>
    public Task Held { get; init; } = Task.CompletedTask;

    /// <summary>Bytes of a socket's buffers for what arrives; the system's choice where 0.</summary>
    public int BufferBytes { get; init; }
}

/// <summary>A link of some speed between sites and a server of this machine: a bucket of tokens each way.</summary>
internal sealed class ShapedProxy : LocalProxy
{
    private readonly ConcurrentDictionary<int, long> _down = new();
    private readonly int _port;
    private readonly Func<int, Shape> _shapeOf;

    /// <param name="port">The server's.</param>
    /// <param name="shapeOf">What each connection may carry, counted from 0.</param>
    /// <param name="bufferBytes">Of what a connection to the proxy holds; the system's choice where 0.</param>
    public ShapedProxy(int port, Func<int, Shape> shapeOf, int bufferBytes = 0)
    {
        (_port, _shapeOf) = (port, shapeOf);
        Start(bufferBytes);
    }

    /// <summary>Bytes that each connection has had carried towards its site.</summary>
    public long[] Down => [.. _down.ToArray().OrderBy(d => d.Key).Select(d => d.Value)];

    protected override async Task CarryAsync(Socket site, Socket server, int number)
    {
        var shape = _shapeOf(number);
        _down[number] = 0;
        if (shape.BufferBytes > 0) server.ReceiveBufferSize = shape.BufferBytes;
        site.NoDelay = server.NoDelay = true;
        await server.ConnectAsync(IPAddress.Loopback, _port, Stop);
        await Task.WhenAny(
            CopyAsync(site, server, shape.Up, shape.Free, Task.CompletedTask, _ => { }),
            CopyAsync(
                server, site, shape.Down, shape.Free, shape.Held, count => _down.AddOrUpdate(
                    number, count, (_, before) => before + count)));
    }

    private async Task CopyAsync(
        Socket from, Socket to, double speed, long free, Task held, Action<int> carried)
    {
        // A millisecond's worth at a time: what is behind waits no longer than for that.
        var step = (int)Math.Clamp(speed / 1000, 1, 64 * 1024);
        var buffer = new byte[free > 0 ? 64 * 1024 : step];
        var due = 0.0;
        long passed = 0;
        try
        {
            while (true)
            {
                if (passed >= free) await held.WaitAsync(Stop);
                var most = passed < free ? (int)Math.Min(buffer.Length, free - passed) : step;
                var count = await from.ReceiveAsync(buffer.AsMemory(0, most), Stop);
                if (count == 0) return;
                if (passed >= free && !double.IsInfinity(speed))
                {
                    var now = Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;
                    due = Math.Max(due, now - 0.002) + count / speed;
                    if (due - now > 0.001) await Task.Delay(TimeSpan.FromSeconds(due - now), Stop);
                }
                for (var sent = 0; sent < count;)
                    sent += await to.SendAsync(buffer.AsMemory(sent, count - sent), Stop);
                passed += count;
                carried(count);
            }
        }
        catch (Exception e) when (IsHangingUp(e))
        {
            // One of both has hung up.
        }
    }
}

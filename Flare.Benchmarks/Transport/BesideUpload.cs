using System.Globalization;
using Flare.Tests.Transport;
using Flare.Tests.Transport.Proxies;
using Flare.Transport;

namespace Flare.Benchmarks.Transport;

/// <summary>
/// <c>transport beside</c>: small requests beside an upload of 40 MB over TLS through a link of 100 Mbit/s that holds
/// 64 KiB (a proxy of tokens): how long they take where the system holds little that is unsent, where the sender paces
/// itself, and where neither is so.
/// </summary>
internal static class BesideUpload
{
    private const double BytesPerSecond = 100e6 / 8;

    internal enum Sender
    {
        /// <summary>TCP_NOTSENT_LOWAT, as Flare's sockets have it where the system knows it.</summary>
        Bounded,
        /// <summary>The sender's own pace, as on Windows.</summary>
        Paced,
        /// <summary>Neither.</summary>
        Free,
    }

    public static async Task<int> RunAsync(Options options)
    {
        foreach (var sender in Enum.GetValues<Sender>())
        {
            var (p50, p99, megabits) = await MeasureAsync(sender, options.Number("--times", 3));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{sender,-8} requests beside an upload: median {p50:F1} ms, p99 {p99:F1} ms; upload {megabits:F1} "
                + $"Mbit/s"));
        }
        return 0;
    }

    /// <returns>Milliseconds of a request, and the upload's speed.</returns>
    public static async Task<(double P50, double P99, double Megabits)> MeasureAsync(Sender sender, int times = 3)
    {
        var content = new byte[40_000_000];
        ShapedProxy? link = null;
        var (site, server) = await Pairs.ConnectAsync(
            tls: true, boundsUnsent: sender == Sender.Bounded, port =>
            {
                link = new(port, _ => new() { Up = BytesPerSecond, Down = BytesPerSecond }, bufferBytes: 64 * 1024);
                return link.Port;
            });
        await using var proxy = link!;
        await using var ends = new FrameEnds(site, server, content, new() { PaceSending = sender == Sender.Paced });
        await ends.ReadyAsync();
        await ends.RequestAsync(100);
        var requests = new List<double>();
        var seconds = 0.0;
        for (var i = 0; i < times; i++)
        {
            var moving = ends.MoveAsync();
            while (!moving.IsCompleted)
            {
                requests.Add(await ends.RequestAsync() / 1e3);
                await Task.Delay(3);
            }
            seconds += await moving;
        }
        requests.Sort();
        return (
            requests[requests.Count / 2], requests[(int)(requests.Count * 0.99)],
            content.Length * 8.0 * times / seconds / 1e6);
    }
}

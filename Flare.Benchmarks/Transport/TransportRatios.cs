using System.Diagnostics;
using Flare.Benchmarks.Rounds;
using Flare.Transport;

namespace Flare.Benchmarks.Transport;

/// <summary>Flare's frames beside bare connections of the same settings, turn by turn in one run.</summary>
public static class TransportRatios
{
    private const int Turns = 15;
    private const int Requests = 3000;

    /// <summary>Measures; about a minute on two cores.</summary>
    public static IReadOnlyDictionary<string, double> Measure() => MeasureAsync().GetAwaiter().GetResult();

    private static async Task<IReadOnlyDictionary<string, double>> MeasureAsync()
    {
        var content = new byte[40_000_000];
        Random.Shared.NextBytes(content);
        var tcp = await CompareAsync(tls: false, content);
        var tls = await CompareAsync(tls: true, content);
        var rounds = (await NoOpRounds.MeasureAsync(8, 6000, Loopback.Tls)).Seconds;
        var bounded = await BesideUpload.MeasureAsync(BesideUpload.Sender.Bounded);
        var paced = await BesideUpload.MeasureAsync(BesideUpload.Sender.Paced);
        var free = await BesideUpload.MeasureAsync(BesideUpload.Sender.Free);
        var (large, bare) = await LargeRoundAsync();
        return new Dictionary<string, double>
        {
            ["transport.tcp_over_socket"] = tcp.Ratio,
            ["transport.tcp_bare_over_bare"] = tcp.Noise,
            ["transport.tls_over_sslstream"] = tls.Ratio,
            ["transport.tls_bare_over_bare"] = tls.Noise,
            ["transport.tls_gigabytes_per_second"] = tls.Gigabytes,
            ["transport.request_p50_us"] = tls.Request,
            ["transport.bare_p50_us"] = tls.Bare,
            ["transport.bytes_per_request"] = tls.Bytes,
            ["transport.noop_round_8_tls_ms"] = rounds[rounds.Length / 2] * 1e3,
            ["transport.noop_round_8_tls_p10_ms"] = rounds[rounds.Length / 10] * 1e3,
            ["transport.beside_upload_p99_ms"] = bounded.P99,
            ["transport.beside_upload_p99_paced_ms"] = paced.P99,
            ["transport.beside_upload_p99_unbounded_ms"] = free.P99,
            ["transport.upload_mbit"] = bounded.Megabits,
            ["transport.upload_paced_mbit"] = paced.Megabits,
            ["transport.round_8x10m_tls_s"] = large,
            ["transport.round_8x10m_over_bare"] = large / bare,
        };
    }

    private static async Task<(double Ratio, double Noise, double Gigabytes, double Request, double Bare, double Bytes)>
        CompareAsync(bool tls, byte[] content)
    {
        var first = await Pairs.ConnectAsync(tls);
        var second = await Pairs.ConnectAsync(tls);
        var third = await Pairs.ConnectAsync(tls);
        var bare = new BareEnds(first.Site, first.Server, content);
        var again = new BareEnds(second.Site, second.Server, content);
        var frames = new FrameEnds(third.Site, third.Server, content);
        await frames.ReadyAsync();
        var times = new List<(double Bare, double Again, double Frames)>();
        var requests = new List<(double Bare, double Frames, double Bytes)>();
        for (var turn = -3; turn < Turns; turn++)
        {
            var moved = (await bare.MoveAsync(), await again.MoveAsync(), await frames.MoveAsync());
            var asked = await bare.RequestAsync(Requests);
            var (micros, bytes) = await frames.RequestAsync(Requests);
            if (turn < 0) continue; // code is compiled in tiers
            times.Add(moved);
            requests.Add((asked, micros, bytes));
        }
        return (
            Median(times.Select(t => t.Bare / t.Frames)), Median(times.Select(t => t.Bare / t.Again)),
            Median(times.Select(t => content.Length / 1e9 / t.Frames)), Median(requests.Select(r => r.Frames)),
            Median(requests.Select(r => r.Bare)), Median(requests.Select(r => r.Bytes)));
    }

    // A model of 10M parameters to 8 sites and 8 differences back, and the same bytes over one bare connection after
    // the other, which is what two cores have to do at the least.
    private static async Task<(double Round, double Bare)> LargeRoundAsync()
    {
        const int rounds = 8;
        var model = NoOpFederation.Model(10_000_000);
        await using var federation = NoOpFederation.Create(8, rounds, model, f => f.UseTransport(Loopback.Tls));
        var round = Median(await SecondsAsync(federation, model, skip: 2));
        var content = new byte[40_000_000];
        var (site, server) = await Pairs.ConnectAsync(tls: true);
        var ends = new BareEnds(site, server, content);
        var bare = new List<double>();
        for (var i = 0; i < 48; i++) bare.Add(await ends.MoveAsync());
        return (round, Median(bare.Skip(8)) * 16);
    }

    private static async Task<IEnumerable<double>> SecondsAsync(Federation federation, StateDict model, int skip)
    {
        var seconds = new List<double>();
        var clock = Stopwatch.StartNew();
        await foreach (var _ in federation.RunAsync(model))
        {
            seconds.Add(clock.Elapsed.TotalSeconds);
            clock.Restart();
        }
        return seconds.Skip(skip);
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}

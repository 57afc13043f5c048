using System.Buffers;
using Flare.Testing;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>What a cap on the bandwidth does, on virtual time.</summary>
public class BandwidthTests
{
    private const int Rate = 100_000;

    private static ReadOnlySequence<byte> Content(int length) => new(new byte[length]);

    private static void OnLoop(
        Func<SimulationLoop, (FrameOptions A, FrameOptions B)> options, Func<SimulationLoop, FramePeers, Task> test)
    {
        var loop = new SimulationLoop(1);
        var (a, b) = options(loop);
        var end = loop.Run(async () =>
        {
            await using var peers = new FramePeers(new(onLoop: true), a, b, loop.Time);
            await peers.StartAsync();
            await test(loop, peers);
        }, TimeSpan.FromHours(4));
        Assert.That(end, Is.EqualTo(SimulationEnd.Completed));
        Assert.That(loop.Unhandled, Is.Empty);
    }

    private static BandwidthLimit Limit(SimulationLoop loop, long? rate = Rate) =>
        new(loop.Time) { BytesPerSecond = rate };

    // What a bucket holds at most, and a chunk or window that is owed, may come on top.
    private static void AssertTook(SimulationLoop loop, TimeSpan since, long bytes, double slack = 1)
    {
        var seconds = (loop.Now - since).TotalSeconds;
        Assert.That(seconds, Is.InRange((double)bytes / Rate - slack, (double)bytes / Rate + slack));
    }

    [Test]
    public void Streams_that_are_sent_share_it([Values(1, 3)] int streams) => OnLoop(
        loop => (new() { SendLimit = Limit(loop) }, new()),
        async (loop, peers) =>
        {
            var since = loop.Now;
            var sent = Enumerable.Range(0, streams)
                .Select(_ => peers.A.SendStreamAsync(1, default, Content(1_000_000))).ToArray();
            foreach (var stream in sent) await stream;
            AssertTook(loop, since, streams * 1_000_000L);
        });

    [Test]
    public void Streams_that_come_share_it([Values(1, 3)] int streams) => OnLoop(
        loop => (new(), new() { ReceiveLimit = Limit(loop), StreamWindow = 1 << 16 }),
        async (loop, peers) =>
        {
            var since = loop.Now;
            var sent = Enumerable.Range(0, streams)
                .Select(_ => peers.A.SendStreamAsync(1, default, Content(1_000_000))).ToArray();
            foreach (var stream in sent) await stream;
            foreach (var sink in peers.AtB.Streams) Assert.That(await sink.Ended, Is.Null);
            AssertTook(loop, since, streams * 1_000_000L, slack: streams);
        });

    [Test]
    public void A_wide_window_comes_at_once_and_is_paid_for_later() => OnLoop(
        loop => (new(), new() { ReceiveLimit = Limit(loop), StreamWindow = 1 << 20 }),
        async (loop, peers) =>
        {
            var since = loop.Now;
            for (var i = 0; i < 3; i++) await peers.A.SendStreamAsync(1, default, Content(3_000_000));
            foreach (var sink in peers.AtB.Streams) await sink.Ended;
            AssertTook(loop, since, 9_000_000, slack: 22);
        });

    [Test]
    public void Messages_and_heartbeats_pass_it() => OnLoop(
        loop => (new() { SendLimit = Limit(loop, BandwidthLimit.Least) },
            new() { ReceiveLimit = Limit(loop, BandwidthLimit.Least), IdleTimeout = TimeSpan.FromSeconds(3) }),
        async (loop, peers) =>
        {
            var sending = peers.A.SendStreamAsync(1, default, Content(5_000_000)); // five minutes
            for (var i = 1; i <= 100; i++)
            {
                var heard = new TaskCompletionSource();
                peers.AtB.OnEachMessage = (_, _) => heard.TrySetResult();
                var before = loop.Now;
                peers.A.Send(1, new byte[60_000]);
                await heard.Task;
                Assert.That(loop.Now - before, Is.LessThan(TimeSpan.FromMilliseconds(50)));
                await Task.Delay(TimeSpan.FromSeconds(1), loop.Time);
            }
            Assert.That(sending.IsCompleted, Is.False);
            await sending;
            Assert.That(await peers.AtB.Streams[0].Ended, Is.Null);
            Assert.That(peers.A.Ended.IsCompleted || peers.B.Ended.IsCompleted, Is.False);
        });

    [Test]
    public void It_is_set_anew_while_streams_wait([Values] bool atReceiver)
    {
        BandwidthLimit? limit = null;
        OnLoop(
            loop =>
            {
                limit = Limit(loop, BandwidthLimit.Least);
                return atReceiver ? (new(), new() { ReceiveLimit = limit, StreamWindow = 1 << 16 })
                    : (new() { SendLimit = limit }, new());
            },
            async (loop, peers) =>
            {
                var sending = peers.A.SendStreamAsync(1, default, Content(10_000_000)); // ten minutes
                await Task.Delay(TimeSpan.FromSeconds(10), loop.Time);
                Assert.That(sending.IsCompleted, Is.False);
                limit!.BytesPerSecond = Rate * 10;
                await sending;
                Assert.That(loop.Now.TotalSeconds, Is.InRange(18, 22));
                sending = peers.A.SendStreamAsync(1, default, Content(10_000_000));
                limit.BytesPerSecond = null;
                var before = loop.Now;
                await sending;
                Assert.That(loop.Now - before, Is.LessThan(TimeSpan.FromSeconds(1)));
            });
    }

    [Test]
    public void Connections_share_one()
    {
        var loop = new SimulationLoop(1);
        var limit = Limit(loop);
        var end = loop.Run(async () =>
        {
            await using var one = new FramePeers(new(onLoop: true), new() { SendLimit = limit }, time: loop.Time);
            await using var two = new FramePeers(new(onLoop: true), new() { SendLimit = limit }, time: loop.Time);
            await one.StartAsync();
            await two.StartAsync();
            var since = loop.Now;
            var first = one.A.SendStreamAsync(1, default, Content(1_000_000));
            await two.A.SendStreamAsync(1, default, Content(1_000_000));
            await first;
            AssertTook(loop, since, 2_000_000);
        }, TimeSpan.FromHours(1));
        Assert.That(end, Is.EqualTo(SimulationEnd.Completed));
    }

    [Test]
    public async Task A_sites_cap_holds_over_its_connections_both_ways()
    {
        var values = new float[250_000]; // a megabyte down, and one up
        await using var server = FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));
        await using var plan = new ServerBuilder().AddSites("a").UseController(Sites.Training())
            .UseInitialModel(Sites.Model(values)).Build();
        await using var site = FederationSite.Connect(
            SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server)), "a",
            limits: new() { Frames = new() { ReceiveLimit = new() { BytesPerSecond = 1_000_000 } } });
        site.SetBandwidth(1_000_000, 1_000_000);
        var (began, trained) = (TimeProvider.System.GetTimestamp(), 0L);
        await using var sitePlan = new SiteBuilder("a").UseExecutor(() => Sites.Answering(m =>
        {
            trained = TimeProvider.System.GetTimestamp();
            return Sites.Diff(m, 1);
        })).Build();
        _ = site.Join(sitePlan);
        await server.Run(plan).Ended.WaitAsync(Patience.Long);
        // Never sooner; how much later is the machine's matter.
        Assert.That(TimeProvider.System.GetElapsedTime(began, trained).TotalSeconds, Is.GreaterThan(0.4));
        Assert.That(TimeProvider.System.GetElapsedTime(trained).TotalSeconds, Is.GreaterThan(0.4));
    }

    [TestCase(1, null)]
    [TestCase(null, BandwidthLimit.Least - 1)]
    public async Task Less_than_the_least_is_refused(long? up, long? down)
    {
        await using var site = FederationSite.Connect(SocketTransport.PlainTcp("127.0.0.1", 1), "a");
        Assert.Throws<ArgumentOutOfRangeException>(() => site.SetBandwidth(up, down));
    }
}

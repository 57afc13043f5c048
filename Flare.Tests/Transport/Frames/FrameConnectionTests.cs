using System.Buffers;
using System.Text;
using Flare.Testing;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

public class FrameConnectionTests
{
    [Test]
    public async Task Messages_arrive_whole_and_in_order_both_ways([Values(0, 1, 3)] int chop)
    {
        await using var peers = new FramePeers(new(chop: chop == 0 ? null : () => chop));
        await peers.StartAsync();
        var last = new CountdownEvent(2);
        peers.AtA.OnEachMessage = peers.AtB.OnEachMessage = (channel, _) => { if (channel == 99) last.Signal(); };
        for (var i = 0; i < 50; i++)
        {
            Assert.That(peers.A.Send((uint)i, FramePeers.Bytes(i * 7, i)));
            Assert.That(peers.B.Send((uint)i, FramePeers.Bytes(i * 5, i)));
        }
        peers.A.Send(99, []);
        peers.B.Send(99, []);
        Assert.That(last.Wait(Patience.Long));
        Assert.That(
            peers.AtB.Messages.Take(50)
            .Select(m => m.Bytes), Is.EqualTo(Enumerable.Range(0, 50).Select(i => FramePeers.Bytes(i * 7, i))));
        Assert.That(
            peers.AtA.Messages.Take(50)
            .Select(m => m.Bytes), Is.EqualTo(Enumerable.Range(0, 50).Select(i => FramePeers.Bytes(i * 5, i))));
        Assert.That(peers.AtB.Messages.Select(m => m.Channel), Is.EqualTo(Enumerable.Range(0, 50).Append(99)));
    }

    [TestCase(0, 0, 1 << 20)]
    [TestCase(1, 0, 1 << 20)]
    [TestCase(65528, 0, 1 << 20)]
    [TestCase(65529, 1, 1 << 20)]
    [TestCase(3_000_000, 0, 1 << 20)]
    [TestCase(3_000_000, 1_234_567, 1 << 20)]
    [TestCase(3_000_000, 3_000_000, 1 << 20)]
    [TestCase(1_000_000, 5, 1000)]
    public async Task A_stream_brings_the_bytes_from_its_offset_on(int length, int offset, int piece)
    {
        var small = new FrameOptions { StreamWindow = 1 << 16 }; // credit has to be given many times
        await using var peers = new FramePeers(a: small, b: small);
        await peers.StartAsync();
        var bytes = FramePeers.Bytes(length);
        await peers.A.SendStreamAsync(7, new byte[] { 1, 2, 3 }, FramePeers.InPieces(bytes, piece), offset)
            .WaitAsync(Patience.Long);
        peers.A.Send(0, "after"u8);
        await WaitFor(() => peers.AtB.Streams.Count == 1);
        var sink = peers.AtB.Streams[0];
        Assert.That(await sink.Ended.WaitAsync(Patience.Long), Is.Null);
        Assert.That(sink.Bytes, Is.EqualTo(bytes[offset..]));
        Assert.That(
            (sink.Channel, sink.Length, sink.Offset, sink.Ends), Is.EqualTo((7u, (long)length, (long)offset, 1)));
        Assert.That(sink.Head, Is.EqualTo(new byte[] { 1, 2, 3 }));
    }

    [Test]
    public async Task A_small_message_passes_a_stream_and_streams_share_the_pipe()
    {
        await using var peers = new FramePeers();
        await peers.StartAsync();
        var gate = new SemaphoreSlim(0);
        var seen = new List<long>();
        peers.AtB.OnEachMessage = (_, _) => seen.Add(peers.AtB.Streams.Sum(s => s.Bytes.Length));
        peers.AtB.Answer = sink =>
        {
            sink.OnWrite = at => { if (at == 0) gate.Wait(Patience.Long); };
            return StreamAnswer.Accept(sink);
        };
        var bytes = FramePeers.Bytes(4_000_000);
        var first = peers.A.SendStreamAsync(0, default, new(bytes));
        var second = peers.A.SendStreamAsync(0, default, new(bytes));
        await WaitFor(() => peers.AtB.Streams.Count >= 1);
        peers.A.Send(0, "small"u8);
        gate.Release(2);
        await Task.WhenAll(first, second).WaitAsync(Patience.Long);
        foreach (var sink in peers.AtB.Streams) Assert.That(await sink.Ended.WaitAsync(Patience.Long), Is.Null);
        Assert.That(seen, Has.Count.EqualTo(1));
        // Behind what the pipe held, and a chunk that was on its way: not behind eight million bytes.
        Assert.That(seen[0], Is.LessThan(600_000));
    }

    [Test]
    public async Task A_stream_that_is_refused_says_why_and_the_connection_goes_on()
    {
        await using var peers = new FramePeers();
        await peers.StartAsync();
        peers.AtB.Answer = sink => sink.Channel == 1 ? StreamAnswer.Refuse("no room\nfor it")
            : StreamAnswer.Accept(sink);
        var e = Assert.ThrowsAsync<FrameException>(
            () => peers.A.SendStreamAsync(1, default, new(new byte[20_000_000])).WaitAsync(Patience.Long));
        Assert.That(e!.Message, Does.Contain("no room?for it"));
        await peers.A.SendStreamAsync(2, default, new(new byte[1000])).WaitAsync(Patience.Long);
        await WaitFor(() => peers.AtB.Streams.Count == 2);
        Assert.That(await peers.AtB.Streams[1].Ended.WaitAsync(Patience.Long), Is.Null);
    }

    [Test]
    public async Task A_sink_that_does_not_want_more_ends_its_stream_alone()
    {
        await using var peers = new FramePeers();
        await peers.StartAsync();
        peers.AtB.Answer = sink =>
        {
            sink.OnWrite = at =>
            {
                if (at > 100_000) throw new FlareException(ErrorIds.MalformedBytes, "not what was announced");
            };
            return StreamAnswer.Accept(sink);
        };
        var e = Assert.ThrowsAsync<FrameException>(
            () => peers.A.SendStreamAsync(1, default, new(new byte[20_000_000])).WaitAsync(Patience.Long));
        Assert.That(e!.Message, Does.Contain("not what was announced"));
        Assert.That(await peers.AtB.Streams[0].Ended, Does.Contain("not what was announced"));
        Assert.That(peers.A.Send(0, "still here"u8));
        await WaitFor(() => peers.AtB.Messages.Count == 1);
    }

    [Test]
    public async Task A_stream_that_is_broken_off_ends_at_both_ends_and_gives_its_memory_back()
    {
        await using var peers = new FramePeers();
        await peers.StartAsync();
        using var cancel = new CancellationTokenSource();
        peers.AtB.Answer = sink =>
        {
            sink.OnWrite = at => { if (at > 1_000_000) cancel.Cancel(); };
            return StreamAnswer.Accept(sink);
        };
        Assert.CatchAsync<OperationCanceledException>(() => peers.A.SendStreamAsync(
            1, default, new(new byte[40_000_000]), cancellationToken: cancel.Token).WaitAsync(Patience.Long));
        Assert.That(await peers.AtB.Streams[0].Ended.WaitAsync(Patience.Long), Does.Contain("broken it off"));
        await peers.A.SendStreamAsync(2, default, new(new byte[10])).WaitAsync(Patience.Long);
    }

    [Test]
    public async Task Closing_sends_what_is_queued_first()
    {
        await using var peers = new FramePeers();
        await peers.StartAsync();
        var stream = peers.A.SendStreamAsync(0, default, new(new byte[3_000_000]));
        for (var i = 0; i < 100; i++) peers.A.Send(5, new byte[1000]);
        var end = await peers.A.CloseAsync("the job is over", Patience.Long);
        await stream;
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.Closed));
        var other = await peers.B.Ended.WaitAsync(Patience.Long);
        Assert.That((other.Kind, other.Reason), Is.EqualTo((ConnectionEndKind.ClosedByPeer, "the job is over")));
        Assert.That(peers.AtB.Messages, Has.Count.EqualTo(100));
        Assert.That(await peers.AtB.Streams[0].Ended, Is.Null);
        Assert.That(peers.A.Send(0, []), Is.False);
        Assert.ThrowsAsync<FrameException>(() => peers.A.SendStreamAsync(0, default, default));
    }

    [Test]
    public async Task A_receivers_exception_ends_the_connection_and_is_told_to_its_operator_alone()
    {
        await using var peers = new FramePeers();
        peers.AtB.OnEachMessage = (_, _) => throw new InvalidTimeZoneException("patient 7");
        await peers.StartAsync();
        peers.A.Send(0, []);
        var end = await peers.B.Ended.WaitAsync(Patience.Long);
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.Failed));
        Assert.That(end.Error, Is.InstanceOf<InvalidTimeZoneException>());
        var other = await peers.A.Ended.WaitAsync(Patience.Long);
        Assert.That(other.Kind, Is.EqualTo(ConnectionEndKind.ClosedByPeer));
        Assert.That(other.Reason, Does.Not.Contain("patient"));
    }

    [Test]
    public async Task What_the_other_end_does_not_take_is_refused_here()
    {
        await using var peers = new FramePeers(
            b: new() { MaxMessageBytes = 2000, MaxStreams = 1, MaxStreamHeadBytes = 64 });
        await peers.StartAsync();
        Assert.That(peers.A.MaxMessageBytes, Is.EqualTo(2000));
        Assert.Throws<ArgumentException>(() => peers.A.Send(0, new byte[2001]));
        Assert.ThrowsAsync<ArgumentException>(() => peers.A.SendStreamAsync(0, new byte[65], default));
        using var gate = new SemaphoreSlim(0);
        peers.AtB.Answer = sink =>
        {
            sink.OnWrite = _ => gate.Wait(Patience.Long);
            return StreamAnswer.Accept(sink);
        };
        var first = peers.A.SendStreamAsync(0, default, new(new byte[30_000_000]));
        var e = Assert.ThrowsAsync<FrameException>(() => peers.A.SendStreamAsync(0, default, new(new byte[10])));
        Assert.That(e!.IsTransient);
        gate.Release(100_000);
        await first.WaitAsync(Patience.Long);
    }

    [Test]
    public void Options_say_everything_that_is_wrong()
    {
        var wrong = new FrameOptions { MaxMessageBytes = 1, StreamWindow = 0, IdleTimeout = TimeSpan.Zero };
        Assert.That(wrong.Validate().Count(), Is.EqualTo(3));
        var e = Assert.Throws<FlareException>(() => new FrameConnection(new PipePair().A, true, new Recorder(), wrong));
        Assert.That(e!.Message, Does.Contain("MaxMessageBytes").And.Contain("StreamWindow").And.Contain("IdleTimeout"));
    }

    [TestCase((1 << 20) + (1 << 16) - 1, false)]
    [TestCase((1 << 20) + (1 << 16), true)]
    public async Task The_longest_message_and_head_find_room_in_the_smallest_queue(int queued, bool isTaken)
    {
        var sender = new FrameOptions { MaxQueuedBytes = queued };
        Assert.That(sender.Validate().Any(), Is.Not.EqualTo(isTaken));
        if (!isTaken) return;
        await using var peers = new FramePeers(
            a: sender, b: new() { MaxMessageBytes = 1 << 20, MaxStreamHeadBytes = 1 << 20 });
        await peers.StartAsync();
        Assert.That(peers.A.Send(1, new byte[1 << 20]));
        await WaitFor(() => peers.AtB.Messages.Count == 1);
        await peers.A.SendStreamAsync(1, new byte[1 << 20], new(new byte[10])).WaitAsync(Patience.Long);
        await WaitFor(() => peers.AtB.Streams.Count == 1);
    }

    [Test]
    public async Task Messages_allocate_nothing_once_the_buffers_have_their_size()
    {
        await using var peers = new FramePeers();
        await peers.StartAsync();
        var got = 0;
        using var done = new SemaphoreSlim(0);
        var message = new byte[100];
        var receiver = new Counting(() => { if (++got % 1000 == 0) done.Release(); });
        await using var to = new FrameConnection(new PipePair().A, true, receiver);
        var pipes = new PipePair();
        await using var a = new FrameConnection(pipes.A, true, new Recorder());
        await using var b = new FrameConnection(pipes.B, false, receiver);
        _ = a.RunAsync();
        _ = b.RunAsync();
        await a.Ready;
        async Task Thousand()
        {
            for (var i = 0; i < 1000; i++) a.Send(0, message);
            Assert.That(await done.WaitAsync(Patience.Long));
        }
        for (var i = 0; i < 20; i++) await Thousand();
        var before = GC.GetTotalAllocatedBytes(precise: true);
        for (var i = 0; i < 10; i++) await Thousand();
        Assert.That((GC.GetTotalAllocatedBytes(precise: true) - before) / 10_000, Is.LessThan(100));
    }

    private sealed class Counting(Action count) : IFrameReceiver
    {
        public void OnMessage(uint channel, in ReadOnlySequence<byte> message) => count();
        public StreamAnswer OnStream(in StreamOffer offer) => StreamAnswer.Refuse("none here");
    }

    internal static async Task WaitFor(Func<bool> condition)
    {
        var end = DateTime.UtcNow + Patience.Long;
        while (!condition())
        {
            Assert.That(DateTime.UtcNow, Is.LessThan(end), "what must happen has not");
            await Task.Delay(2);
        }
    }
}

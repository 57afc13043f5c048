using Flare.Testing;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>What depends on time, on a virtual clock.</summary>
public class FrameTimeTests
{
    [Test]
    public void An_idle_connection_lives_by_its_heartbeats() => OnLoop(async (loop, peers) =>
    {
        await peers.StartAsync();
        await Task.Delay(TimeSpan.FromHours(3), loop.Time);
        Assert.That(peers.A.Ended.IsCompleted || peers.B.Ended.IsCompleted, Is.False);
        Assert.That(peers.A.Send(0, "still"u8));
        await Task.Delay(TimeSpan.FromSeconds(1), loop.Time);
        Assert.That(peers.AtB.Messages, Has.Count.EqualTo(1));
    });

    [Test]
    public void What_nobody_waits_for_goes_out_with_the_next_or_a_little_later() => OnLoop(async (loop, peers) =>
    {
        await peers.StartAsync();
        peers.A.Send(0, "receipt"u8, mayWait: true);
        await Task.Delay(TimeSpan.FromMilliseconds(4), loop.Time);
        Assert.That(peers.AtB.Messages, Is.Empty);
        await Task.Delay(TimeSpan.FromMilliseconds(2), loop.Time);
        Assert.That(peers.AtB.Messages, Has.Count.EqualTo(1));
        peers.A.Send(0, "receipt"u8, mayWait: true);
        peers.A.Send(0, "word"u8);
        await Task.Delay(TimeSpan.FromMilliseconds(1), loop.Time);
        Assert.That(
            peers.AtB.Messages.Select(m => m.Bytes), Is.EqualTo(new[] { "receipt", "receipt", "word" }.Select(w =>
            System.Text.Encoding.UTF8.GetBytes(w))));
    });

    [Test]
    public void What_nobody_waits_for_is_said_before_the_end() => OnLoop(async (loop, peers) =>
    {
        await peers.StartAsync();
        peers.A.Send(0, "receipt"u8, mayWait: true);
        await peers.A.CloseAsync("done", TimeSpan.FromSeconds(1));
        Assert.That(peers.AtB.Messages, Has.Count.EqualTo(1));
    });

    [Test]
    public void Silence_ends_a_connection() => OnLoop(async (loop, peers) =>
    {
        _ = peers.A.RunAsync();
        await peers.Pipes.B.Output.WriteAsync(RawFrames.Hello());
        var end = await peers.A.Ended;
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.TimedOut));
        Assert.That(end.Reason, Does.Contain("30 s"));
        Assert.That(end.IsTransient);
        Assert.That(loop.Now, Is.InRange(TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(33)));
    });

    [Test]
    public void Whoever_says_no_hello_is_hung_up_on() => OnLoop(async (loop, peers) =>
    {
        var end = await peers.A.RunAsync();
        Assert.That((end.Kind, loop.Now < TimeSpan.FromSeconds(13)), Is.EqualTo((ConnectionEndKind.TimedOut, true)));
        Assert.That(end.Reason, Does.Contain("hello within 10 s"));
        Assert.That(await CaughtAsync(peers.A.Ready), Is.InstanceOf<FrameException>());
    });

    [Test]
    public void Whoever_takes_nothing_loses_the_connection_and_streams_fail() => OnLoop(async (loop, peers) =>
    {
        _ = peers.A.RunAsync();
        // An end that says hello and its heartbeats, and reads nothing.
        await peers.Pipes.B.Output.WriteAsync(RawFrames.Hello());
        await peers.A.Ready;
        var beats = RawFrames.BeatAsync(peers.Pipes.B.Output, loop.Time, () => peers.A.Ended.IsCompleted);
        var stream = peers.A.SendStreamAsync(0, default, new(new byte[1_000_000]));
        var end = await peers.A.Ended;
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.TimedOut));
        Assert.That(end.Reason, Does.Contain("taken nothing for 60 s"));
        Assert.That(await CaughtAsync(stream), Is.InstanceOf<FrameException>());
        await beats;
    });

    [Test]
    public void More_messages_than_may_wait_end_the_connection() => OnLoop(async (loop, peers) =>
    {
        _ = peers.A.RunAsync();
        await peers.Pipes.B.Output.WriteAsync(RawFrames.Hello());
        await peers.A.Ready;
        for (var i = 0; i < 300 && peers.A.Send(0, new byte[60_000]); i++) { }
        Assert.That(peers.A.Send(0, []), Is.False);
        var end = await peers.A.Ended;
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.TimedOut));
        Assert.That(end.Reason, Does.Contain("takes so little"));
    });

    [Test]
    public void Closing_gives_up_on_an_end_that_does_not_answer() => OnLoop(async (loop, peers) =>
    {
        _ = peers.A.RunAsync();
        await peers.Pipes.B.Output.WriteAsync(RawFrames.Hello());
        await peers.A.Ready;
        var end = await peers.A.CloseAsync("done", TimeSpan.FromSeconds(5));
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.Closed));
        Assert.That(end.Reason, Does.Contain("without waiting any longer"));
        Assert.That(loop.Now, Is.InRange(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(8)));
    });

    [Test]
    public void The_less_patient_end_is_heard_of_in_time()
    {
        var loop = new SimulationLoop(3);
        var end = loop.Run(async () =>
        {
            await using var peers = new FramePeers(
                new(onLoop: true), new() { IdleTimeout = TimeSpan.FromSeconds(2) }, time: loop.Time);
            await peers.StartAsync();
            await Task.Delay(TimeSpan.FromMinutes(20), loop.Time);
            Assert.That(peers.A.Ended.IsCompleted || peers.B.Ended.IsCompleted, Is.False);
        }, TimeSpan.FromHours(1));
        Assert.That(end, Is.EqualTo(SimulationEnd.Completed));
    }

    [Test]
    public void A_stream_that_trickles_loses_its_connection() => OnLoop(async (loop, peers) =>
    {
        var running = peers.A.RunAsync();
        await peers.Pipes.B.Output.WriteAsync(RawFrames.Hello());
        await peers.Pipes.B.Output.WriteAsync(RawFrames.Open(2, 0, 1_000_000, 0));
        while (!running.IsCompleted)
        {
            await peers.Pipes.B.Output.WriteAsync(RawFrames.Data(2, 7));
            await Task.Delay(TimeSpan.FromSeconds(1), loop.Time);
        }
        Assert.That((await running).Reason, Does.Contain("bytes of its streams in 60 s"));
        Assert.That(loop.Now, Is.InRange(TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(65)));
        Assert.That(peers.AtA.Streams[0].Ends, Is.EqualTo(1));
    });

    private static async Task<Exception?> CaughtAsync(Task task)
    {
        try
        {
            await task;
            return null;
        }
        catch (FrameException e)
        {
            return e;
        }
    }

    private static void OnLoop(Func<SimulationLoop, FramePeers, Task> test, ulong seed = 1)
    {
        var loop = new SimulationLoop(seed);
        var end = loop.Run(async () =>
        {
            await using var peers = new FramePeers(new(onLoop: true), time: loop.Time);
            await test(loop, peers);
        }, TimeSpan.FromHours(4));
        Assert.That(end, Is.EqualTo(SimulationEnd.Completed));
        Assert.That(loop.Unhandled, Is.Empty);
        Assert.That(loop.Escapes, Is.Zero, loop.FirstEscape);
    }
}

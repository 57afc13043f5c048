using System.Buffers;
using Flare.Runtime;
using Flare.Testing;

namespace Flare.Tests.Rig;

public class SimulatedNetworkTests
{
    [Test]
    public void A_reliable_network_keeps_the_order()
    {
        var heard = Exchange(new() { IsReliable = true, MaxDelay = TimeSpan.FromSeconds(1) }, messages: 50, _ => { });
        Assert.That(heard, Is.EqualTo(Enumerable.Range(1, 50)));
    }

    [Test]
    public void A_bad_one_loses_repeats_and_reorders()
    {
        var heard = Exchange(new() { Loss = 0.2, Duplication = 0.2, Straggling = 0.1 }, messages: 200, _ => { });
        Assert.That(heard.Distinct().Count(), Is.InRange(130, 190));
        Assert.That(heard, Has.Count.GreaterThan(heard.Distinct().Count() + 10));
        Assert.That(heard, Is.Not.Ordered);
    }

    [Test]
    public void A_cut_stops_its_direction_and_what_is_on_its_way([Values] LinkDirections cut)
    {
        var heard = Exchange(NetworkFaults.None, messages: 10, network => network.Cut("site", cut));
        Assert.That(heard, Has.Count.EqualTo(cut.HasFlag(LinkDirections.ToServer) ? 0 : 10));
    }

    [Test]
    public void An_end_that_was_replaced_neither_sends_nor_hears()
    {
        var loop = new SimulationLoop(1);
        var network = new SimulatedNetwork(loop);
        List<string> heard = [];
        loop.Run(async () =>
        {
            network.ConnectServer().Start((_, m) => heard.Add($"first: {m.Head.Incarnation}"), Ignore);
            var old = network.ConnectSite("site");
            old.Send(Message(FrameKind.Hello, 1));
            network.ConnectServer().Start((_, m) => heard.Add($"second: {m.Head.Incarnation}"), Ignore);
            var current = network.ConnectSite("site");
            old.Send(Message(FrameKind.Hello, 2));
            current.Send(Message(FrameKind.Hello, 3));
            await Task.Delay(TimeSpan.FromSeconds(1), loop.Time);
            network.DisconnectServer();
            current.Send(Message(FrameKind.Hello, 4));
            await Task.Delay(TimeSpan.FromSeconds(1), loop.Time);
        }, TimeSpan.FromMinutes(1));
        // The straggler of the old end reaches the server that is there now.
        Assert.That(heard, Is.EquivalentTo(new[] { "second: 1", "second: 3" }));
        Assert.That((network.Sent, network.Dropped), Is.EqualTo((3L, 1L)));
    }

    [Test]
    public void A_slow_link_carries_one_large_message_after_the_other_and_lets_small_ones_pass()
    {
        var loop = new SimulationLoop(1);
        var network = new SimulatedNetwork(loop) { Faults = new() { BytesPerSecond = 50 } };
        List<(FrameKind Message, double Seconds)> heard = [];
        loop.Run(async () =>
        {
            network.ConnectServer().Start(
                (_, m) => heard.Add((m.Head.Kind, Math.Round(loop.Now.TotalSeconds))), Ignore);
            var site = network.ConnectSite("site");
            for (var i = 1; i <= 2; i++)
                site.Send(Message(FrameKind.TaskResult, 1, bytes: 100));
            site.Send(Message(FrameKind.Heartbeat, 1));
            await Task.Delay(TimeSpan.FromSeconds(20), loop.Time);
        }, TimeSpan.FromMinutes(1));
        Assert.That(
            heard, Is.EqualTo(
                new[] { (FrameKind.Heartbeat, 0.0), (FrameKind.TaskResult, 2.0), (FrameKind.TaskResult, 4.0) }));
    }

    private static void Ignore(string site, LinkState state)
    {
    }

    private static LinkMessage Message(FrameKind kind, long incarnation, int bytes = 0) =>
        new(new FrameHead(kind, incarnation, 1, 0, 0, 0, bytes), new ReadOnlySequence<byte>(new byte[bytes]));

    private static List<int> Exchange(NetworkFaults faults, int messages, Action<SimulatedNetwork> onceSent)
    {
        var loop = new SimulationLoop(7);
        var network = new SimulatedNetwork(loop) { Faults = faults };
        List<int> heard = [];
        loop.Run(async () =>
        {
            network.ConnectServer().Start((_, m) => heard.Add((int)m.Head.Incarnation), Ignore);
            var site = network.ConnectSite("site");
            for (var i = 1; i <= messages; i++) site.Send(Message(FrameKind.Hello, i));
            onceSent(network);
            await Task.Delay(TimeSpan.FromMinutes(1), loop.Time);
        }, TimeSpan.FromHours(1));
        return heard;
    }
}

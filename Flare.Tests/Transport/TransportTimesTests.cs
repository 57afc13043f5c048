using System.Net.Sockets;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>Times that options name: what no timer takes is refused before anything begins.</summary>
public class TransportTimesTests
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    private static IEnumerable<TestCaseData> Options()
    {
        yield return Case("HandshakeTimeout", t => new ListenLimits { HandshakeTimeout = t }.Validate());
        yield return Case(
            "HandshakeTimeout", t => new SocketOptions { Limits = new() { HandshakeTimeout = t } }.Validate());
        yield return Case("ConnectTimeout", t => new SocketOptions { ConnectTimeout = t }.Validate());
        yield return Case("ProcessTimeout", t => new ExternalOptions { ProcessTimeout = t }.Validate());
        yield return Case("TaskTimeout", t => new ExternalOptions { TaskTimeout = t }.Validate());
        yield return Case("PartialsKept", t => new LinkLimits { PartialsKept = t }.Validate());
        yield return Case("LongestPause", t => new LinkLimits { LongestPause = t }.Validate());
        yield return Case("FirstPause", t => new LinkLimits { FirstPause = t, LongestPause = t }.Validate());
        yield return Case("CloseGrace", t => new LinkLimits { CloseGrace = t }.Validate());
    }

    private static TestCaseData Case(string name, Func<TimeSpan, IEnumerable<string>> validate) =>
        new TestCaseData(name, validate).SetArgDisplayNames(name);

    [TestCaseSource(nameof(Options))]
    public void A_time_of_more_than_a_day_is_refused_by_its_name(
        string name, Func<TimeSpan, IEnumerable<string>> validate)
    {
        foreach (var wrong in new[]
        {
            TimeSpan.MaxValue, TimeSpan.FromDays(60), Day + TimeSpan.FromTicks(1), -TimeSpan.FromSeconds(2),
            TimeSpan.MinValue,
        })
        {
            Assert.That(validate(wrong), Has.One.Contains(name).And.Contains($"{wrong}").And.Contains("a day"));
        }
        Assert.That(validate(Day), Is.Empty);
    }

    [Test]
    public void Whoever_takes_the_options_refuses_them()
    {
        var never = TimeSpan.MaxValue;
        var options = new SocketOptions { Limits = new() { HandshakeTimeout = never } };
        Assert.That(
            () => SocketTransport.PlainTcp("127.0.0.1", 0, options),
            Throws.TypeOf<FlareException>().With.Message.Contains("HandshakeTimeout"));
        Assert.That(
            () => HostedListener.WithoutProof("pipes", options),
            Throws.TypeOf<FlareException>().With.Message.Contains("HandshakeTimeout"));
        Assert.That(
            () => FederationSite.Connect(
                SocketTransport.PlainTcp("127.0.0.1", 1), "a", limits: new() { LongestPause = never }),
            Throws.TypeOf<FlareException>().With.Message.Contains("LongestPause"));
        Assert.That(
            () => IdentitySource.Open("a kit", interval: never),
            Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("interval"));
    }

    private sealed class BrokenClock : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            throw new InvalidOperationException("the clock is broken");
    }

    [Test]
    public async Task An_error_at_the_listeners_end_hangs_up_and_is_logged()
    {
        var logged = new LogRecorder();
        await using var listener = SocketTransport.PlainTcp(
            "127.0.0.1", 0, new() { Time = new BrokenClock(), Logging = logged }).Listen();
        using var client = new TcpClient("127.0.0.1", new Uri(listener.Address).Port);
        Assert.That(
            await client.GetStream().ReadAsync(new byte[1]).AsTask().WaitAsync(Patience.Long), Is.Zero,
            "it is not left to hang");
        await FrameConnectionTests.WaitFor(() => !logged.Entries.IsEmpty);
        var line = logged.Entries.Single();
        Assert.That(line.Message, Does.Contain("127.0.0.1").And.Contain("an error at this end"));
        Assert.That(line.Exception!.Message, Is.EqualTo("the clock is broken"));
    }
}

using System.Buffers;
using System.Diagnostics;
using Flare.Testing;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>An end that does not keep to docs/wire.md ends the connection, and nothing else.</summary>
public class HostileFramesTests
{
    private static readonly byte[] Thousand = FramePeers.Bytes(1000);

    private static IEnumerable<TestCaseData> Breaches()
    {
        static byte[] All(params byte[][] frames) => [.. frames.SelectMany(f => f)];
        TestCaseData Case(string name, string words, byte[] bytes) =>
            new TestCaseData(bytes, words).SetArgDisplayNames(name);
        var hello = RawFrames.Hello();
        yield return Case("a message before hello", "does not begin with Flare's hello", RawFrames.Message(0, 1));
        yield return Case("HTTP", "does not begin with Flare's hello", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
        yield return Case("a record of TLS", "does not begin with Flare's hello", [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3]);
        yield return Case("another magic", "does not begin as Flare's", All(RawFrames.Frame(1, 0, new byte[32])));
        yield return Case("a short hello", "of type Hello has 5 bytes", RawFrames.Frame(1, 0, "FLARE"u8.ToArray()));
        yield return Case("a long hello", "of type Hello has 2000 bytes", RawFrames.Frame(1, 0, new byte[2000]));
        yield return Case("a newer version", "it speaks versions 2 to 3", RawFrames.Hello(2, 3));
        yield return Case("an older version", "it speaks versions 0 to 0", RawFrames.Hello(0, 0));
        yield return Case("limits of nothing", "states 0 bytes of a message", RawFrames.Hello(message: 0));
        yield return Case("negative limits", "states -1 bytes of a stream", RawFrames.Hello(window: -1));
        yield return Case("no patience", "states 1 milliseconds", RawFrames.Hello(idle: 1));
        yield return Case(
            "messages above 24 bits", "states 2147483647 bytes of a message", RawFrames.Hello(message: int.MaxValue));
        yield return Case(
            "messages above the most", "states 1048577 bytes of a message", RawFrames.Hello(message: (1 << 20) + 1));
        yield return Case(
            "heads above the most", "states 16777216 bytes before a stream", RawFrames.Hello(head: 1 << 24));
        yield return Case("streams above the most", "states 1048577 streams", RawFrames.Hello(streams: (1 << 20) + 1));
        yield return Case(
            "a window above the most", "states 1073741825 bytes of a stream", RawFrames.Hello(window: (1 << 30) + 1));
        yield return Case(
            "endless patience", "states 4294967295 milliseconds", RawFrames.Hello(idle: uint.MaxValue));
        yield return Case("hello twice", "says hello twice", All(hello, hello));
        yield return Case("an unknown type", "unknown type 77", All(hello, RawFrames.Frame(77, 0)));
        yield return Case(
            "a message that is too long", "of type Message has 70000 bytes",
            All(hello, RawFrames.Message(0, new byte[70_000])));
        yield return Case("data of nothing", "never opened", All(hello, RawFrames.Data(1, 1)));
        yield return Case("data of a stream of the other end", "never opened", All(hello, RawFrames.Data(2, 1)));
        yield return Case(
            "empty data", "of type Data has 0 bytes", All(hello, RawFrames.Open(1, 0, 9, 0), RawFrames.Data(1)));
        yield return Case(
            "more data than announced", "more of stream 1",
            All(hello, RawFrames.Open(1, 0, 9, 0), RawFrames.Data(1, new byte[10])));
        yield return Case("more data than credit", "more of stream 1", All(
            [hello, RawFrames.Open(1, 0, 1 << 24, 0), .. Enumerable.Repeat(RawFrames.Data(1, new byte[65_537]), 1)]));
        yield return Case("a stream of the other end's number", "not a number", All(hello, RawFrames.Open(2, 0, 9, 0)));
        yield return Case(
            "a stream twice", "not a number", All(hello, RawFrames.Open(1, 0, 9, 0), RawFrames.Open(1, 0, 9, 0)));
        yield return Case("a stream of negative length", "of -9 bytes", All(hello, RawFrames.Open(1, 0, -9, 0)));
        yield return Case("an offset behind the end", "from byte 10 on", All(hello, RawFrames.Open(1, 0, 9, 10)));
        yield return Case("a negative offset", "from byte -1 on", All(hello, RawFrames.Open(1, 0, 9, -1)));
        yield return Case("too many streams", "more streams at once", All(
            [hello, .. Enumerable.Range(0, 17).Select(i => RawFrames.Open((uint)(i * 2 + 1), 0, 9, 0))]));
        yield return Case(
            "a stream's head that is too long", "of type Open has 70020 bytes",
            All(hello, RawFrames.Open(1, 0, 9, 0, new byte[70_000])));
        yield return Case("credit for nothing", "never opened", All(hello, RawFrames.Credit(2, 10)));
        yield return Case("negative credit", "-1 bytes of credit", All(hello, RawFrames.Credit(2, -1)));
        yield return Case("a short ping", "of type Ping has 3 bytes", All(hello, RawFrames.Frame(7, 0, 1, 2, 3)));
    }

    [TestCaseSource(nameof(Breaches))]
    public async Task A_breach_ends_the_connection_in_words_at_both_ends(byte[] bytes, string words)
    {
        var pipes = new PipePair(room: 0);
        var recorder = new Recorder();
        await using var b = new FrameConnection(pipes.B, false, recorder, new() { StreamWindow = 1 << 16 });
        var running = b.RunAsync();
        await pipes.A.Output.WriteAsync(bytes);
        // What a real end would do: it reads what it is told, and hangs up.
        var told = await ReadToEndAsync(pipes, running);
        var end = await running.WaitAsync(Patience.Long);
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.ProtocolError));
        Assert.That(end.Reason, Does.Contain(words));
        Assert.That(end.IsTransient, Is.False);
        Assert.That(told, Does.Contain(words[..Math.Min(words.Length, 30)]));
        foreach (var sink in recorder.Streams) Assert.That(sink.Ends, Is.EqualTo(1));
    }

    private static async Task<string> ReadToEndAsync(PipePair pipes, Task running)
    {
        var all = new MemoryStream();
        while (true)
        {
            var read = await pipes.A.Input.ReadAsync();
            foreach (var segment in read.Buffer) all.Write(segment.Span);
            pipes.A.Input.AdvanceTo(read.Buffer.End);
            var text = System.Text.Encoding.UTF8.GetString(all.ToArray());
            if (text.Contains("breaks the rules") || text.Contains("cannot be spoken"))
                await pipes.A.Output.CompleteAsync();
            if (read.IsCompleted) return text;
        }
    }

    private static byte[] Conversation()
    {
        byte[][] frames =
        [
            RawFrames.Hello(), RawFrames.Message(3, Thousand), RawFrames.Open(1, 5, 3000, 500, 1, 2, 3),
            RawFrames.Data(1, Thousand), RawFrames.Ping(9), RawFrames.Open(3, 5, 10, 10), RawFrames.Data(1, Thousand),
            RawFrames.Message(4), RawFrames.Data(1, Thousand[..500]), RawFrames.Open(5, 5, 1 << 20, 0),
            RawFrames.Data(5, Thousand), RawFrames.Reset(5, "enough"), RawFrames.Close("that was all"),
        ];
        return [.. frames.SelectMany(f => f)];
    }

    [Test]
    public void A_conversation_cut_at_any_byte_ends_and_leaves_no_stream_open([Values(0, 1)] int chop)
    {
        var bytes = Conversation();
        for (var cut = 0; cut <= bytes.Length; cut += chop == 1 ? 7 : 1)
        {
            var (end, recorder) = Hear(bytes[..cut], chop == 1);
            var isWhole = cut == bytes.Length;
            Assert.That(
                end.Kind, Is.EqualTo(isWhole ? ConnectionEndKind.ClosedByPeer : ConnectionEndKind.Lost),
                $"cut at {cut}");
            foreach (var sink in recorder.Streams) Assert.That(sink.Ends, Is.EqualTo(1), $"cut at {cut}");
            if (!isWhole) continue;
            Assert.That(recorder.Messages.Select(m => m.Bytes), Is.EqualTo(new[] { Thousand, [] }));
            Assert.That(recorder.Streams[0].Bytes, Is.EqualTo(Thousand.Concat(Thousand).Concat(Thousand[..500])));
            Assert.That(recorder.Streams.Select(s => s.Ended.Result), Is.EqualTo(new[] { null, null, "enough" }));
        }
    }

    [Test]
    public void Flipped_bits_end_a_connection_at_worst()
    {
        var bytes = Conversation();
        for (var bit = 0; bit < 8 * 130; bit++) Mutated(bytes, b => b[bit / 8] ^= (byte)(1 << bit % 8), $"bit {bit}");
        var random = new Random(5);
        for (var i = 0; i < 2000; i++)
        {
            var bit = random.Next(bytes.Length * 8);
            Mutated(bytes, b => b[bit / 8] ^= (byte)(1 << bit % 8), $"bit {bit}");
        }
    }

    [Test]
    public void Two_hundred_thousand_mutations_end_in_one_way() => FrameFuzz.Run(200_000, 7);

    [Test]
    public void Two_hundred_thousand_mutations_of_messages_end_in_one_way() => LinkMessageFuzz.Run(200_000, 7);

    private static void Mutated(byte[] bytes, Action<byte[]> mutate, string what)
    {
        var changed = (byte[])bytes.Clone();
        mutate(changed);
        var (end, recorder) = Hear(changed, chopped: false);
        Assert.That(
            end.Kind, Is.AnyOf(
                ConnectionEndKind.ProtocolError, ConnectionEndKind.Lost, ConnectionEndKind.ClosedByPeer), what);
        foreach (var sink in recorder.Streams) Assert.That(sink.Ends, Is.EqualTo(1), what);
    }

    internal static (ConnectionEnd End, Recorder Recorder) Hear(byte[] bytes, bool chopped)
    {
        var loop = new SimulationLoop(1);
        var recorder = new Recorder();
        ConnectionEnd? end = null;
        var outcome = loop.Run(async () =>
        {
            var pipes = new PipePair(room: 0, onLoop: true);
            var b = new FrameConnection(pipes.B, false, recorder, time: loop.Time);
            var running = b.RunAsync();
            for (var at = 0; at < bytes.Length; at += chopped ? 1 : bytes.Length)
            {
                await pipes.A.Output.WriteAsync(bytes.AsMemory(at, chopped ? 1 : bytes.Length));
                if (chopped) await Task.Delay(TimeSpan.FromMilliseconds(1), loop.Time);
            }
            await pipes.A.Output.CompleteAsync();
            end = await running;
        }, TimeSpan.FromMinutes(10));
        Assert.That(outcome, Is.EqualTo(SimulationEnd.Completed));
        return (end!, recorder);
    }
}

using System.Buffers;
using System.Buffers.Binary;
using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>What comes in streams, or after its time, from peers that mean no good.</summary>
public class HostileStreamTests
{
    private static byte[] Message(byte[] layouts, byte[] values)
    {
        var bytes = new byte[8 + layouts.Length + values.Length];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, layouts.Length);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), values.Length);
        layouts.CopyTo(bytes, 8);
        values.CopyTo(bytes, 8 + layouts.Length);
        return bytes;
    }

    private static byte[] EmptyLayouts(int count)
    {
        var bytes = new byte[5 + count];
        bytes[0] = 0xDD;
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(1), count);
        bytes.AsSpan(5).Fill(0x90);
        return bytes;
    }

    private static FrameHead Head(FrameKind kind, long length, TaskToken token = default) =>
        new(kind, 1, 1, token.Round, token.Number, 0, length);

    private static object? Read(FrameKind kind, byte[] bytes)
    {
        var reader = new LinkMessageReader("job", Head(kind, bytes.Length));
        reader.Append(bytes);
        return reader.Complete(Head(kind, bytes.Length)).Record;
    }

    [TestCase(1000)]
    [TestCase(60_000)]
    [TestCase(1_000_000)]
    public void Layouts_of_nothing_take_no_more_memory_than_four_times_their_bytes(int count)
    {
        var bytes = Message(EmptyLayouts(count), [0x80]);
        Read(FrameKind.TaskResult, bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var read = Read(FrameKind.TaskResult, bytes);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.That(read, Is.TypeOf<MalformedMessage>());
        Assert.That(allocated, Is.LessThan(4L * bytes.Length + 32_000));
    }

    [Test]
    public void Layouts_that_no_value_uses_are_refused_and_any_where_the_kind_has_no_tensors()
    {
        var whole = new LinkMessage(1, 1, new TaskResult(new("job", 1, 1, 1), new Shareable().Freeze(), null)).Bytes
            .ToArray();
        Assert.That(Read(FrameKind.TaskResult, whole), Is.TypeOf<TaskResult>());
        byte[] layouts = [0x91, 0x90];
        Assert.That(
            ((MalformedMessage)Read(FrameKind.TaskResult, Message(layouts, whole[8..]))!).Error.Message,
            Does.Contain("no value"));
        Assert.That(
            ((MalformedMessage)Read(FrameKind.Heartbeat, Message(layouts, [0x80]))!).Error.Message,
            Does.Contain("tensors in a message of kind Heartbeat"));
    }

    [Test]
    public void A_message_of_more_state_dicts_than_a_receiver_takes_is_not_sent()
    {
        var models = Enumerable.Range(0, LayoutCodec.MostLayouts + 1).Select(_ => (FlareValue)Sites.Model(1));
        var body = new FlareMap { ["t"] = FlareValue.ListOf([.. models]) };
        var message = new LinkMessage(
            1, 1, new TaskResult(new("job", 1, 1, 1), new Shareable(body).Freeze(), null));
        Assert.That(
            () => message.Bytes,
            Throws.TypeOf<FlareException>().With.Message.Contains("fewer state dicts"));
    }

    [Test]
    public async Task A_result_that_is_malformed_in_its_stream_ends_its_task_with_the_reason()
    {
        await using var bench = Bench();
        var offer = await bench.JoinAsync("site-1");
        byte[] garbage = [.. Enumerable.Repeat((byte)0xC1, 100_000)];
        var head = Head(FrameKind.TaskResult, garbage.Length, offer.Token);
        var reader = new LinkMessageReader("job", head);
        reader.Append(garbage.AsSpan(0, 50_000));
        reader.Append(garbage.AsSpan(50_000));
        await bench.DeliverAsync("site-1", reader.Complete(head));
        Assert.That((await bench.NextAsync<ResultReceipt>("site-1")).Refusal, Does.Contain("malformed"));
    }

    [Test]
    public async Task A_result_above_the_limit_is_refused_wherever_it_was_read()
    {
        await using var bench = Bench();
        var offer = await bench.JoinAsync("site-1");
        var answer = ServerBench.Answer("site-1", offer, 1).Message;
        var head = Head(FrameKind.TaskResult, new RuntimeLimits().MaxMessageBytes + 1, offer.Token);
        await bench.DeliverAsync("site-1", new LinkMessage(answer, head));
        Assert.That(
            (await bench.NextAsync<ResultReceipt>("site-1")).Refusal,
            Does.Contain(nameof(RuntimeLimits.MaxMessageBytes)));
    }

    [Test]
    public async Task A_task_that_was_cancelled_before_its_offer_came_does_not_run()
    {
        var ran = new List<int>();
        var link = new OneSite();
        var loop = new JobLoop(e => TestContext.Error.WriteLine(e));
        var executor = new Scripted((_, _, context, _) =>
        {
            lock (ran) ran.Add(context.Round);
            return ValueTask.FromResult(new Shareable());
        });
        await using var site = new SiteRuntime(
            new SiteDefinition("site-1", executor), new() { JobId = "job", Loop = loop, Link = link, Incarnation = 1 });
        loop.Post(_ => site.Start(), null);
        var (cancelled, other) = (new TaskToken("job", 1, 1, 1), new TaskToken("job", 1, 2, 2));
        loop.Post(_ =>
        {
            link.Deliver(new ServerWelcome());
            link.Deliver(new TaskCancel(cancelled, "the round is over"));
            link.Deliver(new TaskOffer(cancelled, "train", new Shareable().Freeze(), [], default));
            link.Deliver(new TaskOffer(other, "train", new Shareable().Freeze(), [], default));
        }, null);
        await link.Answered.Task.WaitAsync(Patience.Long);
        lock (ran) Assert.That(ran, Is.EqualTo(new[] { 2 }));
        Assert.That(link.Stopped, Is.EqualTo(new[] { cancelled, cancelled }), "it hears so each time");
        loop.Post(_ => site.Crash(), null);
        await ((Task)site.Ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static ServerBench Bench() => new(
        async (federation, abort) =>
        {
            await foreach (var _ in federation.BroadcastAsync(
                new FlareTask("ask", 1, new Shareable()), new() { MinResponses = 1 }, abort)) { }
        },
        "site-1");

    private sealed class OneSite : ISiteLink
    {
        private Action<LinkMessage>? _receive;

        public LinkPromise Promise => LinkPromise.Always;
        public bool SharesMemory => true;
        public List<TaskToken> Stopped { get; } = [];

        public TaskCompletionSource Answered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Deliver(object message) => _receive!(new LinkMessage(1, 1, message));

        public void Start(Action<LinkMessage> receive, Action<LinkState> change) => _receive = receive;

        public void Send(LinkMessage message)
        {
            if (message.Record is TaskStopped stopped) Stopped.Add(stopped.Token);
            if (message.Record is TaskResult or ResultReady) Answered.TrySetResult();
        }
    }
}

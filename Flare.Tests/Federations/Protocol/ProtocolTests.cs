using System.Buffers;
using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>Messages as bytes: they come back as they were, and what is no message is refused.</summary>
public class ProtocolTests
{
    private static readonly TaskToken Token = new("job", 3, 7, 42);

    private static IEnumerable<object> Messages()
    {
        var content = new Shareable(new()
        {
            ["text"] = "süß", ["model"] = Sites.Model(1, -2, 3), ["again"] = new FlareMap { ["m"] = Sites.Model(4) },
        });
        content.Headers["task_id"] = "t";
        content.Freeze();
        yield return new SiteHello(new Guid(1, 2, 3, new byte[8]), Hello.Terms with { Seed = ulong.MaxValue });
        yield return new SiteHeartbeat();
        yield return new TaskReceived(Token);
        yield return new TensorsWanted(Token, "ab");
        yield return new TensorsReceived(Token, "ab");
        yield return new ResultReady(Token, 1L << 40);
        yield return new TaskResult(Token, content);
        yield return new TaskStopped(Token);
        yield return new SiteEvent(new(9, "mine", content));
        yield return new SiteEventReceipt(8);
        yield return new JobEndReceived();
        yield return new ServerWelcome(true);
        yield return new ServerRefusal(Guid.Empty, "because");
        yield return new TaskOffer(Token, "train", content, [new TensorsRef(["a", "b"], "cd", 5)]);
        yield return new TensorsDelivery(Token, "ef", Sites.Model(5, 6).Freeze());
        yield return new UploadPermit(Token);
        yield return new ResultReceipt(Token, null);
        yield return new ResultReceipt(Token, "late");
        yield return new TaskCancel(Token, "over");
        yield return new ServerEvent(new(4, "theirs", content));
        yield return new ServerEventReceipt(3);
        yield return new JobEnd("done");
    }

    [TestCaseSource(nameof(Messages))]
    public void A_message_comes_back_from_its_bytes_whole_or_in_pieces(object message)
    {
        var sent = new LinkMessage(5, 3, message);
        var again = sent.Bytes.ToArray();
        foreach (var piece in new[] { int.MaxValue, 1, 13 })
        {
            var received = Receive(sent.Head, again, piece);
            Assert.That(received, Is.TypeOf(message.GetType()));
            var back = new LinkMessage(5, 3, received!);
            Assert.That((back.Head, back.Bytes.ToArray()), Is.EqualTo((sent.Head, again)));
        }
        var head = new byte[FrameHead.Size];
        sent.Head.Write(head);
        Assert.That(FrameHead.Read(head), Is.EqualTo(sent.Head));
    }

    [Test]
    public void What_is_no_message_is_refused_with_one_exception_whatever_the_bytes()
    {
        var random = new Random(1);
        var refused = 0;
        foreach (var message in Messages())
        {
            var sent = new LinkMessage(5, 3, message);
            var bytes = sent.Bytes.ToArray();
            for (var i = 0; i < 400; i++)
            {
                var copy = bytes.ToArray();
                for (var flips = 1 + random.Next(3); flips > 0; flips--)
                    copy[random.Next(Math.Min(copy.Length, 200))] = (byte)random.Next(256);
                if (i % 4 == 0) copy = copy[..random.Next(copy.Length)];
                try
                {
                    Receive(sent.Head with { Length = copy.Length }, copy, 1 + random.Next(200));
                }
                catch (FlareException e)
                {
                    Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.MalformedBytes));
                    refused++;
                }
            }
        }
        Assert.That(refused, Is.GreaterThan(2000));
    }

    [Test]
    public void A_length_that_its_bytes_do_not_fill_costs_nothing()
    {
        var sent = new LinkMessage(5, 3, new TensorsDelivery(Token, "ef", Sites.Model(5, 6).Freeze()));
        var inbox = new MessageInbox("job", fromServer: true);
        var before = GC.GetAllocatedBytesForCurrentThread();
        byte[] start = [0, 0, 0, 2, 0, 0, 0, 1, .. new byte[92]]; // 32 MiB of layouts, 16 MiB of values, they say
        inbox.Receive(new(sent.Head with { Length = 1L << 40 }, new(start)));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(100_000));
    }

    [Test]
    public void A_peer_says_only_what_is_its_to_say()
    {
        var offer = new LinkMessage(5, 3, new JobEnd("done"));
        var error = Assert.Throws<FlareException>(() => new MessageInbox("job", fromServer: false).Receive(
            new LinkMessage(offer.Head, offer.Bytes)));
        Assert.That(error!.Message, Does.Contain(nameof(FrameKind.JobEnd)));
    }

    private static object? Receive(FrameHead head, byte[] bytes, int piece)
    {
        var inbox = new MessageInbox("job", head.IsServers);
        for (var at = 0; ; at += piece)
        {
            var length = Math.Min(piece, bytes.Length - at);
            var part = new ReadOnlySequence<byte>(bytes, at, length);
            if (inbox.Receive(new LinkMessage(head with { Offset = at }, part)) is { } whole) return whole;
            if (at + (long)length >= bytes.Length) return null;
        }
    }
}

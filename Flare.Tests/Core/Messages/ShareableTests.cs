namespace Flare.Tests.Core.Messages;

public class ShareableTests
{
    [Test]
    public void A_reply_carries_its_code_and_reason()
    {
        var reply = Shareable.Reply(ReturnCode.TaskUnknown, "I only train.");
        Assert.That(
            (reply.ReturnCode, reply.Error!.Type, reply.Error.Message, reply.Body.Count),
            Is.EqualTo((ReturnCode.TaskUnknown, "TaskUnknown", "I only train.", 0)));
        Assert.That(Shareable.Reply(ReturnCode.Error).Error, Is.Null);
        Assert.That(new Shareable().ReturnCode, Is.EqualTo(ReturnCode.Ok));
    }

    [Test]
    public void Cookies_are_kept_beside_each_other()
    {
        var message = new Shareable().WithCookie("round", 3).WithCookie("id", "x");
        Assert.That(message.TryGetCookie("round", out var round) && round.AsInteger() == 3);
        Assert.That(message.TryGetCookie("id", out var id) && id.AsText() == "x");
        Assert.That(message.TryGetCookie("other", out _), Is.False);
        Assert.That(new Shareable().TryGetCookie("round", out _), Is.False);
        Assert.That(() => message.Freeze().WithCookie("late", 1), Throws.InvalidOperationException);
    }

    [Test]
    public void Own_headers_leave_the_frozen_message_alone()
    {
        var message = new Shareable(new() { ["x"] = 1 }) { ContentType = "own" }.Freeze();
        var copy = message.WithOwnHeaders();
        copy.ReturnCode = ReturnCode.Error;
        Assert.That(
            (message.ReturnCode, copy.ReturnCode, copy.ContentType),
            Is.EqualTo((ReturnCode.Ok, ReturnCode.Error, "own")));
        Assert.That(copy.Body, Is.SameAs(message.Body));
        Assert.That(() => message.ReturnCode = ReturnCode.Error, Throws.InvalidOperationException);
    }

    [Test]
    public void An_error_record_survives_its_journey()
    {
        Exception thrown;
        try
        {
            throw new InvalidOperationException("outer", new FormatException("inner"));
        }
        catch (InvalidOperationException e)
        {
            thrown = e;
        }
        var record = ErrorRecord.From(thrown) with { Site = "site-3", Task = "train", Round = 4 };
        Assert.That(record.Stack, Does.Contain("inner").And.Contain(nameof(An_error_record_survives_its_journey)));
        Assert.That(ErrorRecord.FromMap(record.ToMap()), Is.EqualTo(record));
        Assert.That(record.ToString(), Is.EqualTo("site-3, train, round 4: System.InvalidOperationException: outer"));
    }

    [Test]
    public void The_size_of_a_message_counts_tensors_wherever_they_are()
    {
        var model = StateDict.Create(("w", new float[100]));
        var message = new Shareable(
            new() { ["a"] = model, ["m"] = new FlareMap { ["b"] = model },
                ["l"] = FlareValue.List(1, model, FlareValue.List(new FlareMap { ["c"] = model })) });
        Assert.That(message.TensorBytes(), Is.EqualTo(4 * model.Layout.ByteLength));
    }

    [Test]
    public void A_message_with_other_data_keeps_its_headers()
    {
        var message = Dxo.Metrics(("loss", 1)).ToShareable().WithCookie("c", 3);
        message.Headers["note"] = "kept";
        message.Freeze();
        var other = message.With(Dxo.Metrics(("loss", 2)));
        Assert.That(Dxo.From(other).Values["loss"].AsNumber(), Is.EqualTo(2));
        Assert.That(other.TryGetCookie("c", out var cookie) && cookie.AsInteger() == 3);
        Assert.That(other.Headers["note"].AsText(), Is.EqualTo("kept"));
        other.Headers["note"] = "mine";
        Assert.That(message.Headers["note"].AsText(), Is.EqualTo("kept"), "the first one is as it was");
        Assert.That(new Shareable(new() { ["x"] = 1 }).With(Dxo.Metrics()).ContentType, Is.EqualTo(ContentTypes.Dxo));
    }
}

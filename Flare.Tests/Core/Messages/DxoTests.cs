namespace Flare.Tests.Core.Messages;

public class DxoTests
{
    private static StateDict Model => StateDict.Create(("w", [1f, 2f]));

    [Test]
    public void A_dxo_comes_out_of_its_message_as_it_went_in()
    {
        var model = Model;
        var message = Dxo.WeightDiff(model).WithMeta(MetaKey.NumStepsCurrentRound, 12).WithMeta(new("own"), "x")
            .ToShareable();
        Assert.That((message.ContentType, message.ReturnCode), Is.EqualTo((ContentTypes.Dxo, ReturnCode.Ok)));
        var dxo = Dxo.From(message.Freeze());
        Assert.That(dxo.Kind, Is.EqualTo(DataKind.WeightDiff));
        Assert.That(dxo.Tensors, Is.SameAs(model), "shared, not copied");
        Assert.That(model.IsReadOnly);
        Assert.That(dxo.TryGetMeta(MetaKey.NumStepsCurrentRound, out var steps) && steps.AsInteger() == 12);
        Assert.That(dxo.TryGetMeta(MetaKey.ModelOwner, out _), Is.False);
    }

    [Test]
    public void Metrics_are_named_numbers()
    {
        var dxo = Dxo.From(Dxo.Metrics(("accuracy", 0.5), ("loss", double.NaN)).ToShareable());
        Assert.That(
            (dxo.Kind, dxo.HasTensors, dxo.Values["accuracy"].AsNumber()), Is.EqualTo((DataKind.Metrics, false, 0.5)));
        Assert.That(
            () => dxo.Tensors,
            Throws.TypeOf<FlareException>().With.Message.Contains("kind Metrics carries no tensors"));
    }

    [Test]
    public void Collections_nest()
    {
        var dxo = Dxo.From(
            Dxo.Collection(
                ("model", Dxo.Weights(Model).WithMeta(MetaKey.ModelOwner, "a")),
                ("more", Dxo.Collection(("metrics", Dxo.Metrics(("x", 1)))))).ToShareable().Freeze());
        Assert.That(dxo.Member("model").Tensors["w"].AsReadOnlySpan<float>()[1], Is.EqualTo(2));
        Assert.That(dxo.Member("model").Meta[MetaKey.ModelOwner.Name].AsText(), Is.EqualTo("a"));
        Assert.That(dxo.Member("more").Member("metrics").Values["x"].AsNumber(), Is.EqualTo(1));
        Assert.That(
            () => dxo.Member("other"), Throws.TypeOf<FlareException>().With.Message.Contains("'model', 'more'"));
        Assert.That(
            () => Dxo.Weights(Model)
            .Member("x"), Throws.TypeOf<FlareException>().With.Message.Contains("kind Weights is no collection"));
    }

    [Test]
    public void A_message_of_another_content_carries_no_dxo()
    {
        Assert.That(
            () => Dxo.From(new Shareable()), Throws.TypeOf<FlareException>().With.Property("ErrorId")
            .EqualTo(ErrorIds.MalformedMessage).And.Message.Contains("'none'"));
        Assert.That(
            () => Dxo.From(new Shareable { ContentType = "XML" }),
            Throws.TypeOf<FlareException>().With.Message.Contains("'XML'"));
        Assert.That(
            () => Dxo.From(Shareable.Reply(ReturnCode.TaskUnknown)),
            Throws.TypeOf<FlareException>().With.Message.Contains("TaskUnknown"));
    }

    [TestCase(0L), TestCase(9L), TestCase(-1L), TestCase(long.MaxValue), TestCase(4294967297L)]
    public void An_unknown_kind_is_an_error(long kind) =>
        Assert.That(
            () => Dxo.From(new Shareable(new() { ["kind"] = kind }) { ContentType = ContentTypes.Dxo }),
            Throws.TypeOf<FlareException>().With.Message.Contains($"unknown kind {kind}"));

    [Test]
    public void Malformed_parts_are_errors_of_the_message()
    {
        foreach (var part in new[] { "tensors", "values", "meta" })
            Assert.That(
                () => Dxo.From(new Shareable(new() { ["kind"] = 1, [part] = "x" }) { ContentType = ContentTypes.Dxo }),
                Throws.TypeOf<FlareException>().With.Property("ErrorId").EqualTo(ErrorIds.MalformedMessage));
        Assert.That(
            () => Dxo.From(new Shareable { ContentType = ContentTypes.Dxo }),
            Throws.TypeOf<FlareException>().With.Message.Contains("'kind'"));
    }

    [Test]
    public void The_numbers_of_the_wire_are_frozen()
    {
        Assert.That(
            Enum.GetValues<DataKind>().Select(k => $"{(int)k} {k}"),
            Is.EqualTo(
                new[] { "1 Weights", "2 WeightDiff", "3 Metrics", "4 Model", "5 Analytic", "6 Collection",
                    "7 Statistics", "8 AppDefined" }));
        Assert.That(string.Join(" ", Enum.GetValues<ReturnCode>().Select(k => $"{(int)k}{k}")), Is.EqualTo(
            "0Ok 1BadPeerContext 2BadRequestData 3BadTaskData 4CommunicationError 5Error 6ExecutionException "
                + "7ExecutionResultError 8HandlerException 9MissingPeerContext 10RunMismatch 11TaskAborted "
            + "12TaskDataFilterError 13TaskResultFilterError 14TaskUnknown 15TaskUnsupported 16TopicUnknown "
            + "17ModelUnrecognized 18ValidateTypeUnknown 19EmptyResult 20ServerNotReady 21Timeout 22UnsafeJob "
            + "23EarlyTermination 24ServiceUnavailable"));
    }

    [Test]
    public void Steps_are_stated_with_the_weights()
    {
        var model = StateDict.Create(("w", [1f]));
        foreach (var data in new[] { Dxo.Weights(model, steps: 12), Dxo.WeightDiff(model, steps: 12) })
            Assert.That(data.TryGetMeta(MetaKey.NumStepsCurrentRound, out var steps) && steps.AsInteger() == 12);
        Assert.That((Dxo.Weights(model).Meta.Count, Dxo.WeightDiff(model).Meta.Count), Is.EqualTo((0, 0)));
        Assert.That(() => Dxo.Weights(model, steps: 0), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => Dxo.WeightDiff(model, steps: -5), Throws.TypeOf<ArgumentOutOfRangeException>());
    }
}

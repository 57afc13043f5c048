using Flare.Tests.Federations;

namespace Flare.Tests.Core.Execution;

/// <summary>A filter of data: what it gets, what it lets pass, what it stops.</summary>
public class DxoFilterTests
{
    private static StateDict Model(float value) => StateDict.Create(("w", [value]));

    private sealed class Doubling(params DataKind[] kinds) : DxoFilter(kinds)
    {
        public List<DataKind> Seen { get; } = [];

        protected override ValueTask<Dxo> FilterAsync(Dxo data, FLContext context, CancellationToken abort)
        {
            Seen.Add(data.Kind);
            return ValueTask.FromResult(new Dxo(data.Kind, data.Tensors * 2, data.Values, data.Meta));
        }
    }

    private sealed class Returning(Func<Dxo, Dxo?> make) : DxoFilter(DataKind.WeightDiff)
    {
        protected override ValueTask<Dxo> FilterAsync(Dxo data, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(make(data)!);
    }

    /// <summary>
    /// What a site's filter makes of an answer: the answer as it comes to the server, or null and why it did not come.
    /// </summary>
    private static async Task<(Shareable? Arrived, string? Reason)> SendAsync(Filter filter, Shareable answer)
    {
        Shareable? arrived = null;
        var listener = new LambdaComponent((type, context) =>
        {
            if (type == EventTypes.BeforeTaskResultFilter) arrived = context.Get(ContextKeys.Message);
        });
        var federation = await Sites.RunAsync(
            new Workflow(async (rounds, abort) =>
            {
                var task = new FlareTask("question", 1, new Shareable());
                await foreach (var _ in rounds.BroadcastAsync(task, new() { MinResponses = 0 }, abort)) { }
                await rounds.CommitAsync(1, Sites.Model(1), new(), abort);
            }),
            Sites.Model(1),
            f => f.AddServerComponent(listener)
            .ConfigureSites((site, _) => site.AddFilter(FilterPlace.SiteOut, filter)),
            new Scripted((_, _, _, _) => ValueTask.FromResult(answer)));
        return (arrived, federation.Rounds[0].Sites[0].Reason);
    }

    [Test]
    public async Task Data_of_its_kind_is_changed_and_all_else_of_the_message_stays()
    {
        var answer = Dxo.WeightDiff(Model(3), steps: 7).ToShareable();
        answer.Headers["note"] = "kept";
        var (arrived, _) = await SendAsync(new Doubling(DataKind.WeightDiff), answer);
        var data = Dxo.From(arrived!);
        Assert.That((data.Kind, data.Tensors.Values()[0]), Is.EqualTo((DataKind.WeightDiff, 6f)));
        Assert.That(data.Meta[MetaKey.NumStepsCurrentRound.Name].AsInteger(), Is.EqualTo(7));
        Assert.That(
            (arrived!.Headers["note"].AsText(), arrived.ContentType, arrived.TaskName),
            Is.EqualTo(("kept", "DXO", "question")));
    }

    [Test]
    public async Task Metrics_and_messages_without_a_body_pass_as_they_are()
    {
        var doubling = new Doubling(DataKind.WeightDiff, DataKind.Weights);
        var (metrics, _) = await SendAsync(doubling, Dxo.Metrics(("accuracy", 0.5)).ToShareable());
        Assert.That(Dxo.From(metrics!).Values["accuracy"].AsNumber(), Is.EqualTo(0.5));
        var (empty, _) = await SendAsync(doubling, new Shareable());
        Assert.That(empty!.Body.Count, Is.Zero);
        Assert.That(doubling.Seen, Is.Empty);
    }

    [Test]
    public async Task Members_of_a_collection_are_filtered_each_for_itself()
    {
        var inner = Dxo.Collection(("deep", Dxo.WeightDiff(Model(5))));
        var answer = Dxo.Collection(
            ("model", Dxo.WeightDiff(Model(3))), ("quality", Dxo.Metrics(("loss", 1))), ("more", inner)).ToShareable();
        var (arrived, _) = await SendAsync(new Doubling(DataKind.WeightDiff), answer);
        var data = Dxo.From(arrived!);
        Assert.That(data.Member("model").Tensors.Values()[0], Is.EqualTo(6f));
        Assert.That(data.Member("more").Member("deep").Tensors.Values()[0], Is.EqualTo(10f));
        Assert.That(data.Member("quality").Values["loss"].AsNumber(), Is.EqualTo(1));
    }

    private static IEnumerable<TestCaseData> PastTheFilter()
    {
        yield return Case("weights", Dxo.Weights(Model(1)).ToShareable());
        yield return Case(
            "metrics with a model among their values",
            new Dxo(DataKind.Metrics, null, new() { ["m"] = FlareValue.List(Model(1)) }).ToShareable());
        yield return Case(
            "metrics with a model among their facts",
            new Dxo(DataKind.Metrics, null, null, new() { ["m"] = Model(1) }).ToShareable());
        yield return Case(
            "a model in a collection", Dxo.Collection(("m", new Dxo(DataKind.Model, Model(1)))).ToShareable());
        yield return Case(
            "a model beside a collection's members", new Dxo(DataKind.Collection, Model(1)).ToShareable());
        yield return Case("a body that is no DXO", new Shareable(new() { ["m"] = Model(1) }));
        yield return Case("text that is no DXO", new Shareable(new() { ["m"] = "text" }));
        var header = Dxo.Metrics(("accuracy", 1)).ToShareable();
        header.Headers["m"] = new FlareMap { ["w"] = Model(1) };
        yield return Case("a model in a header", header);

        static TestCaseData Case(string name, Shareable message) => new TestCaseData(message).SetArgDisplayNames(name);
    }

    [TestCaseSource(nameof(PastTheFilter))]
    public async Task What_would_pass_it_by_is_stopped(Shareable answer)
    {
        var (arrived, reason) = await SendAsync(new Doubling(DataKind.WeightDiff), answer);
        Assert.That(arrived, Is.Null);
        Assert.That(
            reason, Does.Contain("TaskResultFilterError").And.Contain("Doubling").And.Contain("WeightDiff").And.Contain(
                "question"));
    }

    [Test]
    public async Task A_filter_of_metrics_lets_models_pass()
    {
        var (arrived, _) = await SendAsync(new Doubling(DataKind.Metrics), Dxo.Weights(Model(1)).ToShareable());
        Assert.That(Dxo.From(arrived!).Tensors.Values()[0], Is.EqualTo(1f));
    }

    private static readonly Func<Dxo, Dxo?>[] Failing = [_ => null, _ => throw new InvalidDataException("no key")];

    [TestCaseSource(nameof(Failing))]
    public async Task A_filter_that_cannot_do_its_work_stops_the_message(Func<Dxo, Dxo?> make)
    {
        var (arrived, reason) = await SendAsync(new Returning(make), Dxo.WeightDiff(Model(1)).ToShareable());
        Assert.That(arrived, Is.Null);
        Assert.That(reason, Does.Contain("TaskResultFilterError"));
    }

    [Test]
    public void A_filter_names_its_kinds() => Assert.That(() => new Doubling(), Throws.ArgumentException);
}

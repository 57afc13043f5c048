using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>Which model counts as the best, and when a workflow stops.</summary>
public class SelectionTests
{
    // One site adds 1 a round: the model of round r is r. Its quality follows from its value.
    private static readonly double[] Quality = [0.5, 0.2, 0.9, 0.9, 0.1];

    private static Scripted Site() => new((task, input, _, _) =>
    {
        var model = Dxo.From(input).Tensors;
        var metrics = Dxo.Metrics(("score", Quality[(int)model.Values()[0]])).Values;
        if (task == TaskNames.Validate)
            return ValueTask.FromResult(new Dxo(DataKind.Metrics, values: metrics).ToShareable());
        var answer = Dxo.From(Sites.Diff(model, 1));
        if (input.Headers[HeaderNames.ValidateFirst].AsBoolean()) answer.WithMeta(MetaKey.InitialMetrics, metrics);
        return ValueTask.FromResult(answer.ToShareable());
    });

    private static FedAvg Workflow(ValidationMode mode, bool higher) =>
        new() { Rounds = 4, Validation = mode, Selection = new ModelSelection("score", higher) };

    [TestCase(ValidationMode.AfterAggregation, true, 2, 0.9)]
    [TestCase(ValidationMode.AfterAggregation, false, 4, 0.1)]
    [TestCase(ValidationMode.BeforeTraining, true, 2, 0.9)]
    [TestCase(ValidationMode.BeforeTraining, false, 4, 0.1)]
    public async Task The_best_model_is_kept_in_both_directions(
        ValidationMode mode, bool higher, int round, double metric)
    {
        var federation = await Sites.RunAsync(Workflow(mode, higher), Sites.Model(0), Site());
        Assert.That(
            federation.State.Tensors[ModelSelection.BestModel].Values(), Is.EqualTo(new[] { (float)round }),
            "on a tie the earlier one stays");
        Assert.That(
            (federation.State.Values[ModelSelection.BestRound].AsInteger(),
                federation.State.Values[ModelSelection.BestMetric].AsNumber()), Is.EqualTo(((long)round, metric)));
    }

    [Test]
    public async Task A_round_reports_the_metrics_of_its_own_model_or_of_the_one_before()
    {
        var after = await Sites.RunAsync(Workflow(ValidationMode.AfterAggregation, true), Sites.Model(0), Site());
        Assert.That(after.Rounds.Select(r => r.Metrics["score"]), Is.EqualTo(Quality[1..]));
        Assert.That(after.Rounds.Select(r => r.IsBest), Is.EqualTo(new[] { true, true, false, false }));
        var before = await Sites.RunAsync(Workflow(ValidationMode.BeforeTraining, true), Sites.Model(0), Site());
        Assert.That(
            before.Rounds.Select(r => r.Metrics["score"]),
            Is.EqualTo(new[] { Quality[0], Quality[1], Quality[2], Quality[4] }),
            "the last round reports its own model, measured at the end");
        Assert.That(before.Rounds.Select(r => r.IsBest), Is.EqualTo(new[] { true, false, true, false }));
        Assert.That(
            before.Rounds[^1].Sites.Select(s => (s.Task, s.Metrics!["score"].AsNumber())),
            Is.EqualTo(new[] { (TaskNames.Train, Quality[3]), (TaskNames.Validate, Quality[4]) }));
    }

    [TestCase(3, 0.9, false, 2,
        TestName = "The_last_round_before_training_is_best_only_if_its_own_model_is(the one before)")]
    [TestCase(2, 0.9, true, 2, TestName = "The_last_round_before_training_is_best_only_if_its_own_model_is(its own)")]
    public async Task The_last_round_before_training_is_best_only_if_its_own_model_is(
        int rounds, double best, bool lastIsBest, int bestRound)
    {
        // Of three rounds the second's model, measured while the third trains, is the best: the third reports its own,
        // which is not.
        double[] quality = [0.5, 0.2, 0.9, 0.1];
        var site = new Scripted((task, input, _, _) =>
        {
            var model = Dxo.From(input).Tensors;
            var metrics = Dxo.Metrics(("score", quality[(int)model.Values()[0]])).Values;
            return ValueTask.FromResult(task == TaskNames.Validate
                ? new Dxo(DataKind.Metrics, values: metrics).ToShareable()
                : Dxo.From(Sites.Diff(model, 1)).WithMeta(MetaKey.InitialMetrics, metrics).ToShareable());
        });
        var federation = await Sites.RunAsync(
            new FedAvg { Rounds = rounds, Validation = ValidationMode.BeforeTraining, Selection = new("score") },
            Sites.Model(0), site);
        Assert.That(
            (federation.Rounds[^1].Metrics["score"], federation.Rounds[^1].IsBest),
            Is.EqualTo((quality[rounds], lastIsBest)));
        Assert.That(
            (federation.State.Values[ModelSelection.BestRound].AsInteger(),
                federation.State.Values[ModelSelection.BestMetric].AsNumber()), Is.EqualTo(((long)bestRound, best)));
    }

    [Test]
    public async Task The_initial_model_can_be_the_best()
    {
        var federation = await Sites.RunAsync(
            new FedAvg { Rounds = 1, Validation = ValidationMode.BeforeTraining, Selection = new("score") },
            Sites.Model(0), Site());
        Assert.That(federation.State.Values[ModelSelection.BestRound].AsInteger(), Is.Zero);
    }

    [Test]
    public async Task No_selection_keeps_no_best_model_and_a_missing_metric_neither()
    {
        foreach (var selection in new[] { null, new ModelSelection("other") })
        {
            var federation = await Sites.RunAsync(
                new FedAvg { Rounds = 2, Selection = selection }, Sites.Model(0), Site());
            Assert.That(federation.State.Tensors, Is.Empty);
            Assert.That(federation.Rounds.Any(r => r.IsBest), Is.False);
        }
    }

    [Test]
    public async Task Metrics_are_weighted_with_the_sites_steps_and_what_is_no_number_says_nothing()
    {
        Scripted Measuring(double value, long samples) =>
            new((task, input, _, _) => ValueTask.FromResult(task == TaskNames.Validate
            ? Dxo.Metrics(("accuracy", value)).WithMeta(MetaKey.NumStepsCurrentRound, samples).ToShareable()
            : Sites.Diff(Dxo.From(input).Tensors, 1)));
        var federation = await Sites.RunAsync(
            new FedAvg { Rounds = 1 }, Sites.Model(0), Measuring(0.5, 30), Measuring(0.9, 10),
            Measuring(double.NaN, 1000), Sites.Answering(m => Sites.Diff(m, 1)));
        Assert.That(federation.Rounds[0].Metrics["accuracy"], Is.EqualTo((0.5 * 30 + 0.9 * 10) / 40).Within(1e-15));
        Assert.That(
            (federation.Rounds[0].Targets, federation.Rounds[0].Accepted), Is.EqualTo((4, 4)),
            "the round's task is training; one site could not measure");
        Assert.That(
            federation.Rounds[0].Sites.Where(s => s.Task == TaskNames.Validate)
            .Select(s => s.Status),
            Is.EqualTo(new[] { SiteStatus.Accepted, SiteStatus.Accepted, SiteStatus.Accepted, SiteStatus.Rejected }));
    }

    [Test]
    public async Task A_workflow_stops_when_it_is_told_to()
    {
        var federation = await Sites.RunAsync(
            new FedAvg { Rounds = 4, StopWhen = report => report.Metrics["score"] >= 0.9 }, Sites.Model(0), Site());
        Assert.That(federation.Rounds.Select(r => r.Number), Is.EqualTo(new[] { 1, 2 }));
    }
}

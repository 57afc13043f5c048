using Flare.Tests.Federations;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Workflows;

/// <summary>What counts in the mean of the sites' metrics, and what is said of what does not.</summary>
public class MetricsTests
{
    /// <summary>Trains, and measures what it is told, with a weight; no weight where it is null.</summary>
    private sealed class Measuring(
        Func<int, double> value, long? weight = null, string metric = "accuracy", long steps = 1) : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.From(Sites.Diff(model.Tensors, 1, steps)));

        protected override ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var metrics = Dxo.Metrics((metric, value(context.Round)));
            return ValueTask.FromResult(weight is { } w ? metrics.WithMeta(MetaKey.NumStepsCurrentRound, w) : metrics);
        }
    }

    private static FedAvg Rounds(int rounds, ValidationMode mode = ValidationMode.AfterAggregation) =>
        new() { Rounds = rounds, Validation = mode };

    [TestCase(ValidationMode.AfterAggregation), TestCase(ValidationMode.BeforeTraining)]
    public async Task A_site_that_measured_nothing_has_no_weight(ValidationMode mode)
    {
        var run = await Sites.RunAsync(
            Rounds(2, mode), Sites.Model(0), new Measuring(_ => 0.9, 10), new Measuring(_ => 0, 0));
        Assert.That(run.Rounds.Select(r => r.Metrics["accuracy"]), Is.All.EqualTo(0.9));
        Assert.That(run.Rounds.Select(r => r.Accepted), Is.All.EqualTo(2), "it trained all the same");
    }

    [TestCase(ValidationMode.AfterAggregation), TestCase(ValidationMode.BeforeTraining)]
    public async Task Where_no_site_measured_anything_there_is_no_metric(ValidationMode mode)
    {
        var run = await Sites.RunAsync(
            Rounds(2, mode), Sites.Model(0), new Measuring(_ => 0.9, 0), new Measuring(_ => double.NaN, 0));
        Assert.That(run.Rounds.Select(r => r.Metrics.Count), Is.All.Zero);
        Assert.That(run.Rounds[0].Warnings, Is.Empty, "another round may bring some");
        Assert.That(run.Rounds[1].Warnings.Single(), Does.StartWith("No site states the metric 'accuracy'"));
    }

    [TestCase(ValidationMode.AfterAggregation, "validate"), TestCase(ValidationMode.BeforeTraining, "train")]
    public async Task A_negative_weight_is_refused_by_name(ValidationMode mode, string task)
    {
        var workflow = new FedAvg { Rounds = 1, MinSites = 1, Validation = mode };
        var run = await Sites.RunAsync(workflow, Sites.Model(0), new Measuring(_ => 0.9, 1), new Measuring(_ => 0, -3));
        var outcome = run.Rounds[0].Sites.First(s => s.Site == "site-2" && s.Status == SiteStatus.Rejected);
        Assert.That(
            (outcome.Task, outcome.Reason),
            Is.EqualTo(
                (task,
                    "it states -3 as the weight of its metrics; say on how many samples they were measured, 0 if on "
                        + "none [FLARE1002]")));
        Assert.That(run.Rounds[0].Metrics["accuracy"], Is.EqualTo(0.9));
    }

    [Test]
    public async Task A_measurement_before_training_has_its_own_weight_as_one_afterwards_has()
    {
        Executor[] sites = [new Measuring(_ => 0.25, weight: 3, steps: 1000), new Measuring(_ => 0.75, weight: 1)];
        var run = await Sites.RunAsync(Rounds(3, ValidationMode.BeforeTraining), Sites.Model(0), sites);
        Assert.That(
            run.Rounds.Select(r => r.Metrics["accuracy"]), Is.All.EqualTo(0.375),
            "the last is measured after aggregation");
        Executor[] unweighted = [new Measuring(_ => 0.25, steps: 1000), new Measuring(_ => 0.75)];
        run = await Sites.RunAsync(Rounds(3, ValidationMode.BeforeTraining), Sites.Model(0), unweighted);
        Assert.That(run.Rounds.Select(r => r.Metrics["accuracy"]), Is.All.EqualTo(0.5));
    }

    [TestCase(double.NaN), TestCase(double.PositiveInfinity)]
    public async Task A_metric_that_is_no_number_anywhere_is_told_of_and_stops_nobody_who_reads_it(double said)
    {
        using var log = new LogRecorder();
        var workflow = new FedAvg { Rounds = 3, StopWhen = round => round.Metrics["accuracy"] > 0.99 };
        var run = await Sites.RunAsync(workflow, Sites.Model(0), f => f.UseLogging(log),
            new Measuring(r => r == 2 ? said : 0.5), new Measuring(r => r == 2 ? double.NaN : 0.5));
        Assert.That(run.Rounds.Select(r => r.Metrics["accuracy"]), Is.EqualTo(new[] { 0.5, double.NaN, 0.5 }));
        Assert.That(run.Rounds[1].Warnings, Is.EqualTo(new[]
        {
            "No site measured 'accuracy' as a number: site-1, site-2 stated NaN or an infinity. The model may have "
                + "diverged: look at its outputs and the learning rate",
        }));
        Assert.That(
            log.Entries.Where(e => e.Level == LogLevel.Warning)
            .Select(e => e.Message), Is.EqualTo(new[] { "Round 2: " + run.Rounds[1].Warnings[0] }));
        Assert.That(
            run.Rounds.Select(r => r.IsBest), Is.EqualTo(new[] { true, false, false }), "a NaN is never the best");
    }

    [Test]
    public async Task A_NaN_of_some_sites_is_left_out_and_they_are_named()
    {
        var run = await Sites.RunAsync(
            Rounds(1), Sites.Model(0), new Measuring(_ => 0.5), new Measuring(_ => double.NaN),
            new Measuring(_ => 0.7));
        Assert.That(run.Rounds[0].Metrics["accuracy"], Is.EqualTo(0.6).Within(1e-15));
        Assert.That(
            run.Rounds[0].Warnings.Single(),
            Does.StartWith("The mean of 'accuracy' leaves out site-2, which stated NaN"));
    }

    [TestCase("accuracy", 1e308), TestCase("val_accuracy", -1e6), TestCase("anything", 1e308)]
    public async Task A_number_that_no_metric_can_be_is_left_out_and_named(string metric, double said)
    {
        var workflow = new FedAvg { Rounds = 3, Selection = new(metric) };
        var run = await Sites.RunAsync(
            workflow, Sites.Model(0), new Measuring(r => 0.1 * r, metric: metric),
            new Measuring(r => r == 1 ? said : 0.1 * r, metric: metric));
        Assert.That(run.Rounds.Select(r => r.Metrics[metric]), Is.EqualTo(new[] { 0.1, 0.2, 0.3 }).Within(1e-12));
        Assert.That(run.Rounds.Select(r => r.IsBest), Is.All.True, "it would have been the best for good");
        Assert.That(
            run.Rounds[0].Warnings.Single(),
            Does.StartWith($"The mean of '{metric}' leaves out site-2: ").And.Contain("cannot be one"));
    }

    [TestCase("loss", 1e9), TestCase("perplexity", 5e4), TestCase("accuracy", 93.5), TestCase("accuracy_loss", 300)]
    public async Task A_large_number_that_can_be_one_counts(string metric, double said)
    {
        var run = await Sites.RunAsync(Rounds(1), Sites.Model(0), new Measuring(_ => said, metric: metric));
        Assert.That(run.Rounds[0].Metrics[metric], Is.EqualTo(said));
    }

    [Test]
    public async Task Names_that_differ_in_case_are_told_of()
    {
        var run = await Sites.RunAsync(
            Rounds(1), Sites.Model(0), new Measuring(_ => 0.5), new Measuring(_ => 0.7, metric: "Accuracy"),
            new Measuring(_ => 0.9));
        Assert.That(run.Rounds[0].Warnings, Is.EqualTo(new[]
        {
            "The sites write one metric in several ways, so that each has a mean of its own: 'Accuracy' by site-2; "
                + "'accuracy' by site-1, site-3. Have them write one name",
        }));
    }

    [Test]
    public async Task Warnings_are_kept_with_the_round_in_the_journal()
    {
        var storage = new Core.Journaling.MemoryStorage();
        var sites = () => new Executor[] { new Measuring(_ => double.NaN) };
        var run = await Sites.RunAsync(Rounds(1), Sites.Model(0), f => f.UseJournal(storage), sites());
        var again = await Sites.RunAsync(Rounds(1), Sites.Model(0), f => f.UseJournal(storage), sites());
        Assert.That(again.Rounds[0].Warnings, Is.EqualTo(run.Rounds[0].Warnings).And.Not.Empty);
        Assert.That(again.Rounds[0].Metrics["accuracy"], Is.NaN);
    }

    /// <summary>Trains, and answers with the metrics that a round has.</summary>
    private sealed class Stating(Func<int, (string, double)[]> metrics) : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.From(Sites.Diff(model.Tensors, 1)));

        protected override ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.Metrics(metrics(context.Round)));
    }

    private sealed class TrainsOnly : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.From(Sites.Diff(model.Tensors, 1)));
    }

    [TestCase(ValidationMode.AfterAggregation), TestCase(ValidationMode.BeforeTraining)]
    public async Task Metrics_that_only_some_sites_state_are_told_of_once_with_those_that_do_not(ValidationMode mode)
    {
        using var log = new LogRecorder();
        Executor Full() => new Stating(_ => [("accuracy", 0.9), ("f1", 0.8), ("auc", 0.7)]);
        var run = await Sites.RunAsync(
            Rounds(3, mode), Sites.Model(0), f => f.UseLogging(log), Full(), new Stating(_ => [("accuracy", 0.5)]),
            new TrainsOnly(), Full());
        string[] warnings = [.. run.Rounds.SelectMany(r => r.Warnings)];
        Assert.That(
            warnings, Is.EquivalentTo(new[]
            {
                "The mean of 'accuracy' is not of all sites: site-3 did not state it. Have all sites measure the same",
                "The mean of 'auc', 'f1' is not of all sites: site-2, site-3 did not state it. Have all sites measure "
                    + "the same",
            }));
        Assert.That(run.Rounds[0].Warnings, Has.Count.EqualTo(2), "in the first round, and no other");
        Assert.That(log.Entries.Count(e => e.Message.Contains("not of all sites")), Is.EqualTo(2));
        Assert.That(run.Rounds[0].Metrics["f1"], Is.EqualTo(0.8));
    }

    [Test]
    public async Task Metrics_that_all_sites_state_are_nothing_to_tell_of()
    {
        var run = await Sites.RunAsync(
            Rounds(2), Sites.Model(0), new Stating(_ => [("accuracy", 1), ("f1", 1)]),
            new Stating(_ => [("f1", 0), ("accuracy", 0)]));
        Assert.That(run.Rounds.SelectMany(r => r.Warnings), Is.Empty);
    }

    [Test]
    public async Task Answers_without_a_metric_are_told_of_once()
    {
        var run = await Sites.RunAsync(
            Rounds(3), Sites.Model(0), new Stating(_ => []), new Stating(_ => []));
        Assert.That(
            run.Rounds.Select(r => r.Warnings.Count), Is.EqualTo(new[] { 1, 0, 0 }));
        Assert.That(run.Rounds[0].Warnings[0], Does.Contain("No metric came").And.Contain("Dxo.Metrics"));
    }

    [Test]
    public async Task A_run_of_which_no_model_was_ever_measured_says_so_in_its_last_round()
    {
        using var log = new LogRecorder();
        var failing = new Scripted((task, input, _, _) => ValueTask.FromResult(task == TaskNames.Train
            ? Sites.Diff(Dxo.From(input).Tensors, 1) : Shareable.Reply(ReturnCode.ServiceUnavailable)));
        var run = await Sites.RunAsync(Rounds(3), Sites.Model(0), f => f.UseLogging(log), failing);
        Assert.That(run.Rounds.Select(r => r.Warnings.Count), Is.EqualTo(new[] { 0, 0, 1 }));
        Assert.That(run.Rounds[2].Warnings[0], Does.Contain("'accuracy'").And.Contain("No metric came at all"));
        Assert.That(log.Entries.Count(e => e.Message.Contains("No metric came at all")), Is.EqualTo(1));
    }

    [Test]
    public async Task A_selection_that_is_set_where_nothing_is_measured_is_told_of_and_the_usual_one_is_not()
    {
        var chosen = await Sites.RunAsync(
            new FedAvg { Rounds = 2, Validation = ValidationMode.None, Selection = new("f1") }, Sites.Model(0),
            Sites.Adding(1));
        Assert.That(chosen.Rounds[0].Warnings.Single(), Does.Contain("'f1'").And.Contain("no model is measured"));
        Assert.That(chosen.Rounds[1].Warnings, Is.Empty);
        var usual = await Sites.RunAsync(Rounds(1, ValidationMode.None), Sites.Model(0), Sites.Adding(1));
        Assert.That(usual.Rounds[0].Warnings, Is.Empty);
    }

    [Test]
    public async Task Notes_without_end_are_logged_a_thousand_times_and_then_in_the_reports_alone()
    {
        using var log = new LogRecorder();
        var run = await Sites.RunAsync(
            new FedAvg { Rounds = 1005, Evaluation = new Noting() }, Sites.Model(0), f => f.UseLogging(log),
            Sites.Adding(1));
        Assert.That(log.Entries.Count(e => e.Id == 101), Is.EqualTo(1000));
        Assert.That(log.Entries.Where(e => e.Id == 103).Select(e => e.Message), Is.EqualTo(new[]
        {
            "Round 999: 1000 different notes were logged; further ones are in the rounds' reports alone",
        }));
        Assert.That(run.Rounds[1004].Warnings, Does.Contain("round 1005 is odd").And.Contain("as ever"));
    }

    private sealed class Noting : Flare.Workflows.Evaluation
    {
        public override Task<Measurement> MeasureAsync(
            ControllerContext context, int round, StateDict model, IReadOnlyList<string> sites,
            CancellationToken abort) => Task.FromResult(new Measurement(
                new Dictionary<string, double> { ["accuracy"] = 1 },
                [FormattableString.Invariant($"round {round} is odd"), "as ever"]));
    }
}

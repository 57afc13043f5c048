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
        Assert.That(run.Rounds.Select(r => r.Metrics.Count + r.Warnings.Count), Is.All.Zero);
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
}

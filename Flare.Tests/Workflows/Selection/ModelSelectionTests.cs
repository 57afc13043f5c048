using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>A best model is of one metric and direction, and a metric that nobody states is told of.</summary>
public class ModelSelectionTests
{
    /// <summary>Adds 1 a round: accuracy w / 10, which rises, and loss 3 - w / 10, which falls.</summary>
    private sealed class AddOne : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.From(Sites.Diff(model.Tensors, 1)));

        protected override ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var w = model.Tensors.Values()[0];
            return ValueTask.FromResult(Dxo.Metrics(("accuracy", w / 10), ("loss", 3 - w / 10), ("score", w)));
        }
    }

    private static async Task<Federation> RunAsync(params FedAvg[] workflows)
    {
        var federation = Federation.InProcess(f =>
        {
            f.AddSites(2, _ => new AddOne());
            foreach (var workflow in workflows) f.UseController(workflow);
        });
        await using (federation) await federation.RunToEndAsync(Sites.Model(0));
        return federation;
    }

    private static (long Workflow, long Round, double Metric) Best(Federation run) =>
        (run.State.Values[ModelSelection.BestWorkflow].AsInteger(),
        run.State.Values[ModelSelection.BestRound].AsInteger(), run.State.Values[ModelSelection.BestMetric].AsNumber());

    [Test]
    public async Task A_workflow_that_selects_by_another_metric_begins_anew()
    {
        var run = await RunAsync(
            new() { Rounds = 2, Selection = new("loss") }, new() { Rounds = 3, Selection = new("accuracy") });
        Assert.That(Best(run), Is.EqualTo((2L, 3L, 0.5)));
        Assert.That(run.Rounds.Select(r => r.IsBest), Is.All.True);
        Assert.That(run.State.Values[ModelSelection.BestMetricName].AsText(), Is.EqualTo("accuracy"));
        Assert.That(run.State.Tensors[ModelSelection.BestModel].Values(), Is.EqualTo(new[] { 5f }));
    }

    [Test]
    public async Task A_workflow_that_selects_by_the_other_direction_begins_anew()
    {
        var run = await RunAsync(
            new() { Rounds = 2, Selection = new("score", false) },
            new() { Rounds = 2, Selection = new("score", true) });
        Assert.That(run.Rounds.Select(r => r.IsBest), Is.EqualTo(new[] { true, false, true, true }));
        Assert.That(Best(run), Is.EqualTo((2L, 2L, 4.0)));
    }

    [Test]
    public async Task One_that_selects_by_the_same_goes_on_with_the_best_of_the_workflow_before()
    {
        var run = await RunAsync(
            new() { Rounds = 2, Selection = new("score", false) },
            new() { Rounds = 2, Selection = new("score", false) });
        Assert.That(run.Rounds.Select(r => r.IsBest), Is.EqualTo(new[] { true, false, false, false }));
        Assert.That(Best(run), Is.EqualTo((1L, 1L, 1.0)));
    }

    [TestCase("loss", false), TestCase("val_loss", false), TestCase("valLoss", false), TestCase("test/error", false),
        TestCase("RMSE", false), TestCase("perplexity", false)]
    [TestCase("accuracy", true), TestCase("glossary", true), TestCase("score", true), TestCase("auc", true),
        TestCase("Terror", true)]
    public void The_usual_names_say_which_way_is_better(string metric, bool highest)
    {
        Assert.That(new ModelSelection(metric).SelectsHighest, Is.EqualTo(highest));
        Assert.That(new ModelSelection(metric, !highest).SelectsHighest, Is.EqualTo(!highest), "what is said counts");
    }

    [Test]
    public async Task The_lowest_loss_is_kept_without_saying_so()
    {
        var run = await RunAsync(new FedAvg { Rounds = 3, Selection = new("loss") });
        Assert.That(run.Rounds.Select(r => r.IsBest), Is.All.True);
    }

    [Test]
    public async Task A_loss_that_is_to_be_high_is_warned_of()
    {
        var run = await RunAsync(new FedAvg { Rounds = 2, Selection = new("loss", HigherIsBetter: true) });
        Assert.That(
            run.Rounds[0].Warnings.Single(),
            Does.StartWith(
                "The best model is the one with the highest 'loss', by its name something that should fall"));
        Assert.That(run.Rounds[1].Warnings, Is.Empty);
    }

    [TestCase("acc", " Did you mean 'accuracy'?"), TestCase("acuracy", " Did you mean 'accuracy'?"),
        TestCase("Loss", " Did you mean 'loss'?"), TestCase("f1", "")]
    public async Task A_metric_that_no_site_states_is_told_of_once_with_those_that_are_there(string metric, string hint)
    {
        using var log = new LogRecorder();
        var run = await Sites.RunAsync(
            new FedAvg { Rounds = 3, Selection = new(metric) }, Sites.Model(0), f => f.UseLogging(log), new AddOne());
        var warning =
            $"No site states the metric '{metric}' by which the best model is chosen, so none is kept. There are: "
                + $"accuracy, loss, score.{hint} Set the workflow's Selection";
        Assert.That(run.Rounds.Select(r => r.Warnings), Is.EqualTo(new[] { [warning], Array.Empty<string>(), [] }));
        Assert.That(log.Entries.Count(e => e.Message == "Round 1: " + warning), Is.EqualTo(1));
    }

    [Test]
    public async Task A_metric_asked_of_a_report_is_named_where_it_is_nearly_there()
    {
        var run = await RunAsync(new FedAvg { Rounds = 1 });
        Assert.That(
            () => run.Rounds[0].Metrics["acuracy"],
            Throws.TypeOf<KeyNotFoundException>().With.Message.EndsWith("Did you mean 'accuracy'?"));
    }
}

using Flare.Testing;
using Flare.Workflows;

namespace Flare.Outside.Tests;

/// <summary>The first workflow that a hospital writes: ask for statistics, then train; at one site class, or at two
/// executors of a site.</summary>
public class StatisticsThenTrainTests
{
    private static readonly float[][] Ages = [[30, 40], [50, 60, 70], [20]];

    private static StateDict Initial => StateDict.Create(("w", [1f]));

    [Test]
    public async Task One_class_answers_statistics_and_trains()
    {
        var statistics = new AgeStatistics();
        var sites = new List<Hospital>();
        await using (var federation = Federation.InProcess(f => f
            .AddSites(3, site =>
            {
                var hospital = new Hospital(Ages[site.Index]);
                sites.Add(hospital);
                return hospital;
            })
            .UseController(statistics)
            .UseController(new FedAvg { Rounds = 2, MinSites = 3, Validation = ValidationMode.None })))
        {
            await federation.RunToEndAsync(Initial);
            Assert.That(federation.Model["w"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(new[] { 3f }));
        }
        Assert.That(statistics.Mean, Is.EqualTo(45));
        Assert.That(sites.Select(s => s.Finalized), Is.All.EqualTo(1));
    }

    [Test]
    public async Task Two_executors_of_a_site_answer_the_tasks_that_they_are_for()
    {
        var statistics = new AgeStatistics();
        await using var federation = Federation.InProcess(f => f
            .AddSites(3, _ => new Adding(1))
            .AddExecutor("statistics", site => new AgeExecutor(Ages[site.Index]))
            .UseController(statistics)
            .UseController(new FedAvg { Rounds = 2, MinSites = 3, Validation = ValidationMode.None }));
        await federation.RunToEndAsync(Initial);
        Assert.That(statistics.Mean, Is.EqualTo(45));
        Assert.That(federation.Model["w"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(new[] { 3f }));
    }

    [Test]
    public async Task A_hospitals_statistics_by_themselves()
    {
        var answer = await new Hospital([30, 40]).ExecuteAsync(
            "statistics", new Shareable(), TestContexts.ForSite("site-1", "statistics", round: 0),
            CancellationToken.None);
        var values = Dxo.From(answer).Values;
        Assert.That((values["sum"].AsNumber(), values["count"].AsNumber()), Is.EqualTo((70, 2)));
    }

    [Test]
    public async Task A_task_that_the_learner_does_not_know_names_those_that_it_does()
    {
        var answer = await new Adding(1).ExecuteAsync(
            "Train", new Shareable(), TestContexts.ForSite("site-1", "Train"), CancellationToken.None);
        Assert.That(answer.ReturnCode, Is.EqualTo(ReturnCode.TaskUnknown));
        Assert.That(
            answer.Error!.Message,
            Does.Contain("'train', 'validate' and 'submit_model'").And.Contain("did you mean 'train'?"));
    }

    private sealed class Hospital(float[] ages) : Learner
    {
        public int Finalized { get; private set; }

        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Answers.Plus(model.Tensors, 1));

        protected override ValueTask<Shareable> ExecuteOtherAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort) => taskName == "statistics"
            ? ValueTask.FromResult(Dxo.Metrics(("sum", ages.Sum()), ("count", ages.Length)).ToShareable())
            : base.ExecuteOtherAsync(taskName, input, context, abort);

        protected override ValueTask FinalizeAsync(FLContext context)
        {
            Finalized++;
            return ValueTask.CompletedTask;
        }
    }

    private sealed class AgeExecutor(float[] ages) : Executor
    {
        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.Metrics(("sum", ages.Sum()), ("count", ages.Length)).ToShareable());
    }

    private sealed class AgeStatistics : Controller
    {
        public double Mean { get; private set; }

        protected override async Task RunAsync(ControllerContext context, CancellationToken abort)
        {
            double sum = 0, count = 0;
            var task = new FlareTask("statistics", 0, new Shareable());
            await foreach (var answer in context.BroadcastAsync(task, abort: abort))
            {
                sum += answer.Metrics!["sum"].AsNumber();
                count += answer.Metrics["count"].AsNumber();
            }
            Mean = sum / count;
        }
    }
}

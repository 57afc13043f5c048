using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>Several executors at a site, each for the tasks that it is named for.</summary>
public class ExecutorsByTaskTests
{
    private static Scripted Saying(string word, List<string> heard) => new Scripted((task, input, _, _) =>
    {
        lock (heard) heard.Add($"{word}: {task}");
        return ValueTask.FromResult(
            task == TaskNames.Train ? Sites.Diff(Dxo.From(input).Tensors, 1) : Dxo.Metrics(("n", 1)).ToShareable());
    });

    private static Workflow Sending(params string[] tasks) => new(async (federation, abort) =>
    {
        foreach (var task in tasks)
        {
            var responses = federation.BroadcastAsync(
                new FlareTask(task, 1, Dxo.Weights(federation.Model).ToShareable()), new() { MinResponses = 1 }, abort);
            await foreach (var _ in responses) { }
        }
    });

    [Test]
    public async Task A_task_goes_to_the_executor_that_is_named_for_it_and_the_rest_to_the_sites_own()
    {
        var heard = new List<string>();
        var both = Saying("named", heard);
        await Sites.RunAsync(Sending("ages", "train", "sizes"), Sites.Model(1), f => f
            .ConfigureSites((site, _) => site.AddExecutor("ages", both).AddExecutor("sizes", both)),
            Saying("rest", heard));
        Assert.That(heard, Is.EqualTo(new[] { "named: ages", "rest: train", "named: sizes" }));
    }

    [Test]
    public void A_task_that_nobody_answers_names_the_known_ones()
    {
        var heard = new List<string>();
        var failure = Assert.ThrowsAsync<TooFewResponsesException>(
            async () => await RunWithoutRestAsync("age", heard))!;
        var outcome = failure.Sites[0];
        Assert.That(outcome.Code, Is.EqualTo(ReturnCode.TaskUnknown));
        Assert.That(
            outcome.Reason, Does.Contain("'age' (did you mean 'ages'?)").And.Contain("'ages', 'sizes'").And.Contain(
                "AddExecutor"));
        Assert.That(outcome.ToString(), Does.StartWith("site-1: Failed: ").And.EndsWith("(task 'age')"));
        Assert.That(heard, Is.Empty);
    }

    private static async Task RunWithoutRestAsync(string task, List<string> heard)
    {
        await using var federation = Federation.InProcess(f => f.AddSite("site-1")
            .AddExecutor("ages", _ => Saying("ages", heard)).AddExecutor("sizes", _ => Saying("sizes", heard))
            .UseController(Sending(task)));
        await federation.RunToEndAsync(Sites.Model(1)).WaitAsync(Patience.Long);
    }

    [Test]
    public void A_site_without_any_executor_is_refused()
    {
        Assert.That(() => Federation.InProcess(f => f.AddSite("site-1").UseController(Sites.Training())),
            Throws.TypeOf<FlareException>().With.Message.Contains("site-1 has no executor"));
    }

    [Test]
    public void A_task_has_one_executor_at_a_site()
    {
        var site = new SiteDefinition("site-1").AddExecutor("ages", Sites.Adding(1));
        Assert.That(
            () => site.AddExecutor("ages", Sites.Adding(2)),
            Throws.ArgumentException.With.Message.Contains("site-1").And.Message.Contains("'ages'"));
    }

    [Test]
    public async Task An_executor_for_a_task_that_no_workflow_sends_is_told_of_at_the_end()
    {
        var log = new LogRecorder();
        await Sites.RunAsync(Sending("ages", "train"), Sites.Model(1), f => f.UseLogging(log)
            .AddExecutor("ages", _ => Sites.Adding(1)).AddExecutor("trian", _ => Sites.Adding(1)), Sites.Adding(1));
        Assert.That(
            log.Entries.Select(e => e.Message),
            Has.One.Contains(
                "site-1: the executor Scripted is for the task 'trian', which no workflow sent (did you mean "
                    + "'train'?); sent were 'ages', 'train'"));
    }

    [Test]
    public async Task Every_executor_is_told_of_the_end()
    {
        var ended = new List<string>();
        await Sites.RunAsync(
            Sites.Training(), Sites.Model(1), f => f.AddExecutor("ages", _ => new Ending("named", ended)),
            new Ending("rest", ended));
        Assert.That(ended, Is.EqualTo(new[] { "rest", "named" }));
    }

    private sealed class Ending(string name, List<string> ended) : Executor
    {
        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));

        protected internal override ValueTask EndRunAsync(FLContext context)
        {
            ended.Add(name);
            return ValueTask.CompletedTask;
        }
    }
}

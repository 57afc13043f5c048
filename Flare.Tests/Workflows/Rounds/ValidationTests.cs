using Flare.Tests.Federations;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Workflows;

/// <summary>A site that cannot measure a model is no broken site.</summary>
public class ValidationTests
{
    /// <summary>Trains, and knows no other task, as NVIDIA's example.</summary>
    private static Scripted TrainsOnly(Action? asked = null, ReturnCode answer = ReturnCode.TaskUnknown) =>
        new Scripted((task, input, _, _) =>
    {
        if (task == TaskNames.Train) return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        asked?.Invoke();
        return ValueTask.FromResult(Shareable.Reply(answer));
    });

    private sealed class TrainsOnlyLearner : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.From(Sites.Diff(model.Tensors, 1)));
    }

    private static IEnumerable<string> Asked(RoundReport round) =>
        round.Sites.Where(s => s.Task == TaskNames.Validate).Select(s => s.Site);

    [Test]
    public async Task A_site_that_does_not_know_the_task_is_asked_once_a_run()
    {
        var asked = 0;
        var federation = await Sites.RunAsync(
            new FedAvg { Rounds = 3, MinSites = 3 }, Sites.Model(1), Sites.Adding(1), TrainsOnly(() => asked++),
            new TrainsOnlyLearner());
        Assert.That(asked, Is.EqualTo(1));
        Assert.That(
            federation.Rounds.Select(Asked),
            Is.EqualTo(new[] { ["site-1", "site-2", "site-3"], ["site-1"], new[] { "site-1" } }));
        Assert.That(federation.Rounds.Select(r => r.Metrics["accuracy"]), Is.EqualTo(new[] { 2.0, 3, 4 }));
    }

    [Test]
    public async Task Where_no_site_knows_the_task_nobody_is_asked_any_more_and_the_log_says_so_once()
    {
        using var log = new LogRecorder();
        var federation = await Sites.RunAsync(
            new FedAvg { Rounds = 3, MinSites = 2 }, Sites.Model(1), f => f.UseLogging(log), TrainsOnly(),
            TrainsOnly());
        Assert.That(federation.Rounds.Select(r => Asked(r).Count()), Is.EqualTo(new[] { 2, 0, 0 }));
        Assert.That(federation.Rounds.Select(r => (r.Targets, r.Accepted, r.Metrics.Count)), Is.All.EqualTo((2, 2, 0)));
        const string warning = "No site of the round knows the task 'validate', so its model is not measured; they are "
            + "not asked again. A Learner measures by overriding ValidateAsync; ValidationMode.None asks nobody";
        Assert.That(
            log.Entries.Where(e => e.Level == LogLevel.Warning && e.Id == 101).Select(e => e.Message),
            Is.EqualTo(new[] { "Round 1: " + warning }));
        Assert.That(
            federation.Rounds.Select(r => r.Warnings), Is.EqualTo(new[] { [warning], Array.Empty<string>(), [] }));
    }

    [Test]
    public async Task A_site_that_failed_is_asked_again()
    {
        var federation = await Sites.RunAsync(
            new FedAvg { Rounds = 2 }, Sites.Model(1), TrainsOnly(answer: ReturnCode.ServiceUnavailable));
        Assert.That(federation.Rounds.Select(r => Asked(r).Count()), Is.All.EqualTo(1));
    }

    [Test]
    public async Task Another_run_asks_again()
    {
        var asked = 0;
        var workflow = new FedAvg { Rounds = 2 };
        for (var run = 1; run <= 2; run++)
        {
            await Sites.RunAsync(workflow, Sites.Model(1), TrainsOnly(() => asked++));
            Assert.That(asked, Is.EqualTo(run));
        }
    }

    [Test]
    public async Task An_outcome_says_what_the_site_answered_after_a_resume_too()
    {
        var directory = Directory.CreateTempSubdirectory("flare-codes-").FullName;
        try
        {
            ReturnCode?[] expected = [ReturnCode.Ok, ReturnCode.Ok, ReturnCode.TaskUnsupported, ReturnCode.Ok];
            for (var run = 0; run < 2; run++)
            {
                var federation = await Sites.RunAsync(
                    new FedAvg { Rounds = 1, MinSites = 2 }, Sites.Model(1), f => f.UseJournal(directory),
                    new TrainsOnlyLearner(), Sites.Adding(1));
                Assert.That(federation.Rounds[0].Sites.Select(s => s.Code), Is.EqualTo(expected));
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}

using Flare.Tests.Core.Journaling;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>Commits that fail, that nobody awaits, that never come; and the job's end in the log.</summary>
public class CommitTests
{
    [TestCase(false, 1), TestCase(true, 1), TestCase(false, 100_000), TestCase(true, 100_000)]
    public void A_commit_that_nobody_awaits_at_the_workflows_end_fails_the_job_in_words(bool journalled, int elements)
    {
        var workflow = new Workflow((context, abort) =>
        {
            _ = context.CommitAsync(1, Sites.Model(new float[elements]), abort);
            return Task.CompletedTask;
        });
        var disk = new MemoryStorage();
        Assert.That(() => Sites.RunAsync(workflow, Sites.Model(new float[elements]), f =>
            { if (journalled) f.UseJournal(disk); }, Sites.Adding(1)),
            Throws.InvalidOperationException.With.Message.Contains("await CommitAsync"));
        if (!journalled) return;
        var log = Flare.Runtime.JournalLog.Read(disk.Files["journal.flare"], "memory", out _);
        Assert.That(log.Select(r => r.Type), Has.None.EqualTo(Flare.Runtime.JournalRecordType.JobCompleted));
    }

    [TestCase("replace model"), TestCase("append")]
    public async Task Nothing_of_a_round_is_to_be_seen_whose_commit_failed(string what)
    {
        var disk = new MemoryStorage();
        var done = 0;
        var workflow = new Workflow(async (context, abort) =>
        {
            context.State.Values["x"] = 1;
            await context.CommitAsync(1, Sites.Model(1), abort);
            disk.Before = operation => operation.StartsWith(what, StringComparison.Ordinal)
                ? throw new IOException("No space left.") : Task.CompletedTask;
            context.State.Values["x"] = 2;
            await context.CommitAsync(2, Sites.Model(2), abort);
        });
        await using var federation = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1))
            .UseController(workflow).UseJournal(disk)
            .AddServerComponent(new LambdaComponent((type, _) => { if (type == EventTypes.RoundDone) done++; })));
        var seen = new List<int>();
        Assert.That(async () =>
        {
            await foreach (var round in federation.RunAsync(Sites.Model(0))) seen.Add(round.Number);
        }, Throws.TypeOf<FlareException>().With.Message.Contains("No space left"));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 1f }));
        Assert.That(federation.State.Values["x"].AsInteger(), Is.EqualTo(1));
        Assert.That((seen.Count, federation.Rounds.Count, done), Is.EqualTo((1, 1, 1)));
    }

    [Test]
    public async Task A_workflow_that_commits_nothing_is_told_of()
    {
        var log = new LogRecorder();
        await Sites.RunAsync(new Workflow((_, _) => Task.CompletedTask), Sites.Model(0), f => f.UseLogging(log), Sites
            .Adding(1));
        Assert.That(log.Entries, Has.One.Matches<(LogLevel Level, int Id, string Message, Exception?)>(e =>
            e.Level == LogLevel.Warning && e.Message.Contains("Workflow ended without having committed a round",
                StringComparison.Ordinal)));
    }

    [Test]
    public async Task A_jobs_end_is_logged_with_its_numbers()
    {
        var log = new LogRecorder();
        await Sites.RunAsync(Sites.Training(rounds: 3), Sites.Model(0), f => f.UseLogging(log), Sites.Adding(1), Sites
            .Adding(1), Sites.Throwing("out of paper"));
        Assert.That(log.Entries.Last().Message,
            Does.Match(@"^Job job is done: 3 rounds committed in \d+\.\d s, contributions: 6 Accepted, 3 Failed$"));
        Assert.That(log.Entries.Count(e => e.Level == LogLevel.Warning), Is.EqualTo(3),
            "the failed answers, and nothing else");
    }

    [Test]
    public void A_jobs_failure_is_logged_with_its_numbers_and_its_reason()
    {
        var log = new LogRecorder();
        Assert.That(() => Sites.RunAsync(Sites.Training(), Sites.Model(0), f => f.UseLogging(log),
            Sites.Throwing("out of paper")), Throws.TypeOf<TooFewResponsesException>());
        var end = log.Entries.Last();
        Assert.That(end.Level, Is.EqualTo(LogLevel.Error));
        Assert.That(end.Message, Does.StartWith("Job job failed: 0 rounds committed").And.Contain("out of paper"));
    }
}

using Flare.Tests.Core.Journaling;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>Starts that ask for other rounds than a journal holds, and looking into one without a start.</summary>
public class ResumeRoundsTests
{
    private string _folder = "";

    [SetUp]
    public void CreateFolder() => _folder = Path.Combine(Directory.CreateTempSubdirectory("flare-rounds-").FullName,
        "job");

    [TearDown]
    public void DeleteFolder() => Directory.Delete(Path.GetDirectoryName(_folder)!, recursive: true);

    private Federation Build(LogRecorder log, params int[] rounds) => Federation.InProcess(f =>
    {
        f.AddSites(1, _ => Sites.Adding(1)).UseJournal(_folder).UseLogging(log).UseJobId("digits").UseSeed(9);
        foreach (var count in rounds) f.UseController(Sites.Training(count));
    });

    private async Task<LogRecorder> RunAsync(int stopAt, params int[] rounds)
    {
        var log = new LogRecorder();
        await using var federation = Build(log, rounds);
        var seen = 0;
        await foreach (var _ in federation.RunAsync(Sites.Model(0)))
            if (++seen == stopAt) break;
        return log;
    }

    [Test]
    public async Task A_start_with_fewer_rounds_than_the_journal_has_is_refused_and_changes_nothing()
    {
        await RunAsync(5, 10);
        await using (var mistake = Build(new(), 2))
            Assert.That(() => mistake.RunToEndAsync(Sites.Model(0)), Throws.TypeOf<FlareException>()
                .With.Property("ErrorId").EqualTo(ErrorIds.Journal).And.Message.Contains("has 5 rounds of FedAvg, " +
                "and this start asks for 2"));
        await using var third = Build(new(), 10);
        Assert.That(await third.RunToEndAsync(Sites.Model(0)), Has.Count.EqualTo(10));
        Assert.That(third.Model.Values(), Is.EqualTo(new[] { 10f }));
    }

    [Test]
    public async Task A_start_with_as_many_rounds_as_the_journal_has_ends_the_job_there()
    {
        await RunAsync(5, 10);
        await RunAsync(99, 5);
        Assert.That((await JournalInfo.ReadAsync(_folder))!.IsComplete);
    }

    [Test]
    public async Task A_start_with_fewer_workflows_than_the_journal_has_begun_is_refused()
    {
        await RunAsync(3, 2, 4); // the second workflow has one round
        await using (var mistake = Build(new(), 2))
            Assert.That(() => mistake.RunToEndAsync(Sites.Model(0)), Throws.TypeOf<FlareException>()
                .With.Message.Contains("stands at workflow 2"));
        await using var right = Build(new(), 2, 4);
        Assert.That(await right.RunToEndAsync(Sites.Model(0)), Has.Count.EqualTo(6));
    }

    [Test]
    public async Task A_complete_job_that_is_asked_for_more_rounds_says_that_nothing_is_trained_and_why()
    {
        await RunAsync(99, 2);
        var log = await RunAsync(99, 30);
        var warning = log.Entries.Single(e => e.Level == LogLevel.Warning).Message;
        Assert.That(warning, Does.Contain("30 rounds of FedAvg were asked for").And.Contain("nothing")
            .And.Contain("with 2 rounds").And.Contain("another job"));
        Assert.That(log.Entries.Select(e => e.Message), Has.Some.Contains("digits is complete, with 2 rounds")
            .And.None.Contains("resumes"));
    }

    [Test]
    public async Task A_complete_job_started_again_as_it_was_is_no_reason_to_warn()
    {
        await RunAsync(99, 2);
        Assert.That((await RunAsync(99, 2)).Entries.Where(e => e.Level >= LogLevel.Warning), Is.Empty);
    }

    [Test]
    public async Task A_job_that_resumes_says_with_which_workflow_and_round()
    {
        await RunAsync(3, 2, 4);
        Assert.That((await RunAsync(99, 2, 4)).Entries.Select(e => e.Message),
            Has.One.EqualTo("Job digits resumes after round 1 of FedAvg, workflow 2 of 2"));
    }

    [Test]
    public async Task A_journal_tells_what_it_holds_without_being_run()
    {
        Assert.That(await JournalInfo.ReadAsync(_folder), Is.Null);
        await RunAsync(3, 10);
        var log = await File.ReadAllBytesAsync(Path.Combine(_folder, "journal.flare"));
        var info = (await JournalInfo.ReadAsync(_folder))!;
        Assert.That((info.JobId, info.Seed, info.Workflows, info.CurrentWorkflow, info.LastCommittedRound,
            info.IsComplete, info.ServerStarts),
            Is.EqualTo(("digits", 9UL, "FedAvg", 0, 3, false, 1L)));
        Assert.That(info.Rounds.Select(r => r.Number), Is.EqualTo(new[] { 1, 2, 3 }));
        Assert.That(info.LastReport!.Accepted, Is.EqualTo(1));
        Assert.That(info.ModelFile, Is.EqualTo("model-000003.safetensors"));
        Assert.That(await File.ReadAllBytesAsync(Path.Combine(_folder, "journal.flare")), Is.EqualTo(log),
            "nothing is written");
        await RunAsync(99, 10);
        var done = (await JournalInfo.ReadAsync(_folder))!;
        Assert.That((done.IsComplete, done.Rounds.Count, done.CurrentWorkflow, done.ServerStarts),
            Is.EqualTo((true, 10, 1, 2L)));
    }

    [Test]
    public async Task A_journal_can_be_looked_into_while_its_server_is_at_work()
    {
        await using var federation = Build(new(), 5);
        await foreach (var round in federation.RunAsync(Sites.Model(0)))
            Assert.That((await JournalInfo.ReadAsync(_folder))!.LastReport!.Number, Is.EqualTo(round.Number));
        await File.AppendAllTextAsync(Path.Combine(_folder, "journal.flare"), "torn");
        Assert.That((await JournalInfo.ReadAsync(_folder))!.TornBytes, Is.EqualTo(4));
    }
}

using Flare.Runtime;
using Flare.Tests.Core.Journaling;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>A server whose reports nobody reads keeps few models, not one for each round.</summary>
public class UnreadReportsTests
{
    [Test]
    public async Task Of_reports_that_nobody_read_the_newest_four_have_their_models()
    {
        var running = new Side(
            new ServerBuilder().AddSites("site-1").UseController(Sites.Training(rounds: 10))
                .UseInitialModel(Sites.Model(0)),
            new SiteBuilder("site-1").UseExecutor(() => Sites.Adding(1)));
        await using (running) await running.Done.WaitAsync(Patience.Long);
        var reports = new List<RoundReport>();
        await foreach (var report in running.Server.Reports.ReadAllAsync()) reports.Add(report);
        Assert.That(reports.Select(r => r.Number), Is.EqualTo(Enumerable.Range(1, 10)));
        Assert.That(reports.Where(r => r.HasModel).Select(r => r.Model.Values()[0]), Is.EqualTo(new[] { 7, 8, 9, 10 }));
        Assert.That(() => reports[0].Model, Throws.InvalidOperationException.With.Message.Contains("nobody read"));
    }

    [Test]
    public async Task Of_reports_that_nobody_read_the_newest_thousand_are_kept_and_the_others_are_counted()
    {
        var log = new LogRecorder();
        var running = new Side(
            new ServerBuilder().AddSites("site-1").UseController(Counting(1010))
                .UseInitialModel(Sites.Model(0)).UseLogging(log),
            new SiteBuilder("site-1").UseExecutor(() => Sites.Adding(1)));
        await using (running) await running.Done.WaitAsync(Patience.Long);
        Assert.That(running.Server.ReportsDropped, Is.EqualTo(10));
        var numbers = new List<int>();
        await foreach (var report in running.Server.Reports.ReadAllAsync()) numbers.Add(report.Number);
        Assert.That(numbers, Is.EqualTo(Enumerable.Range(11, 1000)));
        Assert.That(
            log.Entries.Where(e => e.Id == 30).Select(e => (e.Level, e.Message)),
            Is.EqualTo(new[] { (LogLevel.Warning, "Nobody reads the reports of job job: the newest 1000 are kept, and "
                + "the older ones are dropped from now on. Read JobServer.Reports, or look at "
                + "JobServer.ReportsDropped") }));
    }

    [Test]
    public async Task A_federation_in_process_drops_none_of_those_that_its_reader_has_yet_to_read()
    {
        var disk = new MemoryStorage();
        await using (var first = Build(2000))
            await foreach (var report in first.RunAsync(Sites.Model(0)))
                if (report.Number == 1005) break;
        disk = disk.Restarted();
        await using var again = Build(1006);
        var numbers = new List<int>();
        await foreach (var report in again.RunAsync(Sites.Model(0))) numbers.Add(report.Number);
        Assert.That(numbers, Is.EqualTo(Enumerable.Range(1, 1006)));

        Federation Build(int rounds) => Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1))
            .UseController(Counting(rounds)).UseJournal(disk));
    }

    // Commits rounds without asking anybody.
    private static Workflow Counting(int rounds) => new(async (context, abort) =>
    {
        for (var round = context.LastCommittedRound + 1; round <= rounds; round++)
            await context.CommitAsync(round, Sites.Model(round), abort);
    });
}

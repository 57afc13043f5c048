using Flare.Runtime;

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
}

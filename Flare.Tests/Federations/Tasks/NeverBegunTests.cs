namespace Flare.Tests.Federations;

/// <summary>A site whose executor never began is not told of as one that was slow.</summary>
public class NeverBegunTests
{
    [Test]
    public async Task A_site_that_waited_for_a_slot_until_the_time_was_over_says_so_and_who_had_them()
    {
        var time = new ManualTime();
        var started = new CountdownEvent(2);
        await using var federation = Federation.InProcess(f => f
            .AddSites(5, _ => Sites.Hanging(() => started.Signal()))
            .UseParallelism(2).UseTime(time)
            .UseController(Sites.Training(timeout: TimeSpan.FromSeconds(3))));
        var run = federation.RunToEndAsync(Sites.Model(1));
        await time.TimerAsync(TimeSpan.FromSeconds(3));
        Assert.That(started.Wait(Patience.Long));
        time.Advance(TimeSpan.FromSeconds(3));
        var failure = Assert.ThrowsAsync<TooFewResponsesException>(() => run.WaitAsync(Patience.Long))!;
        var reasons = failure.Sites.OrderBy(s => s.Site, StringComparer.Ordinal).Select(s => s.Reason!).ToArray();
        Assert.That(failure.Sites.Select(s => s.Status), Is.All.EqualTo(SiteStatus.TimedOut));
        Assert.That(reasons[..2], Is.All.EqualTo("the task's time of 00:00:03 ran out"));
        Assert.That(reasons[2..], Is.All.Contains("before its executor began").And.All.Contains(
            "all 2 of the process were taken, by site-1, site-2").And.All.Contains("UseParallelism"));
    }

    [Test]
    public async Task A_site_that_did_not_take_its_task_says_whether_it_was_there()
    {
        await using var bench = new ServerBench(
            async (federation, abort) =>
            {
                var options = new BroadcastOptions { MinResponses = 0, Timeout = TimeSpan.FromSeconds(3) };
                var answers = federation.BroadcastAsync(FlareTask.Train(1, federation.Model), options, abort);
                await foreach (var _ in answers) { }
                await federation.CommitAsync(1, federation.Model.Clone(), abort);
            },
            "taker", "deaf", "absent");
        await bench.SayAsync(Hello.Of("deaf", 1));
        var offer = await bench.JoinAsync("taker");
        await bench.SayAsync(new("taker", 1, 1, new Flare.Runtime.TaskReceived(offer.Token)));
        await bench.SettleAsync();
        bench.Time.Advance(TimeSpan.FromSeconds(3));
        await bench.EndAsync();
        var sites = (await bench.Ended).Single().Sites.ToDictionary(s => s.Site, s => s.Reason);
        Assert.That(sites["taker"], Is.EqualTo("the task's time of 00:00:03 ran out"));
        Assert.That(sites["deaf"], Does.EndWith("ran out, before the site took the task"));
        Assert.That(sites["absent"], Does.Contain("the site was not there: check its process"));
    }
}

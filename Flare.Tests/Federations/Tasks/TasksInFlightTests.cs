namespace Flare.Tests.Federations;

/// <summary>Several tasks on their way at once.</summary>
public class TasksInFlightTests
{
    private static StateDict Initial => Sites.Model(0);

    private static async Task ReadAsync(IAsyncEnumerable<Contribution> responses)
    {
        await foreach (var _ in responses) { }
    }

    // One executor at a time and one permit: whichever answers first must not stand in the way of what is read first.
    private static Task<Federation> RunTightAsync(Func<ControllerContext, CancellationToken, Task> body) =>
        Sites.RunAsync(new Workflow(body), Initial,
        f => f.UseParallelism(1).UseLimits(new() { MaxConcurrentUploads = 1, SmallResultBytes = 0 }), Sites.Adding(1),
        Sites.Adding(1), Sites.Adding(1));

    [Test]
    public Task Tasks_in_flight_at_the_same_sites_are_read_one_after_the_other() =>
        RunTightAsync(async (federation, abort) =>
    {
        TaskResponses[] tasks =
            [.. Enumerable.Range(1, 3)
                .Select(round => federation.BroadcastAsync(FlareTask.Train(round, federation.Model), abort: abort))];
        foreach (var task in tasks) await ReadAsync(task);
        Assert.That(tasks.SelectMany(t => t.Sites).Select(s => s.Status), Is.All.EqualTo(SiteStatus.Accepted));
    });

    [TestCase(1, 2, 3), TestCase(3, 2, 1), TestCase(2, 3, 1)]
    public Task Tasks_in_flight_at_different_sites_are_read_in_any_order(params int[] order) =>
        RunTightAsync(async (federation, abort) =>
    {
        var tasks = federation.Sites.ToDictionary(
            site => site, site =>
            federation.BroadcastAsync(FlareTask.Train(1, federation.Model), new() { Targets = [site] }, abort));
        foreach (var site in order) await ReadAsync(tasks[$"site-{site}"]);
        Assert.That(tasks.Values.Select(t => t.Sites.Single().Status), Is.All.EqualTo(SiteStatus.Accepted));
    });
}

using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>
/// What a naive reimplementation of FLARE gets wrong about tasks, and what a site sees on the wire. The server is real,
/// its sites are played.
/// </summary>
public class TaskTraps
{
    private static FlareTask Train(ControllerContext federation) => FlareTask.Train(1, federation.Model);

    [Test]
    public async Task Targets_are_frozen_when_the_task_is_sent()
    {
        var broadcast = new TaskCompletionSource();
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            var sites = new List<string>();
            await foreach (var contribution in federation.BroadcastAsync(Train(federation), abort: abort))
                sites.Add(contribution.Site);
            Assert.That(sites, Is.EqualTo(new[] { "a" }));
            Assert.That(federation.Sites, Is.EqualTo(new[] { "a", "newcomer" }));
        }, "a");
        var offer = await bench.JoinAsync("a");
        await bench.SayAsync(Hello.Of("newcomer", 1));
        await bench.NextAsync<ServerWelcome>("newcomer");
        await bench.SettleAsync();
        Assert.That(bench.Unread("newcomer"), Is.Empty);
        await bench.SayAsync(ServerBench.Answer("a", offer, 1));
        await bench.EndAsync("newcomer");
    }

    [Test]
    public async Task A_standing_broadcast_goes_to_newcomers_too()
    {
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            await foreach (var contribution in federation.BroadcastUntilCancelledAsync(Train(federation), abort: abort))
                if (contribution.Site == "newcomer") break;
        }, "a");
        await bench.JoinAsync("a");
        await bench.SayAsync(ServerBench.Answer("newcomer", await bench.JoinAsync("newcomer"), 1));
        await bench.EndAsync("newcomer");
    }

    [Test]
    public async Task The_minimum_counts_against_the_targets_not_against_those_already_reached()
    {
        var ended = false;
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            await foreach (var _ in federation.BroadcastAsync(Train(federation), new() { MinResponses = 3 }, abort)) { }
            ended = true;
        }, "a", "b", "late");
        foreach (var site in new[] { "a", "b" })
            await bench.SayAsync(ServerBench.Answer(site, await bench.JoinAsync(site), 1));
        await bench.SettleAsync();
        Assert.That(ended, Is.False);
        await bench.SayAsync(ServerBench.Answer("late", await bench.JoinAsync("late"), 1));
        await bench.EndAsync();
        Assert.That(ended);
    }

    [Test]
    public async Task A_tasks_time_runs_from_when_it_was_sent()
    {
        TaskResponses? responses = null;
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            responses = federation.BroadcastAsync(
                Train(federation),
                new() { MinResponses = 0, Grace = TimeSpan.FromHours(1), Timeout = TimeSpan.FromSeconds(60) }, abort);
            await foreach (var _ in responses) { }
        }, "a", "b");
        await bench.Time.TimerAsync(TimeSpan.FromSeconds(60));
        bench.Time.Advance(TimeSpan.FromSeconds(25));
        await bench.JoinAsync("a"); // gets the task late, and no more time for it
        bench.Time.Advance(TimeSpan.FromSeconds(34));
        await bench.SettleAsync();
        Assert.That(responses!.Status, Is.EqualTo(CompletionStatus.Running));
        bench.Time.Advance(TimeSpan.FromSeconds(1));
        await bench.NextAsync<TaskCancel>("a");
        Assert.That(responses.Status, Is.EqualTo(CompletionStatus.Timeout));
        Assert.That(responses.Sites.Select(s => s.Elapsed), Is.All.EqualTo(TimeSpan.FromSeconds(60)));
        await bench.EndAsync();
    }

    [Test]
    public async Task Candidates_become_eligible_one_window_after_the_other_and_who_took_the_task_has_its_own_time()
    {
        TaskFailedException? failure = null;
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            try
            {
                await federation.SendAsync(
                    Train(federation),
                    new() { Targets = ["a", "b", "c"], AssignmentTimeout = TimeSpan.FromSeconds(10),
                        Timeout = TimeSpan.FromSeconds(40) }, abort);
            }
            catch (TaskFailedException e)
            {
                failure = e;
            }
        }, "a", "b", "c");
        await bench.JoinAsync("a"); // is there, and never takes it
        await bench.SayAsync(Hello.Of("b", 1));
        await bench.NextAsync<ServerWelcome>("b");
        bench.Time.Advance(TimeSpan.FromSeconds(9));
        await bench.SettleAsync();
        Assert.That(bench.Unread("b"), Has.None.InstanceOf<TaskOffer>());
        bench.Time.Advance(TimeSpan.FromSeconds(1));
        await bench.NextAsync<TaskCancel>("a");
        var offer = await bench.NextAsync<TaskOffer>("b");
        bench.Time.Advance(TimeSpan.FromSeconds(9));
        await bench.SayAsync(new("b", 1, 1, new TaskReceived(offer.Token)));
        await bench.Time.TimerAsync(TimeSpan.FromSeconds(40));
        bench.Time.Advance(TimeSpan.FromSeconds(39));
        await bench.SettleAsync();
        Assert.That(failure, Is.Null);
        bench.Time.Advance(TimeSpan.FromSeconds(1));
        await bench.NextAsync<TaskCancel>("b");
        await bench.EndAsync();
        Assert.That(failure!.Status, Is.EqualTo(CompletionStatus.Timeout));
        Assert.That(
            failure.Attempts.Select(a => a.Site), Is.EqualTo(new[] { "a", "b" }),
            "c was not asked: b had taken the task");
        Assert.That(failure.Message, Does.Contain("did not take the task").And.Contain("did not answer within"));
    }

    [Test]
    public async Task A_site_that_joins_again_gets_the_same_task_and_its_results_count_once()
    {
        var values = new List<float>();
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            await foreach (var c in federation.BroadcastAsync(Train(federation), abort: abort))
                values.Add(c.Tensors.Values()[0]);
        }, "a", "b");
        var first = await bench.JoinAsync("a", incarnation: 1);
        await bench.SayAsync(new("a", 1, 1, new TaskReceived(first.Token)));
        var second = await bench.JoinAsync("a", incarnation: 2);
        Assert.That(second.Token, Is.EqualTo(first.Token));
        Assert.That(second.Data.Headers[HeaderNames.TaskId], Is.EqualTo(first.Data.Headers[HeaderNames.TaskId]));
        await bench.SayAsync(ServerBench.Answer("a", first, 1, incarnation: 2));
        await bench.SayAsync(ServerBench.Answer("a", second, 2, incarnation: 2));
        var b = await bench.JoinAsync("b");
        Assert.That(
            b.Data.Headers[HeaderNames.TaskId], Is.EqualTo(first.Data.Headers[HeaderNames.TaskId]),
            "one id for all targets");
        Assert.That(b.Token, Is.Not.EqualTo(first.Token));
        await bench.SayAsync(ServerBench.Answer("b", b, 3));
        await bench.EndAsync();
        Assert.That(values, Is.EqualTo(new[] { 1f, 3f }));
    }

    [Test]
    public async Task A_site_that_is_lost_fails_the_task_that_only_it_had()
    {
        TaskFailedException? failure = null;
        await using var bench = new ServerBench(TimeSpan.FromSeconds(30), async (federation, abort) =>
        {
            try
            {
                await federation.SendAsync(Train(federation), new() { Targets = ["a"] }, abort);
            }
            catch (TaskFailedException e)
            {
                failure = e;
            }
        }, "a");
        var offer = await bench.JoinAsync("a");
        await bench.SayAsync(new("a", 1, 1, new TaskReceived(offer.Token)));
        await bench.SettleAsync();
        while (!bench.Ended.IsCompleted)
        {
            // The server looks every 200 ms whether its sites are alive.
            await Task.WhenAny(bench.Ended, bench.Time.TimerAsync(TimeSpan.FromMilliseconds(200)));
            bench.Time.Advance(TimeSpan.FromSeconds(1));
            await bench.SettleAsync();
        }
        await bench.Ended;
        Assert.That(failure!.Status, Is.EqualTo(CompletionStatus.SiteLost));
        Assert.That(failure.Message, Does.Contain("a: Lost").And.Contain("check its process and its network"));
    }

    [Test]
    public async Task What_a_site_sends_can_end_nothing_but_its_own_contribution()
    {
        var values = new List<float>();
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            await foreach (var c in federation.BroadcastAsync(
                Train(federation), new() { MinResponses = 1, Grace = TimeSpan.FromHours(1) }, abort))
                values.Add(c.Tensors.Values()[0]);
            await federation.CommitAsync(1, federation.Model, abort);
        }, "good", "peer", "error", "code", "kind", "metrics");
        async Task AnswerAsync(string site, Action<Shareable> spoil)
        {
            var offer = await bench.JoinAsync(site);
            var message = Sites.Diff(Sites.Model(1, 2), 666);
            spoil(message);
            await bench.SayAsync(new(site, 1, 1, new TaskResult(offer.Token, message.Freeze())));
            await bench.NextAsync<ResultReceipt>(site);
        }
        await AnswerAsync(
            "peer", m => { m.Headers[HeaderNames.PeerProperties] = "me"; m.Headers[HeaderNames.ContentType] = 5; });
        await AnswerAsync(
            "error", m => { m.ReturnCode = ReturnCode.Error;
            m.Headers[HeaderNames.Error] = new FlareMap { ["site"] = 1 }; });
        await AnswerAsync("code", m => m.Headers[HeaderNames.ReturnCode] = "OK");
        await AnswerAsync("kind", m => m.Body["kind"] = 1234567);
        await AnswerAsync("metrics", m => m.Body["meta"] = new FlareMap { [MetaKey.InitialMetrics.Name] = 1 });
        await bench.SayAsync(new(
            "good", 1, 1, new SiteEvent(new(1, EventTypes.RoundStarted, new Shareable().Freeze()))));
        await bench.SayAsync(ServerBench.Answer("good", await bench.JoinAsync("good"), 3));
        await bench.EndAsync();
        Assert.That(values, Is.EqualTo(new[] { 3f }));
        Assert.That(
            (await bench.Ended).Single().Sites.Select(s => s.Status),
            Is.EqualTo(
                new[] { SiteStatus.Accepted, SiteStatus.Rejected, SiteStatus.Rejected, SiteStatus.Rejected,
                    SiteStatus.Rejected, SiteStatus.Rejected }));
    }

    [Test]
    public async Task Federated_events_are_ordered_by_number_whatever_order_they_come_in()
    {
        var seen = new List<string>();
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var bench = new ServerBench(async (federation, abort) => await ready.Task, "a");
        await bench.SayAsync(Hello.Of("a", 1));
        FederatedEvent Event(int number) => new(number, $"event {number}", new Shareable().Freeze());
        foreach (var number in new[] { 2, 1, 1, 3, 2, 3, 4 })
            await bench.SayAsync(new("a", 1, 1, new SiteEvent(Event(number))));
        await bench.SayAsync(new("a", 0, 1, new SiteEvent(Event(5)))); // of an earlier start of the site
        await bench.SettleAsync();
        Assert.That(
            bench.Events.Types.Where(t => t.StartsWith("event", StringComparison.Ordinal)),
            Is.EqualTo(new[] { "event 1", "event 2", "event 3", "event 4" }),
            "what came before its turn waits for its repetition");
        foreach (var number in new[] { 6, 5 }) await bench.SayAsync(new("a", 1, 1, new SiteEvent(Event(number))));
        ready.SetResult();
        await bench.EndAsync();
        Assert.That(
            bench.Events.Types.Where(t => t.StartsWith("event", StringComparison.Ordinal)),
            Is.EqualTo(new[] { "event 1", "event 2", "event 3", "event 4", "event 5" }));
    }
}

namespace Flare.Tests.Federations;

/// <summary>The verbs of a controller, in process.</summary>
public class TaskVerbTests
{
    private static StateDict Initial => Sites.Model(0);

    private static Task<Federation> RunAsync(
        Func<ControllerContext, CancellationToken, Task> body, params Executor[] executors) =>
        Sites.RunAsync(new Workflow(body), Initial, executors);

    private static Task<Federation> RunAsync(
        TimeProvider time, Func<ControllerContext, CancellationToken, Task> body, params Executor[] executors) =>
        Sites.RunAsync(new Workflow(body), Initial, f => f.UseTime(time).UseParallelism(executors.Length), executors);

    private static FlareTask Train(ControllerContext federation, int round = 1) =>
        FlareTask.Train(round, federation.Model);

    // NUnit's own waits for the task, which on the job's loop never ends.
    private static async Task<T> ThrowsAsync<T>(Task task) where T : Exception
    {
        try
        {
            await task;
        }
        catch (T expected)
        {
            return expected;
        }
        throw new AssertionException($"{typeof(T).Name} was expected.");
    }

    private static async Task<List<string>> NamesAsync(IAsyncEnumerable<Contribution> responses)
    {
        var names = new List<string>();
        await foreach (var contribution in responses) names.Add(contribution.Site);
        return names;
    }

    [Test]
    public Task The_grace_period_ends_at_once_when_every_target_has_answered() =>
        RunAsync(new ManualTime(), async (federation, abort) =>
    {
        var responses = federation.BroadcastAsync(
            Train(federation), new() { MinResponses = 1, Grace = TimeSpan.FromHours(1) }, abort);
        Assert.That(await NamesAsync(responses), Is.EquivalentTo(new[] { "site-1", "site-2", "site-3" }));
        Assert.That(responses.Status, Is.EqualTo(CompletionStatus.Ok));
    }, Sites.Adding(1), Sites.Adding(2), Sites.Adding(3));

    [Test]
    public async Task The_grace_period_starts_with_the_minimum_and_then_leaves_the_others_behind()
    {
        var time = new ManualTime();
        var running = RunAsync(time, async (federation, abort) =>
        {
            var responses = federation.BroadcastAsync(
                Train(federation), new() { MinResponses = 1, Grace = TimeSpan.FromSeconds(7) }, abort);
            Assert.That(await NamesAsync(responses), Is.EqualTo(new[] { "site-1" }));
            Assert.That(
                (responses.Status, responses.Sites[1].Status), Is.EqualTo((CompletionStatus.Ok, SiteStatus.TimedOut)));
            Assert.That(responses.Sites[1].Reason, Does.Contain("grace"));
        }, Sites.Adding(1), Sites.Hanging());
        await time.TimerAsync(TimeSpan.FromSeconds(7));
        time.Advance(TimeSpan.FromSeconds(7));
        await running;
    }

    [Test]
    public async Task A_minimum_that_the_workflow_refuses_away_does_not_end_the_task_with_its_grace()
    {
        var time = new ManualTime();
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await RunAsync(time, async (federation, abort) =>
        {
            var responses = federation.BroadcastAsync(
                Train(federation), new() { MinResponses = 1, Grace = TimeSpan.FromSeconds(7) }, abort);
            var used = new List<string>();
            await foreach (var contribution in responses)
            {
                if (contribution.Site == "site-2")
                {
                    used.Add(contribution.Site);
                    continue;
                }
                contribution.Reject("not good enough");
                time.Advance(TimeSpan.FromSeconds(8)); // the grace that had begun with it
                gate.SetResult();
            }
            Assert.That(used, Is.EqualTo(new[] { "site-2" }));
            Assert.That(responses.Sites[0].ToString(), Is.EqualTo("site-1: Rejected: not good enough (task 'train')"));
        }, Sites.Adding(1), Sites.Gated(gate.Task, 1));
    }

    [TestCase(1, true), TestCase(2, false)]
    public async Task When_the_time_runs_out_the_minimum_decides(int minimum, bool enough)
    {
        var time = new ManualTime();
        var answered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var running = RunAsync(time, async (federation, abort) =>
        {
            var responses = federation.BroadcastAsync(
                Train(federation),
                new() { MinResponses = minimum, Grace = TimeSpan.FromHours(2), Timeout = TimeSpan.FromSeconds(30) },
                abort);
            var names = new List<string>();
            try
            {
                await foreach (var contribution in responses)
                {
                    names.Add(contribution.Site);
                    answered.SetResult();
                }
                Assert.That(enough);
            }
            catch (TooFewResponsesException e)
            {
                Assert.That(enough, Is.False);
                Assert.That(e.Status, Is.EqualTo(CompletionStatus.Timeout));
                Assert.That(
                    e.Message, Does.Contain("1 of the 2").And.Contain("time ran out").And.Contain("site-2: TimedOut"));
            }
            Assert.That(names, Is.EqualTo(new[] { "site-1" }), "what was admitted in time reaches the workflow");
            Assert.That(responses.Status, Is.EqualTo(CompletionStatus.Timeout));
        }, Sites.Adding(1), Sites.Hanging());
        await answered.Task.WaitAsync(Patience.Long);
        await time.TimerAsync(TimeSpan.FromSeconds(30));
        time.Advance(TimeSpan.FromSeconds(30));
        await running;
    }

    [Test]
    public Task An_unreachable_minimum_fails_at_once_and_stops_the_others() =>
        RunAsync(new ManualTime(), async (federation, abort) =>
    {
        var responses = federation.BroadcastAsync(
            Train(federation), new() { MinResponses = 2, Timeout = TimeSpan.FromHours(1) }, abort);
        TooFewResponsesException? failure = null;
        try
        {
            await NamesAsync(responses);
        }
        catch (TooFewResponsesException e)
        {
            failure = e;
        }
        Assert.That(failure!.Message, Does.Contain("site-2: Failed").And.Contain("disk full"));
        Assert.That(
            (responses.Status, responses.Sites[0].Status), Is.EqualTo((CompletionStatus.Error, SiteStatus.Cancelled)));
    }, Sites.Hanging(), Sites.Throwing("disk full"));

    [Test]
    public Task Targets_must_be_known_and_named_once_and_no_fewer_than_the_minimum() => RunAsync((federation, _) =>
    {
        void Refused(BroadcastOptions options, string why) =>
            Assert.That(
                () => federation.BroadcastAsync(Train(federation), options),
                Throws.ArgumentException.With.Message.Contains(why));
        Refused(new() { Targets = ["site-1", "nobody"] }, "'nobody' is not known. Known are: site-1, site-2");
        Refused(new() { Targets = ["site-1", "site-1"] }, "named twice");
        Refused(new() { Targets = [] }, "at least one target");
        Refused(new() { MinResponses = 3 }, "needs 3 responses, and has 2 targets");
        Refused(new() { MinResponses = -1 }, "needs -1 responses");
        Refused(new() { Targets = ["site-1"], MinResponses = 2 }, "needs 2 responses, and has 1 target.");
        return Task.CompletedTask;
    }, Sites.Adding(1), Sites.Adding(1));

    [Test]
    public async Task Leaving_the_stream_early_cancels_the_others_at_their_sites()
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var slow = new Scripted(async (_, _, _, abort) =>
        {
            try
            {
                await Task.Delay(Timeout.Infinite, abort);
            }
            finally
            {
                stopped.SetResult();
            }
            return null!;
        });
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await Sites.RunAsync(new Workflow(async (federation, abort) =>
        {
            var responses = federation.BroadcastAsync(Train(federation), abort: abort);
            await foreach (var _ in responses) break;
            Assert.That(
                (responses.Status, responses.Sites[1].Status),
                Is.EqualTo((CompletionStatus.Cancelled, SiteStatus.Cancelled)));
            await stopped.Task.WaitAsync(Patience.Long, abort);
            // The site is free for the next task.
            Assert.That(
                await NamesAsync(
                    federation.BroadcastAsync(new("echo", 0, new Shareable()), new() { Targets = ["site-1"] }, abort)),
                    Is.EqualTo(new[] { "site-1" }));
        }), Initial, f => f.UseParallelism(2), new Scripted(async (task, input, _, abort) =>
        {
            if (task == "echo") return input;
            await gate.Task.WaitAsync(abort);
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        }), new Scripted((_, input, context, abort) =>
        {
            gate.TrySetResult(); // only once this one runs may the other answer
            return slow.ExecuteAsync("", input, context, abort);
        }));
    }

    [Test]
    public Task A_stream_is_read_once() => RunAsync(async (federation, abort) =>
    {
        var responses = federation.BroadcastAsync(Train(federation), abort: abort);
        await NamesAsync(responses);
        await ThrowsAsync<InvalidOperationException>(NamesAsync(responses));
    }, Sites.Adding(1));

    [Test]
    public async Task A_token_of_the_workflows_own_aborts_its_task_from_any_thread_and_not_the_job()
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var own = new CancellationTokenSource();
        var running = RunAsync(async (federation, abort) =>
        {
            var responses = federation.BroadcastAsync(Train(federation), abort: own.Token);
            try
            {
                await NamesAsync(responses);
                Assert.Fail("The task was aborted.");
            }
            catch (OperationCanceledException)
            {
                Assert.That(responses.Status, Is.EqualTo(CompletionStatus.Aborted));
            }
            await federation.CommitAsync(1, federation.Model, abort);
        }, Sites.Hanging(() => started.SetResult()));
        await started.Task.WaitAsync(Patience.Long);
        own.Cancel();
        Assert.That((await running).Rounds, Has.Count.EqualTo(1));
    }

    [Test]
    public Task Several_tasks_are_in_flight_at_once() => RunAsync(async (federation, abort) =>
    {
        var first = federation.BroadcastAsync(new("one", 0, new Shareable()), abort: abort);
        var second = federation.BroadcastAsync(new("two", 0, new Shareable()), new() { Targets = ["site-2"] }, abort);
        var tasks = new List<string>();
        await foreach (var contribution in second) tasks.Add(contribution.Message.TaskName!);
        await foreach (var contribution in first) tasks.Add(contribution.Message.TaskName!);
        Assert.That(tasks, Is.EqualTo(new[] { "two", "one", "one" }));
    }, Echo(), Echo());

    [Test]
    public Task A_standing_broadcast_comes_again_until_it_is_left() => RunAsync(async (federation, abort) =>
    {
        var counts = new Dictionary<string, int>();
        var responses = federation.BroadcastUntilCancelledAsync(new("poll", 0, new Shareable()), abort: abort);
        await foreach (var contribution in responses)
        {
            counts[contribution.Site] = counts.GetValueOrDefault(contribution.Site) + 1;
            if (counts.Count == 2 && counts.Values.All(c => c >= 5)) break;
        }
        Assert.That(responses.Status, Is.EqualTo(CompletionStatus.Cancelled));
    }, Echo(), Echo());

    [Test]
    public async Task A_standing_broadcast_waits_for_the_workflow_and_survives_failures_until_its_time_is_over()
    {
        var time = new ManualTime();
        var calls = 0;
        await RunAsync(time, async (federation, abort) =>
        {
            var read = 0;
            var responses = federation.BroadcastUntilCancelledAsync(
                new("poll", 0, new Shareable()), TimeSpan.FromMinutes(1), abort);
            await foreach (var answer in responses)
            {
                Assert.That(answer.TaskName, Is.EqualTo("poll"));
                read++;
                // The second call failed, and the task comes again a little later.
                if (read == 1)
                {
                    Assert.That(calls, Is.EqualTo(1), "nothing is asked for that nobody has read");
                    _ = RingAsync(TimeSpan.FromMilliseconds(200));
                }
                else
                {
                    time.Advance(TimeSpan.FromMinutes(1));
                    break;
                }
            }
            Assert.That((read, calls), Is.EqualTo((2, 3)));

            async Task RingAsync(TimeSpan due)
            {
                await time.TimerAsync(due);
                time.Advance(due);
            }
        }, new Scripted(
            (_, input, _, _) => Interlocked.Increment(ref calls) == 2 ? throw new InvalidDataException("hiccup")
            : ValueTask.FromResult(input)));
    }

    [Test]
    public async Task A_standing_broadcast_ends_without_complaint_when_its_time_is_over()
    {
        var time = new ManualTime();
        var running = RunAsync(time, async (federation, abort) =>
        {
            var responses = federation.BroadcastUntilCancelledAsync(
                new("poll", 0, new Shareable()), TimeSpan.FromMinutes(1), abort);
            Assert.That(await NamesAsync(responses), Is.Empty);
            Assert.That(responses.Status, Is.EqualTo(CompletionStatus.Timeout));
        }, new Scripted(async (_, _, _, abort) => { await Task.Delay(Timeout.Infinite, abort); return null!; }));
        await time.TimerAsync(TimeSpan.FromMinutes(1));
        time.Advance(TimeSpan.FromMinutes(1));
        await running;
    }

    [Test]
    public Task Send_gives_the_first_candidates_answer_and_says_why_there_is_none() =>
        RunAsync(async (federation, abort) =>
    {
        using var contribution = await federation.SendAsync(
            Train(federation), new() { Targets = ["site-2", "site-1"] }, abort);
        Assert.That((contribution.Site, contribution.Tensors.Values()[0]), Is.EqualTo(("site-2", 2)));
        using var any = await federation.SendAsync(
            Train(federation), new() { Targets = ["site-1", "site-2"], Order = SendOrder.Any }, abort);
        Assert.That(any.Site, Is.EqualTo("site-1"));
        var failure = await ThrowsAsync<TaskFailedException>(
            federation.SendAsync(Train(federation, round: 4), new() { Targets = ["site-3", "site-1"] }, abort));
        Assert.That(
            failure.Message, Does.Contain("'train' of round 4").And.Contain("site-3: Failed").And.Contain("broken"));
        Assert.That(failure.Attempts, Has.Count.EqualTo(1), "who took the task has the word");
        await ThrowsAsync<ArgumentException>(federation.SendAsync(Train(federation), new() { Targets = ["x"] }, abort));
    }, Sites.Adding(1), Sites.Adding(2), Sites.Throwing("broken"));

    [Test]
    public Task A_relay_visits_its_sites_in_order_hands_on_what_they_made_and_passes_over_failures() =>
        RunAsync(async (federation, abort) =>
    {
        var visited = new List<string>();
        var last = 0f;
        FlareTask Next(Contribution? previous) => FlareTask.Train(1, previous?.ToWeights() ?? federation.Model);
        await foreach (var contribution in federation.RelayAsync(
            Next, new() { Targets = ["site-2", "site-1", "site-3", "site-2"] }, abort))
        {
            visited.Add(contribution.Site);
            using var weights = contribution.ToWeights();
            last = weights.Values()[0];
        }
        Assert.That(visited, Is.EqualTo(new[] { "site-2", "site-1", "site-2" }));
        Assert.That(last, Is.EqualTo(10 + 1 + 10));
        await federation.CommitAsync(1, federation.Model, abort);
    }, Sites.Adding(1), Sites.Adding(10), Sites.Throwing("asleep"))
        .ContinueWith(run => Assert.That(run.Result.Rounds[0].Sites.Select(s => (s.Site, s.Status)),
        Is.EqualTo(
            new[] { ("site-2", SiteStatus.Accepted), ("site-1", SiteStatus.Accepted), ("site-3", SiteStatus.Failed),
                ("site-2", SiteStatus.Accepted) })), TaskScheduler.Default);

    [Test]
    public async Task A_relay_passes_over_a_site_that_is_too_slow()
    {
        var time = new ManualTime();
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var running = RunAsync(time, async (federation, abort) =>
        {
            var options = new RelayOptions { ResultTimeout = TimeSpan.FromSeconds(20) };
            Assert.That(
                await NamesAsync(federation.RelayAsync(_ => Train(federation), options, abort)),
                Is.EqualTo(new[] { "site-1", "site-3" }));
        }, Sites.Adding(1), Sites.Hanging(() => started.SetResult()), Sites.Adding(1));
        await started.Task.WaitAsync(Patience.Long); // its clock is the only one that runs
        await time.TimerAsync(TimeSpan.FromSeconds(20));
        time.Advance(TimeSpan.FromSeconds(20));
        await running;
    }

    [Test]
    public Task Commits_go_forward_and_make_the_model() => RunAsync(async (federation, abort) =>
    {
        Assert.That((federation.LastCommittedRound, federation.LastReport), Is.EqualTo((0, (RoundReport?)null)));
        var model = Sites.Model(5);
        var report = await federation.CommitAsync(
            3, model, new RoundResult { Metrics = new Dictionary<string, double> { ["auc"] = 0.7 }, IsBest = true },
            abort);
        Assert.That(
            (report.Number, report.Metrics["auc"], report.IsBest, report.Targets, report.ModelSha256),
            Is.EqualTo((3, 0.7, true, 0, (string?)null)));
        Assert.That(federation.Model, Is.SameAs(model));
        Assert.That(model.IsReadOnly);
        Assert.That(federation.LastCommittedRound, Is.EqualTo(3));
        Assert.That(federation.LastReport, Is.SameAs(report));
        foreach (var round in new[] { 3, 2, 0, -1 })
            Assert.That(
                (await ThrowsAsync<InvalidOperationException>(
                    federation.CommitAsync(round, Sites.Model(1), abort))).Message,
                    Does.Contain("round 3 is committed already"));
        await ThrowsAsync<OperationCanceledException>(
            federation.CommitAsync(4, Sites.Model(1), new CancellationToken(true)));
    }, Sites.Adding(1));

    [Test]
    public async Task Workflows_run_one_after_the_other_each_from_round_1_on_the_model_of_the_one_before()
    {
        var federation = await Sites.RunAsync(
            Sites.Training(rounds: 2), Initial, f => f.UseController(Sites.Training(rounds: 3)), Sites.Adding(1));
        Assert.That(federation.Rounds.Select(r => r.Number), Is.EqualTo(new[] { 1, 2, 1, 2, 3 }));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 5f }));
    }

    [Test]
    public async Task A_task_that_its_workflow_forgot_is_cancelled_with_the_workflow()
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskResponses? forgotten = null;
        await RunAsync(async (federation, abort) =>
        {
            forgotten = federation.BroadcastAsync(Train(federation), abort: abort);
            await started.Task;
        }, Sites.Hanging(() => started.SetResult()));
        Assert.That(forgotten!.Status, Is.EqualTo(CompletionStatus.Cancelled));
        Assert.That(forgotten.Sites[0].Reason, Does.Contain("workflow has ended"));
    }

    private static Scripted Echo() => new Scripted((_, input, _, _) => ValueTask.FromResult(input));
}

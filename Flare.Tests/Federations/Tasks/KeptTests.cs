using Flare.Runtime;
using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>What the runtime keeps is kept for as long as it is needed, and no longer.</summary>
public class KeptTests
{
    [Test]
    public async Task Late_and_duplicate_results_are_counted_with_one_round_only()
    {
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            for (var round = 1; round <= 2; round++)
            {
                var options = new BroadcastOptions { MinResponses = 1, Timeout = TimeSpan.FromSeconds(5) };
                var task = FlareTask.Train(round, federation.Model);
                await foreach (var _ in federation.BroadcastAsync(task, options, abort)) { }
                if (round == 1) await goOn.Task;
                await federation.CommitAsync(round, federation.Model, abort);
            }
        }, "a", "b");
        var (a, b) = (await bench.JoinAsync("a"), await bench.JoinAsync("b"));
        await bench.SayAsync(ServerBench.Answer("a", a, 1));
        await bench.NextAsync<ResultReceipt>("a");
        await bench.SayAsync(ServerBench.Answer("a", a, 1));
        bench.Time.Advance(TimeSpan.FromSeconds(5));
        await bench.NextAsync<TaskCancel>("b");
        await bench.SayAsync(ServerBench.Answer("b", b, 7));
        await bench.NextAsync<ResultReceipt>("b");
        goOn.SetResult();
        foreach (var site in (string[])["a", "b"])
            await bench.SayAsync(ServerBench.Answer(site, await bench.NextAsync<TaskOffer>(site), 1));
        await bench.EndAsync();
        Assert.That(
            (await bench.Ended).Select(r => (r.LateResults, r.DuplicateResults)),
            Is.EqualTo(new[] { (1, 1), (0, 0) }));
    }

    [Test]
    public async Task An_answer_that_comes_again_after_many_others_of_its_site_is_a_duplicate_and_not_late()
    {
        const int tasks = 40;
        await using var bench = new ServerBench(async (federation, abort) =>
        {
            for (var i = 0; i < tasks; i++)
            {
                var task = FlareTask.Train(1, federation.Model);
                await foreach (var _ in federation.BroadcastAsync(task, null, abort)) { }
            }
            await federation.CommitAsync(1, federation.Model, abort);
        }, "a");
        var first = await bench.JoinAsync("a");
        await bench.SayAsync(ServerBench.Answer("a", first, 1));
        for (var i = 1; i < tasks; i++)
        {
            var offer = await bench.NextAsync<TaskOffer>("a");
            if (i == tasks - 1) await bench.SayAsync(ServerBench.Answer("a", first, 1));
            await bench.SayAsync(ServerBench.Answer("a", offer, 1));
        }
        await bench.EndAsync();
        var report = (await bench.Ended).Single();
        Assert.That((report.LateResults, report.DuplicateResults), Is.EqualTo((0, 1)));
    }

    [Test]
    public async Task Events_that_were_confirmed_make_room_for_others()
    {
        var (heard, log) = (0, new LogRecorder());
        var talking = new Scripted((_, input, context, _) =>
        {
            context.FireFederated("progress", new Shareable());
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
        await Sites.RunAsync(
            Sites.Training(rounds: 30), Sites.Model(0),
            f => f.UseLogging(log).UseLimits(new() { MaxPendingEvents = 4 }).AddServerComponent(
                new LambdaComponent((type, _) => { if (type == "progress") heard++; })),
            talking);
        Assert.That(heard, Is.EqualTo(30));
        Assert.That(log.Entries.Select(e => e.Message), Has.None.Contains("is dropped"));
    }

    [Test]
    public void A_timer_that_was_stopped_does_not_ring_though_its_time_has_come()
    {
        var (time, loop, rang) = (new ManualTime(), new Held(), 0);
        var stopped = new LoopTimer(loop, time, TimeSpan.FromSeconds(1), () => rang++);
        using var other = new LoopTimer(loop, time, TimeSpan.FromSeconds(1), () => rang += 10);
        time.Advance(TimeSpan.FromSeconds(1)); // both have posted to the loop, which is busy
        stopped.Dispose();
        loop.Run();
        Assert.That(rang, Is.EqualTo(10));
    }

    [Test]
    public async Task An_aggregator_lets_go_of_what_it_has_folded_and_waits_for_no_more_than_there_is_room_for()
    {
        var model = Sites.Model(new float[10]);
        var federation = new UnitFederation(model, [.. Enumerable.Range(1, 6).Select(i => $"site-{i}")]);
        using var aggregator = new ExactAggregator();
        aggregator.Begin(federation, 1);
        var given = new List<StateDict>();
        for (var i = 1; i <= 6; i++)
        {
            var diff = Sites.Model(new float[10]).HandOver();
            var contribution = federation.Contribution($"site-{i}", Dxo.WeightDiff(diff, steps: 1));
            given.Add(contribution.Tensors);
            await aggregator.AcceptAsync(contribution, CancellationToken.None);
            contribution.Dispose(); // as the stream does when it moves on
            Assert.That(given.Count(IsThere), Is.LessThanOrEqualTo(federation.MaxConcurrentUploads), $"after {i}");
        }
        await aggregator.CompleteAsync(CancellationToken.None);
        Assert.That(given.Count(IsThere), Is.Zero);
    }

    [Test]
    public async Task A_relay_lets_go_of_each_answer_but_the_last_and_of_that_at_its_end()
    {
        var answers = new List<StateDict>();
        var executor = new Func<Executor>(() => Sites.Answering(
            m => Dxo.WeightDiff(new StateDict(m.Layout).HandOver(), steps: 1).ToShareable()));
        var there = new List<int>();
        await Sites.RunAsync(
            new Workflow(async (federation, abort) =>
            {
                await foreach (var answer in federation.RelayAsync(
                    _ => FlareTask.Train(1, federation.Model), null, abort))
                {
                    answers.Add(answer.Tensors);
                    there.Add(answers.Count(IsThere));
                }
                there.Add(answers.Count(IsThere));
            }),
            Sites.Model(new float[10]), executor(), executor(), executor());
        Assert.That(there, Is.EqualTo(new[] { 1, 1, 1, 0 }));
    }

    private static bool IsThere(StateDict tensors)
    {
        try
        {
            return tensors.Values().Length > 0;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>A loop that does what was posted when it is told to.</summary>
    private sealed class Held : SynchronizationContext
    {
        private readonly Queue<Action> _posted = new();

        public override void Post(SendOrPostCallback d, object? state) => _posted.Enqueue(() => d(state));

        public void Run()
        {
            while (_posted.TryDequeue(out var callback)) callback();
        }
    }
}

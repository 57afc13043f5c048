using Flare.Runtime;
using Flare.Tests.Core.Journaling;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>What a reader of the rounds sees is of the round at hand, however slowly it reads; and what it keeps is
/// safe to keep.</summary>
public class RoundModelTests
{
    /// <summary>After round n every weight is n; the quality is best where it is 4.</summary>
    private static Scripted Counting() => new Scripted((task, input, _, _) =>
        ValueTask.FromResult(task == TaskNames.Validate
        ? Dxo.Metrics(("accuracy", -Math.Abs(Dxo.From(input).Tensors.Values()[0] - 4))).ToShareable()
        : Sites.Diff(Dxo.From(input).Tensors, 1)));

    private static Federation Build(int rounds, Action<FederationBuilder>? configure = null) =>
        Federation.InProcess(f =>
    {
        f.AddSites(2, _ => Counting()).UseController(new FedAvg { Rounds = rounds, MinSites = 2 });
        configure?.Invoke(f);
    });

    [TestCase(false), TestCase(true)]
    public async Task The_model_in_the_loop_is_that_of_the_round_however_long_the_reader_takes(bool journalled)
    {
        var begun = 0;
        await using var federation = Build(8, f =>
        {
            f.AddServerComponent(new LambdaComponent((type, _) =>
                { if (type == EventTypes.RoundStarted) Interlocked.Increment(ref begun); }));
            if (journalled) f.UseJournal(new MemoryStorage());
        });
        var (rounds, best) = (0, 0f);
        await foreach (var round in federation.RunAsync(Sites.Model(0)))
        {
            rounds++;
            // The reader looks only when the server has had every chance to go on: it trains the next round meanwhile.
            if (round.Number < 8) Assert.That(() => Volatile.Read(ref begun), Is.GreaterThan(round.Number)
                .After(30_000, 1));
            for (var look = 0; look < 20; look++)
            {
                Assert.That(federation.Model.Values(), Is.EqualTo(new[] { (float)round.Number }));
                await Task.Yield();
            }
            Assert.That(round.HasModel);
            Assert.That(round.Model.Values(), Is.EqualTo(new[] { (float)round.Number }));
            Assert.That(round.State.Values[ModelSelection.BestRound].AsInteger(),
                Is.EqualTo(Math.Min(4, round.Number)));
            Assert.That(federation.State.Values[ModelSelection.BestRound].AsInteger(),
                Is.EqualTo(Math.Min(4, round.Number)));
            if (round.IsBest) best = federation.Model.Values()[0];
        }
        Assert.That((rounds, best), Is.EqualTo((8, 4f)));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 8f }));
    }

    [Test]
    public async Task A_run_that_is_left_at_a_round_ends_with_that_rounds_model_and_journal()
    {
        var disk = new MemoryStorage();
        await using (var federation = Build(50, f => f.UseJournal(disk)))
        {
            await foreach (var round in federation.RunAsync(Sites.Model(0)))
                if (round.Number == 5) break;
            Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 5f }));
            Assert.That(federation.Rounds, Has.Count.EqualTo(5));
        }
        await using var again = Build(5, f => f.UseJournal(disk.Restarted()));
        Assert.That((await again.RunToEndAsync(Sites.Model(0))).Select(r => r.Number),
            Is.EqualTo(new[] { 1, 2, 3, 4, 5 }));
        Assert.That(again.Model.Values(), Is.EqualTo(new[] { 5f }), "nothing was left to train");
    }

    [Test]
    public async Task Reports_that_are_kept_hold_no_model_and_say_so()
    {
        var disk = new MemoryStorage();
        await using (var federation = Build(3, f => f.UseJournal(disk)))
        {
            var all = await federation.RunToEndAsync(Sites.Model(0));
            Assert.That(all.Concat(federation.Rounds).Select(r => r.HasModel), Is.All.False);
            Assert.That(() => all[1].Model, Throws.InvalidOperationException
                .With.Message.Contains("round 2 holds no model").And.Message.Contains("RunAsync"));
            Assert.That(() => all[1].State, Throws.InvalidOperationException.With.Message.Contains("no state"));
        }
        await using var again = Build(4, f => f.UseJournal(disk.Restarted()));
        var models = new List<float?>();
        // Complete: it only tells its rounds; the journal keeps the last one's model.
        await foreach (var round in again.RunAsync(Sites.Model(0))) models.Add(round.HasModel ? round.Model.Values()[0]
            : null);
        Assert.That(models, Is.EqualTo(new float?[] { null, null, 3 }));
    }

    [Test]
    public async Task A_resumed_job_trains_on_only_once_its_old_rounds_were_read()
    {
        var disk = new MemoryStorage();
        await using (var federation = Build(9, f => f.UseJournal(disk)))
            await foreach (var round in federation.RunAsync(Sites.Model(0)))
                if (round.Number == 3) break;
        await using var again = Build(9, f => f.UseJournal(disk.Restarted()));
        await foreach (var round in again.RunAsync(Sites.Model(0)))
        {
            Assert.That(again.Model.Values()[0], Is.EqualTo(Math.Max(3, round.Number)));
            if (round.Number == 6) break;
        }
        Assert.That(again.Model.Values(), Is.EqualTo(new[] { 6f }));
    }

    [Test]
    public async Task A_reader_that_stays_away_is_named_in_the_log_and_no_report_queues_up()
    {
        var (time, log) = (new ManualTime(), new LogRecorder());
        await using var federation = Build(1000, f => f.UseTime(time).UseLogging(log));
        await using var reader = federation.RunAsync(Sites.Model(0)).GetAsyncEnumerator();
        Assert.That(await reader.MoveNextAsync());
        var patience = TimeSpan.FromSeconds(30);
        using var enough = new CancellationTokenSource(Patience.Long);
        while (log.Entries.Count(e => e.Id == 23) < 2)
        {
            time.Advance(patience / 3);
            await Task.Delay(1, enough.Token);
        }
        Assert.That(log.Entries.Count(e => e.Id == 23 && e.Message.Contains("Round 2 of job job is ready",
            StringComparison.Ordinal)), Is.AtLeast(2));
        Assert.That(
            log.Entries.Where(e => e.Id == 23).Select(e => e.Level).Take(2),
            Is.EqualTo(new[] { LogLevel.Information, LogLevel.Warning }), "a pause is no fault; one that goes on is");
        Assert.That(log.Entries.Count(e => e.Message.StartsWith("Round", StringComparison.Ordinal)
            && e.Message.Contains("committed:", StringComparison.Ordinal)), Is.EqualTo(1));
        Assert.That(await reader.MoveNextAsync());
        Assert.That(reader.Current.Number, Is.EqualTo(2));
    }

    [Test]
    public async Task The_rounds_can_be_read_from_any_thread_at_any_time()
    {
        await using var federation = Build(300);
        Assert.That(federation.Rounds, Is.Empty);
        var run = federation.RunToEndAsync(Sites.Model(0));
        var looks = 0;
        await Task.Run(() =>
        {
            while (!run.IsCompleted)
            {
                var rounds = federation.Rounds;
                var count = rounds.Count;
                Assert.That(rounds.Select(r => r.Number), Is.EqualTo(Enumerable.Range(1, count)));
                if (count > 0) Assert.That(rounds[^1].Number, Is.EqualTo(count));
                looks++;
            }
        });
        await run;
        Assert.That(looks, Is.GreaterThan(1));
        Assert.That(federation.Rounds, Has.Count.EqualTo(300));
        Assert.That(() => federation.Rounds[300], Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public async Task Beyond_a_number_of_outcomes_old_rounds_keep_only_those_that_were_not_used()
    {
        const int sites = 4_000;
        var rounds = Federation.OutcomesKept / sites + 5;
        var workflow = new Workflow(async (context, abort) =>
        {
            for (var round = 1; round <= rounds; round++)
            {
                await foreach (var _ in context.BroadcastAsync(FlareTask.Train(round, context.Model),
                    new() { Grace = TimeSpan.FromMinutes(1), MinResponses = sites - 1 }, abort)) { }
                await context.CommitAsync(round, Sites.Model(round), abort);
            }
        });
        await using var federation = Federation.InProcess(f => f
            .AddSites(sites, site => site.Index == 7 ? Sites.Throwing("out of paper") : Sites.Adding(1))
            .UseController(workflow));
        await federation.RunToEndAsync(Sites.Model(0));
        Assert.That(federation.Rounds.Sum(r => r.Sites.Count), Is.InRange(Federation.OutcomesKept / 2,
            Federation.OutcomesKept));
        Assert.That(federation.Rounds[0].Sites.Select(s => s.Site), Is.EqualTo(new[] { "site-8" }));
        Assert.That(federation.Rounds[^1].Sites, Has.Count.EqualTo(sites));
    }
}

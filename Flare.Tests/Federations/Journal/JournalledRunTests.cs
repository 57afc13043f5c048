using Flare.Tests.Core.Journaling;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>Runs whose disk is slow, whose state changes late, or whose journal is of another kind of run.</summary>
public class JournalledRunTests
{
    private static StateDict Initial => Sites.Model(0);

    [Test]
    public async Task A_commit_on_its_way_to_a_slow_disk_outlives_an_abort_and_the_journal_stays_whole()
    {
        var writing = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var disk = new MemoryStorage();
        var time = new ManualTime();
        var grace = TimeSpan.FromMilliseconds(20);
        Federation Build() =>
            Federation.InProcess(
                f => f.AddSites(1, _ => Sites.Adding(1)).UseController(Sites.Training(rounds: 3)).UseJournal(disk)
                .UseTime(time).UseLimits(new() { AbortGrace = grace }));
        using var abort = new CancellationTokenSource();
        disk.Before = async what =>
        {
            if (!what.StartsWith("replace model", StringComparison.Ordinal)) return;
            writing.TrySetResult();
            await goOn.Task;
        };
        await using (var federation = Build())
        {
            var run = federation.RunToEndAsync(Initial, abort.Token);
            await writing.Task.WaitAsync(Patience.Long);
            abort.Cancel();
            for (var i = 0; i < 3; i++)
            {
                await time.TimerAsync(grace); // it begins anew, as the disk has not answered
                time.Advance(grace);
            }
            await time.TimerAsync(grace);
            Assert.That(run.IsCompleted, Is.False);
            Assert.That(disk.IsDisposed, Is.False, "and the journal still has it");
            goOn.SetResult();
            Assert.That(() => run.WaitAsync(Patience.Long), Throws.InstanceOf<OperationCanceledException>());
        }
        disk = disk.Restarted();
        await using var again = Build();
        Assert.That((await again.RunToEndAsync(Initial)).Select(r => r.Number), Is.EqualTo(new[] { 1, 2, 3 }));
    }

    [Test]
    public async Task What_changes_in_the_state_after_a_commit_was_asked_for_waits_for_the_next_one()
    {
        var workflow = new Workflow(async (federation, abort) =>
        {
            federation.State.Values["x"] = 1;
            var commit = federation.CommitAsync(1, Sites.Model(1), abort);
            federation.State.Values["x"] = 2;
            await commit;
        });
        var disk = new MemoryStorage { Before = _ => Task.Delay(1) };
        var federation = await Sites.RunAsync(workflow, Initial, f => f.UseJournal(disk), Sites.Adding(1));
        Assert.That(federation.State.Values["x"].AsInteger(), Is.EqualTo(1));
        await using var again = Federation.InProcess(
            f => f.AddSites(1, _ => Sites.Adding(1)).UseController(new Workflow((_, _) => Task.CompletedTask))
            .UseJournal(disk.Restarted()));
        await again.RunToEndAsync(Initial);
        Assert.That(again.State.Values["x"].AsInteger(), Is.EqualTo(1));
    }

    [Test]
    public async Task A_journal_that_was_begun_encrypted_does_not_go_on_in_the_clear()
    {
        var disk = new MemoryStorage();
        await Sites.RunAsync(
            new Workflow((_, _) => Task.CompletedTask), Initial, f => f.UseJournal(disk)
            .UseAggregator(() => new ExactAggregator()), Sites.Adding(1));
        Assert.That(
            () => Sites.RunAsync(
                new Workflow((_, _) => Task.CompletedTask), Initial, f => f.UseJournal(disk.Restarted()),
                Sites.Adding(1)),
            Throws.InstanceOf<FlareException>().With.Message.Contains("homomorphic encryption"));
    }
}

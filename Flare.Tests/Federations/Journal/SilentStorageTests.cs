using Flare.Tests.Core.Journaling;

namespace Flare.Tests.Federations;

/// <summary>A journal's storage that does not answer, as a network's folder that has gone: a job that is told to end
/// does, and says so.</summary>
public class SilentStorageTests
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(40);

    [TestCase("replace journal.flare", false), TestCase("append", true), TestCase("replace model", false),
        TestCase("replace model", true)]
    public async Task Cancelling_and_disposing_end_within_the_grace(string operation, bool dispose)
    {
        var silent = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var (time, log) = (new ManualTime(), new LogRecorder());
        var disk = new MemoryStorage
        {
            Before = what =>
            {
                if (!what.StartsWith(operation, StringComparison.Ordinal)) return Task.CompletedTask;
                asked.TrySetResult();
                return silent.Task;
            },
        };
        var federation = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(Sites.Training(3))
            .UseJournal(disk)
            .UseTime(time).UseLogging(log).UseLimits(new() { StorageGrace = Grace }));
        using var abort = new CancellationTokenSource();
        var run = federation.RunToEndAsync(Sites.Model(0), abort.Token);
        await asked.Task.WaitAsync(Patience.Long);

        // While the job goes on it waits, and says so.
        using var enough = new CancellationTokenSource(Patience.Long);
        while (!log.Entries.Any(e => e.Id == 22))
        {
            time.Advance(Grace / 4);
            await Task.Delay(1, enough.Token);
        }
        Assert.That(run.IsCompleted, Is.False);

        var ended = dispose ? federation.DisposeAsync().AsTask() : run;
        if (!dispose) abort.Cancel();
        while (!run.IsCompleted)
        {
            time.Advance(Grace / 4);
            await Task.Delay(1, enough.Token);
        }
        var error = Assert.CatchAsync<OperationCanceledException>(() => run)!;
        Assert.That(error.Message, Does.Contain("did not answer within 40 s"));
        Assert.That((error.InnerException as FlareException)?.ErrorId, Is.EqualTo(ErrorIds.Journal));
        if (dispose) await ended.WaitAsync(Patience.Long);
        await federation.DisposeAsync().AsTask().WaitAsync(Patience.Long);
        Assert.That(disk.IsDisposed, Is.False, "it is still at work");

        // Should it answer some day, it is closed, and the job can be resumed.
        silent.SetResult();
        Assert.That(() => disk.IsDisposed, Is.True.After(30_000, 1));
        await using var again = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1))
            .UseController(Sites.Training(3)).UseJournal(disk.Restarted()));
        Assert.That((await again.RunToEndAsync(Sites.Model(0)).WaitAsync(Patience.Long)).Select(r => r.Number),
            Is.EqualTo(new[] { 1, 2, 3 }));
    }
}

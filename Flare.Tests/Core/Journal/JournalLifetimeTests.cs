using Flare.Runtime;
using Microsoft.Win32.SafeHandles;

namespace Flare.Tests.Core.Journaling;

/// <summary>A journal's end, its limit, and what is on the disk before it says so.</summary>
public class JournalLifetimeTests
{
    private static readonly JournalIdentity Job = new() { JobId = "digits", Seed = 42 };

    private static JournalCommit Round(int round, int textLength = 0) => new()
    {
        Workflow = 0, Round = round,
        Snapshots = new Dictionary<string, StateDict> { ["model"] = StateDict.Create(("w", [round])) },
        Report = new() { ["text"] = new string('x', textLength) },
    };

    [Test]
    public async Task Disposing_during_a_commit_waits_for_it_and_then_gives_the_storage_back()
    {
        var disk = new MemoryStorage();
        var journal = await Journal.OpenAsync(disk, Job);
        var gate = new TaskCompletionSource();
        disk.Before = _ => gate.Task;
        var commit = journal.CommitRoundAsync(Round(1)).AsTask();
        var disposing = journal.DisposeAsync().AsTask();
        Assert.That(disposing.IsCompleted || disk.IsDisposed, Is.False);
        gate.SetResult();
        await commit.WaitAsync(Federations.Patience.Long);
        await disposing.WaitAsync(Federations.Patience.Long);
        Assert.That(disk.IsDisposed);
        await using var again = await Journal.OpenAsync(disk.Restarted(), Job);
        Assert.That(again.Recovered!.LastRound, Is.EqualTo(1));
    }

    [Test]
    public async Task A_disposed_journal_can_be_disposed_of_again_and_takes_nothing_more()
    {
        var disk = new MemoryStorage();
        var journal = await Journal.OpenAsync(disk, Job);
        await journal.DisposeAsync();
        var operations = disk.Trace.Count;
        await journal.DisposeAsync();
        Assert.That(async () => await journal.CommitRoundAsync(Round(1)), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(async () => await journal.CompleteWorkflowAsync(0), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(async () => await journal.CompleteJobAsync(), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(disk.Trace, Has.Count.EqualTo(operations));
    }

    [Test]
    public async Task The_logs_limit_counts_what_was_there_before_a_resume_and_is_told_of_before_it_is_met()
    {
        const int most = 4000;
        var disk = new MemoryStorage();
        await using (var journal = await Journal.OpenAsync(disk, Job, most))
            for (var round = 1; round <= 3; round++) await journal.CommitRoundAsync(Round(round, textLength: 900));
        await using (var journal = await Journal.OpenAsync(disk, Job, most))
        {
            Assert.That(journal.Warnings, Has.One.Contains("of the 4,000 that it can have"));
            var error = Assert.ThrowsAsync<FlareException>(async () =>
                await journal.CommitRoundAsync(Round(4, textLength: 900)))!;
            Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Journal));
            Assert.That(error.Message, Does.Contain("would grow above 4,000 bytes").And.Contain("Begin another job"));
            Assert.That(disk.Files[Journal.LogName], Has.Length.LessThanOrEqualTo(most));
            await journal.CommitRoundAsync(Round(4)); // one that fits, does
        }
        await using var last = await Journal.OpenAsync(disk, Job, most);
        Assert.That(last.Recovered!.LastRound, Is.EqualTo(4));
    }

    [Test]
    public async Task Everything_is_flushed_and_in_order_before_a_round_counts()
    {
        var folder = Path.Combine(Directory.CreateTempSubdirectory("flare-flush-").FullName, "a", "b");
        try
        {
            var flush = new Recording();
            await using var journal = await Journal.OpenAsync(await DirectoryJournalStorage.OpenAsync(folder, null,
                flush), Job);
            Assert.That(flush.Seen.Take(2).Select(s => s.Split(' ')[0]), Is.All.EqualTo("folder"),
                "those above the new folder");
            flush.Seen.Clear();
            var before = new FileInfo(Path.Combine(folder, Journal.LogName)).Length;
            await journal.CommitRoundAsync(Round(1));
            var model = new FileInfo(Path.Combine(folder, "model-000001.safetensors")).Length;
            var log = new FileInfo(Path.Combine(folder, Journal.LogName)).Length;
            Assert.That(log, Is.GreaterThan(before));
            Assert.That(flush.Seen, Is.EqualTo(new[]
            {
                $"file model-000001.safetensors.tmp {model}",
                "folder b: journal.flare journal.lock model-000001.safetensors",
                $"file journal.flare {log}",
            }));

            // A torn tail is cut durably, too.
            await journal.DisposeAsync();
            await File.AppendAllTextAsync(Path.Combine(folder, Journal.LogName), "torn");
            flush.Seen.Clear();
            await using var again = await Journal.OpenAsync(await DirectoryJournalStorage.OpenAsync(folder, null,
                flush), Job);
            Assert.That(flush.Seen[0], Is.EqualTo($"file journal.flare {log}"));
        }
        finally
        {
            Directory.Delete(Path.GetFullPath(Path.Combine(folder, "../..")), recursive: true);
        }
    }

    [Test]
    public void The_disks_flush_asks_the_operating_system()
    {
        var path = Path.GetTempFileName();
        var file = File.OpenHandle(path);
        file.Dispose();
        File.Delete(path);
        Assert.That(() => DiskFlush.Real.File(file, path), Throws.InstanceOf<ObjectDisposedException>());
        if (!OperatingSystem.IsWindows())
            Assert.That(() => DiskFlush.Real.Folder(path + "-is-no-folder"), Throws.InstanceOf<IOException>());
    }

    /// <summary>Notes each flush, with what the disk held by then.</summary>
    private sealed class Recording : DiskFlush
    {
        public List<string> Seen { get; } = [];

        public override void File(SafeFileHandle file, string path)
        {
            Seen.Add($"file {Path.GetFileName(path)} {RandomAccess.GetLength(file)}");
            base.File(file, path);
        }

        public override void Folder(string path)
        {
            var names = Directory.GetFiles(path).Select(Path.GetFileName).Order(StringComparer.Ordinal);
            Seen.Add($"folder {Path.GetFileName(path)}: {string.Join(' ', names)}".TrimEnd());
            base.Folder(path);
        }
    }
}

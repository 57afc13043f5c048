using Flare.Runtime;

namespace Flare.Tests.Core.Journaling;

public class DirectoryJournalStorageTests
{
    private string _folder = "";

    [SetUp]
    public void CreateFolder() =>
        _folder = Path.Combine(Directory.CreateTempSubdirectory("flare-").FullName, "a", "journal");

    [TearDown]
    public void DeleteFolder() => Directory.Delete(Path.GetFullPath(Path.Combine(_folder, "../..")), recursive: true);

    [Test]
    public async Task A_job_resumes_from_its_folder()
    {
        var job = new JournalIdentity { JobId = "digits", Seed = 1 };
        var best = Model(7);
        await using (var journal = await Journal.OpenAsync(await DirectoryJournalStorage.OpenAsync(_folder), job))
            for (var round = 1; round <= 3; round++)
                await journal.CommitRoundAsync(new()
                {
                    Workflow = 0,
                    Round = round,
                    Snapshots = new Dictionary<string, StateDict> { ["model"] = Model(round), ["state/best"] = best },
                });
        Assert.That(Directory.GetFiles(_folder).Select(Path.GetFileName), Is.EquivalentTo(new[]
        {
            "journal.flare", "journal.lock", "model-000002.safetensors", "model-000003.safetensors",
                "state%2Fbest-000001.safetensors",
        }));

        await using var reopened = await Journal.OpenAsync(await DirectoryJournalStorage.OpenAsync(_folder), job);
        Assert.That(reopened.Epoch, Is.EqualTo(2));
        Assert.That(reopened.Recovered!.LastRound, Is.EqualTo(3));
        Assert.That(reopened.Recovered.Model!.ContentEquals(Model(3)));
        Assert.That(reopened.Recovered.Snapshots["state/best"].ContentEquals(best));
        using var readable = await StateDict.LoadAsync(Path.Combine(_folder, "model-000003.safetensors"));
        Assert.That(readable.ContentEquals(Model(3)), "a snapshot is a file for everyone");
    }

    [Test]
    public async Task A_folder_serves_one_server_at_a_time()
    {
        var first = await DirectoryJournalStorage.OpenAsync(_folder);
        var error = Assert.ThrowsAsync<FlareException>(() => DirectoryJournalStorage.OpenAsync(_folder))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Journal));
        Assert.That(error.Message, Does.Contain(_folder).And.Contain("in use"));
        await first.DisposeAsync();
        await using var second = await DirectoryJournalStorage.OpenAsync(_folder);
    }

    [Test]
    public async Task A_journal_that_cannot_be_opened_frees_its_folder()
    {
        await (await Journal.OpenAsync(
            await DirectoryJournalStorage.OpenAsync(_folder), new() { JobId = "a", Seed = 1 })).DisposeAsync();
        var storage = await DirectoryJournalStorage.OpenAsync(_folder);
        Assert.ThrowsAsync<FlareException>(() => Journal.OpenAsync(storage, new() { JobId = "b", Seed = 1 }));
        await using var free = await DirectoryJournalStorage.OpenAsync(_folder);
    }

    [Test]
    public async Task Appending_cutting_and_replacing_do_what_they_say()
    {
        await using var storage = await DirectoryJournalStorage.OpenAsync(_folder);
        Assert.That(await storage.ListAsync(), Is.Empty);
        Assert.ThrowsAsync<FileNotFoundException>(() => storage.AppendAsync("log", new byte[] { 1 }));
        Assert.ThrowsAsync<FileNotFoundException>(() => storage.ReadAsync("log", s => s.Length));

        Assert.That(await storage.ReplaceAsync("log", s => { s.Write([1, 2]); return "done"; }), Is.EqualTo("done"));
        await storage.AppendAsync("log", new byte[] { 3, 4, 5 });
        await storage.TruncateAsync("log", 4);
        Assert.That(await ReadAsync(storage, "log"), Is.EqualTo(new byte[] { 1, 2, 3, 4 }));
        Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => storage.TruncateAsync("log", 5));
        Assert.That(await storage.ListAsync(), Is.EqualTo(new[] { "log" }));

        await storage.DeleteAsync("log");
        await storage.DeleteAsync("log");
        Assert.That(await storage.ListAsync(), Is.Empty);
    }

    [Test]
    public async Task A_replacement_that_fails_leaves_the_file_and_nothing_else()
    {
        await using var storage = await DirectoryJournalStorage.OpenAsync(_folder);
        await storage.ReplaceAsync("log", s => { s.Write([1]); return 0; });
        Assert.ThrowsAsync<InvalidDataException>(
            () => storage.ReplaceAsync<int>("log", s => { s.Write([2]); throw new InvalidDataException(); }));
        Assert.That(await ReadAsync(storage, "log"), Is.EqualTo(new byte[] { 1 }));
        Assert.That(Directory.GetFiles(_folder), Has.Length.EqualTo(2), "the file and the lock");
    }

    [Test]
    public async Task What_a_crash_left_half_written_is_never_listed_and_is_removed_where_it_is_the_journals()
    {
        Directory.CreateDirectory(_folder);
        string[] names = ["model-000001.safetensors.tmp", "thesis.tmp"];
        foreach (var name in names) await File.WriteAllBytesAsync(Path.Combine(_folder, name), [1]);
        await using var storage = await DirectoryJournalStorage.OpenAsync(_folder);
        Assert.That(await storage.ListAsync(), Is.Empty);
        Assert.That(names.Select(n => File.Exists(Path.Combine(_folder, n))), Is.All.True,
            "nobody has said yet whose they are");
        await storage.DiscardUnfinishedAsync(name => name == "model-000001.safetensors");
        Assert.That(names.Select(n => File.Exists(Path.Combine(_folder, n))), Is.EqualTo(new[] { false, true }));
    }

    [TestCase("../log"), TestCase("a/b"), TestCase(".."), TestCase("."), TestCase("journal.lock"), TestCase("log.tmp"),
        TestCase("")]
    public async Task A_name_that_leaves_the_folder_or_is_the_storages_own_is_refused(string name)
    {
        await using var storage = await DirectoryJournalStorage.OpenAsync(_folder);
        Assert.That(() => storage.DeleteAsync(name), Throws.InstanceOf<ArgumentException>());
    }

    [Test]
    public async Task The_disks_work_leaves_the_loop_through_the_scheduler()
    {
        var scheduler = new CountingScheduler();
        await using var storage = await DirectoryJournalStorage.OpenAsync(_folder, scheduler);
        await storage.ReplaceAsync("log", s => 0);
        await storage.AppendAsync("log", new byte[] { 1 });
        await storage.ReadAsync("log", s => 0);
        await storage.TruncateAsync("log", 0);
        await storage.ListAsync();
        await storage.DiscardUnfinishedAsync(_ => true);
        await storage.DeleteAsync("log");
        Assert.That(scheduler.Runs, Is.EqualTo(8));
    }

    private static Task<byte[]> ReadAsync(DirectoryJournalStorage storage, string name) =>
        storage.ReadAsync(name, stream =>
    {
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    });

    private static StateDict Model(float value) => StateDict.Create(("w", [value, value * 2]));

    private sealed class CountingScheduler : ComputeScheduler
    {
        public int Runs { get; private set; }

        public override int MaxParallelism => 1;

        public override Task<T> RunAsync<T>(Func<ValueTask<T>> work)
        {
            Runs++;
            return ThreadPool.RunAsync(work);
        }

        public override void ForEachPart(int parts, Action<int> body)
        {
            for (var i = 0; i < parts; i++) body(i);
        }
    }
}

using Flare.Runtime;
using Flare.Tests.Federations;

namespace Flare.Tests.Core.Journaling;

/// <summary>A journal's folder may hold files of other people: only what the log says is its own is ever deleted or
/// written over.</summary>
public class JournalForeignFilesTests
{
    private string _folder = "";

    [SetUp]
    public void CreateFolder() => _folder = Directory.CreateTempSubdirectory("flare-foreign-").FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    private string[] Names => [.. Directory.GetFiles(_folder).Select(f => Path.GetFileName(f))
        .Order(StringComparer.Ordinal)];

    private async Task RunAsync(int rounds)
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(1, _ => Sites.Adding(1)).UseController(Sites.Training(rounds: 9)).UseJournal(_folder));
        var seen = 0;
        await foreach (var round in federation.RunAsync(Sites.Model(0)))
            if (round.Number == rounds) break;
            else seen = round.Number;
        Assert.That(seen, Is.EqualTo(rounds - 1));
    }

    [Test]
    public async Task Files_of_others_are_there_after_a_run_a_resume_and_more_rounds()
    {
        string[] foreign =
        [
            "thesis.tmp", ".tmp", "notes-000001.safetensors.tmp", "my-best-000500.safetensors",
            "my-best-000003.safetensors",
            "model-000500.safetensors", "model-000500.safetensors.tmp", "model.safetensors", "journal.flare.bak",
        ];
        await RunAsync(2);
        foreach (var name in foreign) await File.WriteAllTextAsync(Path.Combine(_folder, name), $"this is {name}");
        await RunAsync(5);
        await RunAsync(7);
        foreach (var name in foreign)
            Assert.That(await File.ReadAllTextAsync(Path.Combine(_folder, name)), Is.EqualTo($"this is {name}"));
        Assert.That(Names.Except(foreign), Is.EquivalentTo(new[]
        {
            "journal.flare", "journal.lock", "model-000006.safetensors", "model-000007.safetensors",
        }), "and the journal's own old snapshots are gone");
    }

    [Test]
    public async Task A_file_named_as_a_later_snapshot_is_not_written_over()
    {
        await RunAsync(2);
        var theirs = Path.Combine(_folder, "model-000004.safetensors");
        await File.WriteAllTextAsync(theirs, "theirs");
        await RunAsync(4);
        Assert.That(await File.ReadAllTextAsync(theirs), Is.EqualTo("theirs"));
        var info = (await JournalInfo.ReadAsync(_folder))!;
        Assert.That(info.ModelFile, Is.EqualTo("model-0000004.safetensors"));
        using var model = await StateDict.LoadAsync(Path.Combine(_folder, info.ModelFile!));
        Assert.That(model.Values(), Is.EqualTo(new[] { 4f }));
        await RunAsync(6);
    }

    [Test]
    public async Task What_a_crash_left_of_the_journals_own_files_goes()
    {
        await RunAsync(2);
        string[] left = ["journal.flare.tmp", "model-000003.safetensors.tmp", "model-000001.safetensors",
            "state%2Fbest-000003.safetensors"];
        foreach (var name in left) await File.WriteAllTextAsync(Path.Combine(_folder, name), "half");
        await RunAsync(3);
        Assert.That(Names, Is.EqualTo(new[]
        {
            "journal.flare", "journal.lock", "model-000002.safetensors", "model-000003.safetensors",
        }));
    }

    [Test]
    public async Task Opening_a_folder_that_turns_out_to_be_another_jobs_deletes_nothing()
    {
        await RunAsync(2);
        await File.WriteAllTextAsync(Path.Combine(_folder, "model-000003.safetensors.tmp"), "half");
        var before = Names;
        var storage = await DirectoryJournalStorage.OpenAsync(_folder);
        Assert.That(() => Journal.OpenAsync(storage, new() { JobId = "another", Seed = 1 }),
            Throws.TypeOf<FlareException>());
        Assert.That(Names, Is.EqualTo(before));
    }
}

using Flare.Runtime;

namespace Flare.Tests.Core.Journaling;

public class JournalTests
{
    private static readonly JournalIdentity Job = new() { JobId = "digits", Seed = 42, LayoutFingerprint = "abc",
        Workflows = "fedavg" };

    [Test]
    public async Task A_new_journal_has_nothing_to_recover_and_each_opening_is_an_epoch()
    {
        var disk = new MemoryStorage();
        for (var epoch = 1; epoch <= 3; epoch++)
        {
            await using var journal = await Journal.OpenAsync(disk, Job);
            Assert.That(journal.Epoch, Is.EqualTo(epoch));
            Assert.That(journal.Recovered, Is.Null);
            Assert.That(journal.Warnings, Is.Empty);
        }
    }

    [Test]
    public async Task A_committed_round_comes_back_whole()
    {
        var disk = new MemoryStorage();
        var model = new StateDictBuilder().Add<float>("w", [1.5f, -2], 2).AddBuffer<long>("steps", [7], 1).Build();
        var control = Model(3);
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            await journal.CommitRoundAsync(Round(0, 1, Model(1)));
            await journal.CommitRoundAsync(new()
            {
                Workflow = 0,
                Round = 2,
                Snapshots = new Dictionary<string, StateDict> { ["model"] = model, ["state/Control"] = control },
                Report = new() { ["accepted"] = 6, ["metrics"] = new FlareMap { ["accuracy"] = 0.75 } },
                Values = new() { ["best"] = 0.75, ["sites"] = FlareValue.List("a", "b") },
            });
        }

        await using var reopened = await Journal.OpenAsync(disk, Job);
        var recovered = reopened.Recovered!;
        Assert.That((recovered.Workflow, recovered.LastRound, recovered.IsCompleted), Is.EqualTo((0, (int?)2, false)));
        Assert.That(recovered.Snapshots.Keys, Is.EquivalentTo(new[] { "model", "state/Control" }));
        Assert.That(recovered.Model!.ContentEquals(model));
        Assert.That(recovered.Model.Layout, Is.EqualTo(model.Layout), "names, dtypes, shapes and roles");
        Assert.That(recovered.Model.IsReadOnly);
        Assert.That(recovered.Snapshots["state/Control"].ContentEquals(control));
        Assert.That(recovered.Values.ContentEquals(new() { ["best"] = 0.75, ["sites"] = FlareValue.List("a", "b") }));
        Assert.That(recovered.Reports.Select(r => (r.Workflow, r.Round)), Is.EqualTo(new[] { (0, 1), (0, 2) }));
        Assert.That(recovered.Reports[1].Report["metrics"].AsMap()["accuracy"].AsNumber(), Is.EqualTo(0.75));
        Assert.That(reopened.Warnings, Is.Empty);
    }

    [Test]
    public async Task Workflows_and_the_job_complete_for_good()
    {
        var disk = new MemoryStorage();
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            await journal.CommitRoundAsync(Round(0, 5, Model(5)));
            await journal.CompleteWorkflowAsync(0);
        }
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            Assert.That(
                (journal.Recovered!.Workflow, journal.Recovered.LastRound), Is.EqualTo((1, (int?)null)),
                "the next workflow, with no round yet");
            Assert.That(journal.Recovered.Model!.ContentEquals(Model(5)));
            await journal.CommitRoundAsync(Round(1, 0, Model(6)));
            await journal.CompleteWorkflowAsync(1);
            await journal.CompleteJobAsync();
            Assert.That(
                async () => await journal.CompleteJobAsync(),
                Throws.InvalidOperationException.With.Message.Contains("complete"));
        }
        await using var done = await Journal.OpenAsync(disk, Job);
        Assert.That(done.Recovered!.IsCompleted);
        Assert.That(
            async () => await done.CommitRoundAsync(Round(2, 0, Model(7))),
            Throws.InvalidOperationException.With.Message.Contains("complete"));
    }

    [Test]
    public async Task The_snapshots_are_durable_before_the_record_and_old_ones_go_after_it()
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        for (var round = 1; round <= 3; round++)
            await journal.CommitRoundAsync(Round(0, round, Model(round)));
        Assert.That(
            disk.Trace.Select(t => t.StartsWith("append", StringComparison.Ordinal) ? "append" : t), Is.EqualTo(new[]
        {
            "replace journal.flare", "append",
            "replace model-000001.safetensors", "append",
            "replace model-000002.safetensors", "append",
            "replace model-000003.safetensors", "append", "delete model-000001.safetensors",
        }));
    }

    [Test]
    public async Task A_state_dict_is_written_once_whatever_names_it_bears_and_however_long_it_stays()
    {
        var disk = new MemoryStorage();
        var best = Model(1);
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            await journal.CommitRoundAsync(Round(0, 1, best, best));
            await journal.CommitRoundAsync(Round(0, 2, Model(2), best));
        }
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            best = journal.Recovered!.Snapshots["best"];
            await journal.CommitRoundAsync(Round(0, 3, Model(3), best));
            await journal.CommitRoundAsync(Round(0, 4, Model(4), best));
        }
        Assert.That(disk.Trace.Where(t => t.Contains("replace", StringComparison.Ordinal)), Is.EqualTo(new[]
        {
            "replace journal.flare", "replace model-000001.safetensors",
            "replace model-000002.safetensors", "replace model-000003.safetensors", "replace model-000004.safetensors",
        }));
        Assert.That(
            disk.Files.Keys, Is.EquivalentTo(
                new[] { "journal.flare", "model-000001.safetensors", "model-000003.safetensors",
                    "model-000004.safetensors" }));

        await using var reopened = await Journal.OpenAsync(disk, Job);
        Assert.That(reopened.Recovered!.Snapshots["best"].ContentEquals(Model(1)));
        Assert.That(reopened.Recovered.Model!.ContentEquals(Model(4)));
    }

    [Test]
    public async Task A_state_dict_that_comes_back_after_its_file_was_deleted_is_written_again()
    {
        var disk = new MemoryStorage();
        var old = Model(1);
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            await journal.CommitRoundAsync(Round(0, 1, old));
            await journal.CommitRoundAsync(Round(0, 2, Model(2)));
            await journal.CommitRoundAsync(Round(0, 3, Model(3)));
            await journal.CommitRoundAsync(Round(0, 4, old));
        }
        await using var reopened = await Journal.OpenAsync(disk, Job);
        Assert.That(reopened.Recovered!.LastRound, Is.EqualTo(4));
        Assert.That(reopened.Recovered.Model!.ContentEquals(old));
    }

    [Test]
    public async Task Another_jobs_journal_is_refused_with_all_that_differs_and_stays_as_it_is()
    {
        var disk = new MemoryStorage();
        await (await Journal.OpenAsync(disk, Job)).DisposeAsync();
        var before = disk.Files[Journal.LogName];

        var error = Assert.ThrowsAsync<FlareException>(
            () => Journal.OpenAsync(disk, Job with { JobId = "faces", Seed = 43, LayoutFingerprint = "def" }))!;

        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Journal));
        foreach (var part in new[] { "'digits' there and 'faces' here", "42 there and 43 here",
            "'abc' there and 'def' here", "empty folder" })
            Assert.That(error.Message, Does.Contain(part));
        Assert.That(disk.Files[Journal.LogName], Is.EqualTo(before));
        Assert.That(disk.IsDisposed, "the storage was taken over");
    }

    [Test]
    public async Task Another_configuration_is_a_warning()
    {
        var disk = new MemoryStorage();
        await (await Journal.OpenAsync(disk, Job)).DisposeAsync();
        await using var journal = await Journal.OpenAsync(disk, Job with { Workflows = "more rounds" });
        Assert.That(journal.Warnings, Has.One.Contains("other workflows"));
    }

    [Test]
    public void Snapshots_without_a_log_are_no_new_journal()
    {
        var disk = new MemoryStorage { Files = { ["model-000001.safetensors"] = [1] } };
        var error = Assert.ThrowsAsync<FlareException>(() => Journal.OpenAsync(disk, Job))!;
        Assert.That(error.Message, Does.Contain("model-000001.safetensors").And.Contain("journal.flare"));
        Assert.That(disk.Files, Has.Count.EqualTo(1));
    }

    [TestCase("flipped"), TestCase("cut"), TestCase("missing")]
    public async Task A_damaged_snapshot_costs_one_round_and_says_so(string damage)
    {
        var disk = new MemoryStorage();
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            await journal.CommitRoundAsync(Round(0, 1, Model(1)));
            await journal.CommitRoundAsync(Round(0, 2, Model(2)));
            await journal.CommitRoundAsync(Round(0, 3, Model(3)));
            await journal.CompleteWorkflowAsync(0);
        }
        const string last = "model-000003.safetensors";
        var sound = disk.Files[last];
        if (damage == "missing") disk.Files.Remove(last);
        else disk.Files[last] = damage == "cut" ? sound[..^1] : [.. sound[..^1], (byte)(sound[^1] ^ 1)];

        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            Assert.That(journal.Warnings, Has.One.Contains(last).And.One.Contains("after round 2"));
            Assert.That((journal.Recovered!.Workflow, journal.Recovered.LastRound), Is.EqualTo((0, (int?)2)));
            Assert.That(journal.Recovered.Model!.ContentEquals(Model(2)));
            Assert.That(journal.Recovered.Reports, Has.Count.EqualTo(2));
        }

        // Sites have heard of the server that went on after round 2: the file's return changes nothing.
        disk.Files[last] = sound;
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            Assert.That(journal.Recovered!.LastRound, Is.EqualTo(2));
            Assert.That(journal.Warnings, Is.Empty);
            await journal.CommitRoundAsync(Round(0, 3, Model(33)));
        }
        Assert.That(
            disk.Files.Keys, Is.EquivalentTo(
                new[] { Journal.LogName, "model-000002.safetensors", "model-000004.safetensors" }),
                "a number is never used twice");

        await using var reopened = await Journal.OpenAsync(disk, Job);
        Assert.That(reopened.Recovered!.Model!.ContentEquals(Model(33)));
        Assert.That(reopened.Recovered.Reports.Select(r => r.Round), Is.EqualTo(new[] { 1, 2, 3 }));
    }

    [Test]
    public async Task A_workflow_completed_before_the_lost_round_stays_complete()
    {
        var disk = new MemoryStorage();
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            await journal.CommitRoundAsync(Round(0, 1, Model(1)));
            await journal.CompleteWorkflowAsync(0);
            await journal.CommitRoundAsync(Round(1, 0, Model(2)));
        }
        disk.Files["model-000002.safetensors"] = [];
        await using var reopened = await Journal.OpenAsync(disk, Job);
        Assert.That((reopened.Recovered!.Workflow, reopened.Recovered.LastRound), Is.EqualTo((1, (int?)null)));
    }

    [Test]
    public async Task Without_a_sound_commit_the_journal_is_refused_not_begun_anew()
    {
        var disk = new MemoryStorage();
        await using (var journal = await Journal.OpenAsync(disk, Job))
        {
            await journal.CommitRoundAsync(Round(0, 1, Model(1)));
            await journal.CommitRoundAsync(Round(0, 2, Model(2)));
        }
        disk.Files["model-000001.safetensors"][^1] ^= 1;
        disk.Files["model-000002.safetensors"][^1] ^= 1;
        var error = Assert.ThrowsAsync<FlareException>(() => Journal.OpenAsync(disk, Job))!;
        Assert.That(
            error.Message, Does.Contain("'model-000002.safetensors' of round 2").And.Contain(
                "'model-000001.safetensors' of round 1"));
    }

    [Test]
    public async Task Steps_out_of_order_are_refused_and_write_nothing()
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        await journal.CommitRoundAsync(Round(0, 1, Model(1)));
        var operations = disk.Trace.Count;
        Assert.That(
            async () => await journal.CommitRoundAsync(Round(0, 1, Model(2))), Throws.InvalidOperationException);
        Assert.That(
            async () => await journal.CommitRoundAsync(Round(0, -1, Model(2))), Throws.InvalidOperationException);
        Assert.That(
            async () => await journal.CommitRoundAsync(Round(1, 2, Model(2))), Throws.InvalidOperationException);
        Assert.That(async () => await journal.CompleteWorkflowAsync(1), Throws.InvalidOperationException);
        Assert.That(disk.Trace, Has.Count.EqualTo(operations));
    }

    [Test]
    public async Task Tensors_in_a_report_are_refused_and_the_round_can_be_committed_without()
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        var commit = Round(0, 1, Model(1));
        Assert.That(
            async () => await journal.CommitRoundAsync(commit with { Values = new() { ["momentum"] = Model(2) } }),
            Throws.TypeOf<FlareException>().With.Message.Contains("'momentum'"));
        await journal.CommitRoundAsync(commit);
        await using var reopened = await Journal.OpenAsync(disk, Job);
        Assert.That(reopened.Recovered!.LastRound, Is.EqualTo(1));
    }

    [Test]
    public async Task A_snapshot_that_does_not_fit_the_disk_leaves_the_journal_usable()
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        disk.Before = _ => throw new IOException("No space left on device.");
        var error = Assert.ThrowsAsync<FlareException>(
            async () => await journal.CommitRoundAsync(Round(0, 1, Model(1))))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Journal));
        Assert.That(error.Message, Does.Contain("No space left"));
        disk.Before = null;
        await journal.CommitRoundAsync(Round(0, 1, Model(1)));
    }

    [Test]
    public async Task After_a_failed_append_only_opening_again_helps()
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        disk.Before = what => what.StartsWith("append", StringComparison.Ordinal)
            ? throw new IOException("Input/output error.") : Task.CompletedTask;
        Assert.ThrowsAsync<FlareException>(async () => await journal.CommitRoundAsync(Round(0, 1, Model(1))));
        disk.Before = null;
        Assert.That(
            async () => await journal.CommitRoundAsync(Round(0, 1, Model(1))),
            Throws.InvalidOperationException.With.Message.Contains("open it again"));
        await using var reopened = await Journal.OpenAsync(disk, Job);
        await reopened.CommitRoundAsync(Round(0, 1, Model(1)));
    }

    [Test]
    public async Task A_file_that_cannot_be_deleted_is_no_reason_to_fail_a_round_and_is_tried_again()
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        disk.Before = what => what.StartsWith("delete", StringComparison.Ordinal) ? throw new IOException("In use.")
            : Task.CompletedTask;
        for (var round = 1; round <= 4; round++) await journal.CommitRoundAsync(Round(0, round, Model(round)));
        Assert.That(disk.Files, Has.Count.EqualTo(5));
        disk.Before = null;
        await journal.CommitRoundAsync(Round(0, 5, Model(5)));
        Assert.That(disk.Files, Has.Count.EqualTo(3));
    }

    [Test]
    public async Task Two_calls_at_once_are_refused()
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        var gate = new TaskCompletionSource();
        disk.Before = _ => gate.Task;
        var first = journal.CommitRoundAsync(Round(0, 1, Model(1))).AsTask();
        Assert.That(
            async () => await journal.CommitRoundAsync(Round(0, 2, Model(2))),
            Throws.InvalidOperationException.With.Message.Contains("await"));
        gate.SetResult();
        await first;
        await journal.CommitRoundAsync(Round(0, 2, Model(2)));
    }

    [Test]
    public async Task A_commit_freezes_what_it_takes()
    {
        await using var journal = await Journal.OpenAsync(new MemoryStorage(), Job);
        var commit = Round(0, 1, Model(1));
        await journal.CommitRoundAsync(commit);
        Assert.That(commit.Snapshots["model"].IsReadOnly && commit.Report.IsReadOnly && commit.Values.IsReadOnly);
    }

    [TestCase("model", "model-000012.safetensors")]
    [TestCase("state/control", "state%2Fcontrol-000012.safetensors")]
    [TestCase("Best", "%42est-000012.safetensors")]
    [TestCase("..", "..-000012.safetensors")]
    [TestCase("é%", "%C3%A9%25-000012.safetensors")]
    public void A_snapshots_name_becomes_a_file_name_on_any_file_system(string name, string file)
    {
        Assert.That(JournalSnapshots.FileName(name, 12), Is.EqualTo(file));
        Assert.That(JournalSnapshots.IsSnapshot(file));
    }

    [Test]
    public void A_snapshots_name_has_a_limit_that_file_systems_bear() =>
        Assert.That(() => JournalSnapshots.FileName(new string('/', 67), 1), Throws.ArgumentException);

    [TestCase("journal.flare"), TestCase("model.safetensors"), TestCase("model-12.safetensors"),
        TestCase("-000012.safetensors"), TestCase("model-00001x.safetensors"), TestCase("model-000012.safetensors.bak")]
    public void Other_files_are_no_snapshots(string file) => Assert.That(JournalSnapshots.IsSnapshot(file), Is.False);

    private static JournalCommit Round(int workflow, int round, StateDict model, StateDict? best = null)
    {
        var snapshots = new Dictionary<string, StateDict> { ["model"] = model };
        if (best is not null) snapshots["best"] = best;
        return new() { Workflow = workflow, Round = round, Snapshots = snapshots,
            Report = new() { ["round"] = round } };
    }

    private static StateDict Model(float value) => StateDict.Create(("w", [value, value + 0.5f]));
}

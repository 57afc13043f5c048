using System.Globalization;
using Flare.Runtime;

namespace Flare.Tests.Core.Journaling;

/// <summary>
/// A job of two workflows on a disk that crashes at each of its operations in turn, with every tear of an append. The
/// model: a list of steps, of which the recovered journal holds a prefix, no shorter than what was acknowledged, no
/// longer than what was begun.
/// </summary>
public class JournalCrashTests
{
    private const int Files = 4; // the log, the models of the last two commits, and the best, which both share

    private const int LastCommit = 4;

    private static readonly JournalIdentity Job = new() { JobId = "crash", Seed = 1 };

    // Round r of workflow w; a new best model where Best says so; null: the workflow completes, and after the last the
    // job.
    private static readonly (int Workflow, int? Round, bool Best)[] Steps =
        [(0, 1, true), (0, 2, false), (0, 4, true), (0, null, false), (1, 0, false), (1, null, false),
            (2, null, false)];

    [Test]
    public async Task Every_crash_leaves_the_last_acknowledged_step_or_the_one_in_flight()
    {
        var sizes = await OperationsAsync();
        var runs = 0;
        for (var operation = 0; operation < sizes.Count; operation++)
            for (var kept = 0; kept <= sizes[operation]; kept++)
                foreach (var garbage in sizes[operation] > 1 && kept % 8 == 0 ? new[] { false, true } : [false])
                {
                    runs++;
                    var crash = new Crash(operation, kept, garbage, Undelete: kept % 2 == 0);
                    var disk = new MemoryStorage { Crash = crash };
                    var acknowledged = await RunUntilCrashAsync(disk, 0);

                    var restarted = disk.Restarted();
                    await using var journal = await Journal.OpenAsync(restarted, Job);
                    var found = RequirePrefix(journal, $"{crash}");
                    Assert.That(found, Is.InRange(acknowledged, acknowledged + 1), $"{crash}");

                    // All bytes of all tears are recovered from; the job is carried to its end from a part of them.
                    if (kept % 16 != 0 && kept != sizes[operation]) continue;
                    await RunAsync(journal, found, () => { });
                    await using var done = await Journal.OpenAsync(restarted.Restarted(), Job);
                    Assert.That(RequirePrefix(done, $"{crash}, carried on"), Is.EqualTo(Steps.Length));
                    Assert.That(done.Warnings, Is.Empty);
                    if (found <= LastCommit)
                        Assert.That(
                            restarted.Files, Has.Count.EqualTo(Files), $"{crash}: a commit cleans up behind it");
                }
        Assert.That(runs, Is.GreaterThan(500), "the job is long enough to be worth crashing");
    }

    [Test]
    public async Task Crashes_while_recovering_from_a_crash_lose_nothing_and_epochs_only_rise()
    {
        var sizes = await OperationsAsync();
        for (var operation = 0; operation < sizes.Count; operation++)
            foreach (var kept in new[] { 0, sizes[operation] / 2, sizes[operation] })
            {
                var disk = new MemoryStorage { Crash = new(operation, kept) };
                var acknowledged = await RunUntilCrashAsync(disk, 0);
                for (var second = 0; second < 6; second++)
                    foreach (var secondKept in new[] { 0, 1, 12 })
                    {
                        var name = $"operation {operation} at {kept}, then {second} at {secondKept}";
                        var again = disk.Restarted(new(second, secondKept));
                        var later = await RunUntilCrashAsync(again, acknowledged);
                        await using var journal = await Journal.OpenAsync(again.Restarted(), Job);
                        Assert.That(RequirePrefix(journal, name), Is.InRange(later, later + 1), name);
                        Assert.That(journal.Epoch, Is.GreaterThan(again.Served.LastOrDefault()), name);
                    }
            }
    }

    /// <summary>The size of each operation's tear: an append's bytes, or 1 for one that happens or does not.</summary>
    private static async Task<List<int>> OperationsAsync()
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        await RunAsync(journal, 0, () => { });
        return [
            .. disk.Trace.Select(t => t.Split(' '))
            .Select(t => t[0] == "append" ? int.Parse(t[2], CultureInfo.InvariantCulture) : 1)];
    }

    /// <summary>
    /// Opens, and takes the job on until the disk dies. Returns the acknowledged steps, those of earlier servers
    /// included.
    /// </summary>
    private static async Task<int> RunUntilCrashAsync(MemoryStorage disk, int acknowledged)
    {
        try
        {
            await using var journal = await Journal.OpenAsync(disk, Job);
            disk.Served.Add(journal.Epoch);
            var found = RequirePrefix(journal, "before the crash");
            acknowledged = Math.Max(acknowledged, found);
            await RunAsync(journal, found, () => acknowledged++);
        }
        catch (CrashException)
        {
        }
        return acknowledged;
    }

    private static async Task RunAsync(Journal journal, int from, Action acknowledged)
    {
        var best = journal.Recovered?.Snapshots.GetValueOrDefault("best");
        for (var i = from; i < Steps.Length; i++)
        {
            var (workflow, round, isBest) = Steps[i];
            if (round is null && workflow == 2) await journal.CompleteJobAsync();
            else if (round is null) await journal.CompleteWorkflowAsync(workflow);
            else
            {
                var model = Model(i);
                if (isBest) best = Model(i + 100);
                await journal.CommitRoundAsync(new()
                {
                    Workflow = workflow,
                    Round = round.Value,
                    Snapshots = new Dictionary<string, StateDict> { ["model"] = model, ["best"] = best! },
                    Report = new() { ["step"] = i },
                    Values = new() { ["step"] = i },
                });
            }
            acknowledged();
        }
    }

    /// <summary>The number of steps that a journal recovered; all that it recovered must be what these left.</summary>
    private static int RequirePrefix(Journal journal, string name)
    {
        if (journal.Recovered is not { } recovered) return 0;
        var (workflow, round) = (recovered.Workflow, recovered.LastRound);
        var count = recovered.IsCompleted
            ? Steps.Length
            : round is null ? Array.FindIndex(Steps, s => s.Workflow == workflow - 1 && s.Round is null) + 1
            : Array.FindIndex(Steps, s => s.Workflow == workflow && s.Round == round) + 1;
        Assert.That(count, Is.GreaterThan(0), name);

        var commits = Enumerable.Range(0, count).Where(i => Steps[i].Round is not null).ToList();
        var best = commits.Last(i => Steps[i].Best) + 100;
        Assert.That(recovered.Reports.Select(r => (int)r.Report["step"].AsInteger()), Is.EqualTo(commits), name);
        Assert.That(recovered.Values["step"].AsInteger(), Is.EqualTo(commits[^1]), name);
        Assert.That(recovered.Snapshots, Has.Count.EqualTo(2), name);
        Assert.That(recovered.Model!.ContentEquals(Model(commits[^1])), name);
        Assert.That(recovered.Snapshots["best"].ContentEquals(Model(best)), name);
        return count;
    }

    private static StateDict Model(float value) => StateDict.Create(("w", [value]));
}

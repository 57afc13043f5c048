using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>A site's state follows the rounds, and is on the disk before an answer leaves.</summary>
public class SiteStateTests
{
    private string _directory = "";

    [SetUp]
    public void Create() => _directory = Directory.CreateTempSubdirectory("flare-state-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(_directory, recursive: true);

    private string States => Path.Combine(_directory, "states");

    private IEnumerable<string> Files =>
        Directory.Exists(States) ? Directory.EnumerateFiles(States, "*.flare", SearchOption.AllDirectories) : [];

    /// <summary>Counts its trainings in its state, twice over, and notes what it found.</summary>
    private sealed class Counting(List<(int Round, long Found, long Lasting)> found) : Learner
    {
        public Func<int, Dxo, Dxo> Answer { get; init; } = (_, dxo) => dxo;

        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var state = context.SiteState;
            var count = state.Values.TryGet("count", out var value) ? value.AsInteger() : 0;
            var spent = state.Lasting.TryGet("spent", out value) ? value.AsInteger() : 0;
            var kept = state.Tensors.TryGetValue("count", out var tensors) ? tensors.Values("n")[0] : 0;
            Assert.That(kept, Is.EqualTo(count));
            lock (found) found.Add((context.Round, count, spent));
            state.Values["count"] = count + 1;
            state.Lasting["spent"] = spent + 1;
            state.Tensors["count"] = StateDict.Create(("n", [count + 1]));
            var diff = new StateDict(model.Tensors.Layout);
            diff.Fill(1);
            return ValueTask.FromResult(Answer(context.Round, Dxo.WeightDiff(diff, steps: 1)));
        }
    }

    private Federation Build(
        int rounds, Counting counting, LogRecorder? log = null, bool? startsOver = false, string name = "site-1") =>
        Build(counting, Sites.Training(rounds), log, startsOver, name);

    private Federation Build(
        Counting counting, Controller workflow, LogRecorder? log = null, bool? startsOver = false,
        string name = "site-1") => Federation.InProcess(f =>
    {
        f.AddSite(name, _ => counting).UseController(workflow).UseJobId("job")
            .UseJournal(Path.Combine(_directory, "journal"));
        if (startsOver is { } over) f.UseSiteState(States, over);
        if (log is not null) f.UseLogging(log);
    });

    private async Task<List<(int Round, long Found, long Lasting)>> RunAsync(
        int rounds, int leaveAfter = 0, Func<int, Dxo, Dxo>? answer = null, LogRecorder? log = null,
        bool? startsOver = false)
    {
        List<(int, long, long)> found = [];
        await using var federation = Build(
            rounds, new Counting(found) { Answer = answer ?? ((_, d) => d) }, log: log, startsOver: startsOver);
        await foreach (var round in federation.RunAsync(Sites.Model(0)))
            if (round.Number == leaveAfter) break;
        return found;
    }

    private static string ErrorOf(Federation federation) => Assert.ThrowsAsync<TooFewResponsesException>(
        () => federation.RunToEndAsync(Sites.Model(0)))!.Sites[0].Reason!;

    [Test]
    public async Task A_task_finds_what_the_round_before_left([Values] bool inFolder)
    {
        var found = await RunAsync(4, startsOver: inFolder ? false : null);
        Assert.That(found, Is.EqualTo(new[] { (1, 0, 0), (2, 1, 1), (3, 2, 2), (4, 3, 3) }));
        Assert.That(Files.Any(), Is.EqualTo(inFolder));
    }

    [Test]
    public async Task Another_process_goes_on_from_it_and_a_round_done_again_finds_what_was_before_it()
    {
        await RunAsync(5, leaveAfter: 2); // round 3 may have been trained by then, and was not committed
        var found = await RunAsync(5);
        Assert.That(found.Select(f => (f.Round, f.Found)), Is.EqualTo(new[] { (3, 2), (4, 3), (5, 4) }));
    }

    /// <summary>Trains and commits; dies in a round once its answer is used, before the commit.</summary>
    private static Workflow Dying(int dies) => new(async (federation, abort) =>
    {
        for (var round = federation.LastCommittedRound + 1; round <= 4; round++)
        {
            var used = 0;
            await foreach (var _ in federation.BroadcastAsync(FlareTask.Train(round, federation.Model), abort: abort))
                used++;
            Assert.That(used, Is.EqualTo(1));
            if (round == dies) throw new InvalidDataException("power cut");
            await federation.CommitAsync(round, federation.Model.Clone(), abort);
        }
    });

    [Test]
    public async Task A_used_answer_of_a_round_that_was_not_committed_is_taken_back_but_for_what_lasts()
    {
        List<(int Round, long Found, long Lasting)> found = [];
        foreach (var dies in new[] { 3, 3, 0 })
        {
            await using var federation = Build(new Counting(found), Dying(dies));
            if (dies == 0) await federation.RunToEndAsync(Sites.Model(0));
            else Assert.That(
                () => federation.RunToEndAsync(Sites.Model(0)), Throws.InnerException.TypeOf<InvalidDataException>());
        }
        Assert.That(found, Is.EqualTo(new[] { (1, 0, 0), (2, 1, 1), (3, 2, 2), (3, 2, 3), (3, 2, 4), (4, 3, 5) }));
    }

    [Test]
    public async Task A_commit_whose_snapshot_is_damaged_takes_the_sites_state_back_too()
    {
        List<(int Round, long Found, long Lasting)> found = [];
        await using (var federation = Build(new Counting(found), Dying(4)))
            Assert.That(
                () => federation.RunToEndAsync(Sites.Model(0)), Throws.InnerException.TypeOf<InvalidDataException>());
        found.Clear();
        var snapshot = Directory.EnumerateFiles(Path.Combine(_directory, "journal"), "model-*").Max()!;
        await File.WriteAllBytesAsync(snapshot, new byte[10]);
        await using (var federation = Build(new Counting(found), Dying(0)))
            await federation.RunToEndAsync(Sites.Model(0));
        Assert.That(found.Select(f => (f.Round, f.Found)), Is.EqualTo(new[] { (3, 2), (4, 3) }));
    }

    [Test]
    public async Task A_task_that_failed_or_whose_answer_was_refused_leaves_no_change()
    {
        List<(int Round, long Found, long Lasting)> found = [];
        var other = new List<(int, long, long)>();
        await using var federation = Federation.InProcess(f => f
            .AddSite("lucky", _ => new Counting(other))
            .AddSite("luckless", _ => new Counting(found)
            {
                Answer = (round, dxo) => round switch
                {
                    2 => throw new InvalidDataException("no luck"),
                    3 => Dxo.WeightDiff(Sites.Model(float.NaN), steps: 1),
                    _ => dxo,
                },
            })
            .UseController(Sites.Training(rounds: 5)));
        await federation.RunToEndAsync(Sites.Model(0));
        // The refused answer of round 3 was about to leave: what it spent lasts.
        Assert.That(found, Is.EqualTo(new[] { (1, 0, 0), (2, 1, 1), (3, 1, 1), (4, 1, 2), (5, 2, 3) }));
        Assert.That(other[^1], Is.EqualTo((5, 4, 4)));
    }

    [Test]
    public async Task An_answer_that_builds_on_a_state_which_was_taken_back_is_refused_by_name()
    {
        List<(int Round, long Found, long Lasting)> found = [];
        var isRefused = new TaskCompletionSource();
        string? reason = null;
        var gated = new Gated(
            new Counting(found), async round => { if (round == 2) await isRefused.Task; });
        var workflow = new Workflow(async (context, abort) =>
        {
            TaskResponses Ask(int round) => context.BroadcastAsync(
                FlareTask.Train(round, context.Model), new() { MinResponses = 0, Grace = Patience.Long }, abort);
            TaskResponses? second = null;
            await foreach (var answer in Ask(1))
            {
                second = Ask(2); // goes on from what the first has left
                answer.Reject("the operator does not like it");
                isRefused.TrySetResult();
            }
            await foreach (var _ in second!) Assert.Fail("it stands on nothing");
            reason = second!.Sites[0].Reason;
            await foreach (var _ in Ask(3)) { }
            await context.CommitAsync(3, Sites.Model(0), abort);
        });
        await using var federation = Federation.InProcess(f => f.AddSite("site-1", _ => gated).UseController(workflow));
        await federation.RunToEndAsync(Sites.Model(0)).WaitAsync(Patience.Long);
        Assert.That(reason, Does.Contain("another answer has changed, or taken back"));
        Assert.That(found.Select(f => (f.Round, f.Found)), Is.EqualTo(new[] { (1, 0), (2, 1), (3, 0) }));
    }

    /// <summary>Waits before a task.</summary>
    private sealed class Gated(Executor inner, Func<int, Task> before) : DelegatingExecutor(inner)
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            await before(context.Round).WaitAsync(abort);
            return await base.ExecuteAsync(taskName, input, context, abort);
        }
    }

    [Test]
    public async Task Old_states_are_dropped()
    {
        await RunAsync(20);
        Assert.That(Files.Count(), Is.InRange(2, 4));
        Assert.That(Directory.EnumerateFiles(States, "*.tmp", SearchOption.AllDirectories), Is.Empty);
    }

    [Test]
    public async Task A_state_that_cannot_be_kept_keeps_the_answer_back_by_name()
    {
        var log = new LogRecorder();
        Directory.CreateDirectory(Path.Combine(States, "site-1", "job", "state-000001.flare")); // in the file's way
        await using var federation = Build(1, new Counting([]), log: log);
        Assert.That(ErrorOf(federation), Does.Contain("The state of site-1 cannot be kept in").And
            .Contain("so the answer is not sent").And.Contain(ErrorIds.SiteState));
        Assert.That(log.Entries.Any(e => e.Level >= LogLevel.Warning && e.Exception is FlareException));
    }

    [Test]
    public async Task A_state_that_is_cut_or_damaged_is_refused_by_name()
    {
        await RunAsync(3, leaveAfter: 1);
        var file = Files.Max()!;
        var bytes = await File.ReadAllBytesAsync(file);
        foreach (var cut in new[] { 0, 5, 19, 20, bytes.Length / 2, bytes.Length - 1 })
        {
            await File.WriteAllBytesAsync(file, bytes[..cut]);
            await using var federation = Build(3, new Counting([]));
            Assert.That(
                ErrorOf(federation), Does.Contain(Path.GetFileName(file)).And.Contain("cut short or damaged"),
                $"{cut} bytes");
        }
        for (var at = 0; at < bytes.Length; at += 37)
        {
            bytes[at] ^= 0x10;
            await File.WriteAllBytesAsync(file, bytes);
            bytes[at] ^= 0x10;
            await using var federation = Build(3, new Counting([]));
            Assert.That(ErrorOf(federation), Does.Contain(ErrorIds.SiteState), $"{at}");
        }
        await File.WriteAllBytesAsync(file, bytes);
        Assert.That((await RunAsync(3))[^1].Found, Is.EqualTo(2), "whole again, it is read");
    }

    [Test]
    public async Task A_lost_state_fails_its_tasks_unless_the_site_may_begin_anew()
    {
        await RunAsync(3, leaveAfter: 1);
        Directory.Delete(States, recursive: true);
        await using (var federation = Build(3, new Counting([])))
            Assert.That(ErrorOf(federation), Does.Contain("is lost: the server goes on from state 1").And
                .Contain("startsOver: true").And.Contain(ErrorIds.SiteState));

        var log = new LogRecorder();
        var found = await RunAsync(3, log: log, startsOver: true);
        Assert.That(found.Select(f => f.Found), Is.EqualTo(new[] { 0, 1 }));
        Assert.That(
            log.Entries.Count(e => e.Message.Contains("site-1 has lost its state 1", StringComparison.Ordinal)),
            Is.EqualTo(1));
    }

    [Test]
    public async Task In_memory_a_site_of_another_process_begins_anew_and_says_so()
    {
        await RunAsync(3, leaveAfter: 1, startsOver: null);
        var log = new LogRecorder();
        var found = await RunAsync(3, log: log, startsOver: null);
        Assert.That(found.Select(f => f.Found), Is.EqualTo(new[] { 0, 1 }));
        Assert.That(log.Entries.Any(e => e.Level == LogLevel.Warning
            && e.Message.Contains("has lost its state", StringComparison.Ordinal)));
    }

    [Test]
    public async Task Two_processes_over_one_folder_are_refused()
    {
        var (gate, begun) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var first = Federation.InProcess(f => f
            .AddSite("site-1", _ => Sites.Gated(gate.Task, 1, started: () => begun.TrySetResult()))
            .UseController(Sites.Training()).UseJobId("job").UseSiteState(States));
        var running = first.RunToEndAsync(Sites.Model(0));
        await begun.Task.WaitAsync(Patience.Long);

        await using (var second = Build(1, new Counting([])))
            Assert.That(ErrorOf(second), Does.Contain("The state of site-1 cannot be opened").And
                .Contain("in use by another site or another process").And.Contain(ErrorIds.SiteState));
        gate.SetResult();
        await running.WaitAsync(Patience.Long);
    }

    [Test]
    public async Task Two_sites_over_one_folder_are_refused_and_one_alone_keeps_its_state_there()
    {
        SitePlan Site(string name) =>
            new SiteBuilder(name).UseExecutor(() => new Counting([])).UseJobId("job").UseSiteState(States).Build();
        await using var server = new ServerBuilder().AddSites("site-1", "site-2").UseJobId("job")
            .UseController(new FedAvg { Rounds = 2, MinSites = 1, Validation = ValidationMode.None })
            .UseInitialModel(Sites.Model(0)).Build();
        await using var one = Site("site-1");
        await using var two = Site("site-2");
        var reports = await Hosts.RunAsync(server, one, two);
        var refused = reports[0].Sites.Single(s => s.Status == SiteStatus.Failed);
        Assert.That(refused.Reason, Does.Contain(nameof(FlareException)));
        Assert.That(reports[1].Sites.Single(s => s.Status == SiteStatus.Accepted).Site, Is.Not.EqualTo(refused.Site));
        Assert.That(Files, Is.Not.Empty);
    }

    [Test]
    public async Task Another_sites_state_is_refused()
    {
        await RunAsync(1);
        Directory.Move(Path.Combine(States, "site-1"), Path.Combine(States, "site-2"));
        Directory.Delete(Path.Combine(_directory, "journal"), recursive: true);
        await using var federation = Build(1, new Counting([]), name: "site-2");
        Assert.That(ErrorOf(federation), Does.Contain("It is of site site-1 in job 'job', and this is site-2 in job"));
    }

    [Test]
    public async Task The_server_has_no_site_state_and_a_task_that_has_ended_neither()
    {
        FLContext? kept = null;
        var executor = new Scripted((_, input, context, _) =>
        {
            kept = context;
            context.SiteState.Values["x"] = 1;
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
        await using var federation = await Sites.RunAsync(new Workflow((f, _) =>
        {
            Assert.That(() => f.Context.SiteState, Throws.InvalidOperationException);
            return Task.CompletedTask;
        }), Sites.Model(0), executor);
        await using var trained = await Sites.RunAsync(Sites.Training(), Sites.Model(0), executor);
        Assert.That(() => kept!.SiteState, Throws.InvalidOperationException.With.Message.Contains("has ended"));
    }
}

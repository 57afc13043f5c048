using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>A job that was stopped goes on after its last committed round, with the same bits.</summary>
public class ResumeTests
{
    private string _directory = "";

    [SetUp]
    public void Create() => _directory = Directory.CreateTempSubdirectory("flare-resume-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(_directory, recursive: true);

    private static StateDict Initial => StateDict.Create(("a", [0.1f, 0.2f, 0.3f]), ("b", [1f]));

    /// <summary>Trains by seed; the last of the sites stops at a round until it is aborted.</summary>
    private static Scripted Training(SiteInfo site, int stopAt, Action stopped) =>
        new(async (task, input, context, abort) =>
    {
        if (task == TaskNames.Validate) return Dxo.Metrics(("accuracy", context.Round == 2 ? 0.9 : 0.1)).ToShareable();
        if (context.Round == stopAt && site.Index == 2)
        {
            stopped();
            await Task.Delay(Timeout.Infinite, abort);
        }
        var random = new Random(unchecked((int)context.Seed("train")));
        var diff = new StateDict(Dxo.From(input).Tensors.Layout);
        foreach (var tensor in diff)
            foreach (ref var x in tensor.AsSpan<float>()) x = (float)(random.NextDouble() - 0.5);
        return Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, random.Next(1, 50)).ToShareable();
    });

    private static Federation Build(FedAvg workflow, string? directory, int stopAt = 0, Action? stopped = null) =>
        Federation.InProcess(f =>
    {
        f.AddSites(3, site => Training(site, stopAt, stopped ?? (() => { }))).UseController(workflow).UseSeed(11)
            .UseJobId("resume");
        if (directory is not null) f.UseJournal(directory);
    });

    private async Task StopInRoundAsync(int round, FedAvg workflow)
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var federation = Build(workflow, _directory, round, stopped.SetResult);
        using var abort = new CancellationTokenSource();
        var run = federation.RunToEndAsync(Initial, abort.Token);
        await stopped.Task.WaitAsync(Patience.Long);
        abort.Cancel();
        Assert.That(() => run, Throws.InstanceOf<OperationCanceledException>());
        Assert.That(federation.Rounds.Select(r => r.Number), Is.EqualTo(Enumerable.Range(1, round - 1)));
    }

    private static FedAvg Rounds(int rounds) => new() { Rounds = rounds, MinSites = 3 };

    [Test]
    public async Task A_journal_keeps_of_very_many_sites_those_whose_answer_was_not_used()
    {
        const int sites = 1_500;
        Federation Many() => Federation.InProcess(f => f
            .AddSites(sites, site => site.Index == 700 ? Sites.Throwing("out of paper") : Sites.Adding(1))
            .UseController(Sites.Training()).UseJournal(_directory));
        await using (var federation = Many())
        {
            await federation.RunToEndAsync(Initial);
            Assert.That(federation.Rounds[0].Sites, Has.Count.EqualTo(sites));
        }
        await using var again = Many();
        var report = (await again.RunToEndAsync(Initial)).Single();
        Assert.That((report.Targets, report.Accepted, report.Workflow), Is.EqualTo((sites, sites - 1, "FedAvg")));
        Assert.That(report.Sites.Single().ToString(), Does.StartWith("site-701: Failed").And.Contain("out of paper"));
    }

    [Test]
    public async Task A_stopped_job_goes_on_with_the_next_round_and_ends_with_the_same_bits()
    {
        await using var undisturbed = Build(Rounds(6), null);
        await undisturbed.RunToEndAsync(Initial);

        await StopInRoundAsync(3, Rounds(6));
        await StopInRoundAsync(5, Rounds(6));
        var trained = new List<int>();
        await using var resumed = Federation.InProcess(f => f
            .AddSites(3, site => Training(site, 0, () => { })).UseController(Rounds(6)).UseSeed(11).UseJobId("resume")
            .UseJournal(_directory)
            .AddServerComponent(
                new LambdaComponent(
                    (type, context) => { if (type == EventTypes.RoundStarted)
                        trained.Add(context.Get(ContextKeys.CurrentRound)); })));
        var rounds = await resumed.RunToEndAsync(Initial);
        Assert.That(trained, Is.EqualTo(new[] { 5, 6 }));
        Assert.That(
            rounds.Select(r => r.Number), Is.EqualTo(Enumerable.Range(1, 6)),
            "the reports of the earlier rounds come first");
        Assert.That(resumed.Model.Sha256(), Is.EqualTo(undisturbed.Model.Sha256()));
        Assert.That(rounds[^1].ModelSha256, Is.EqualTo(resumed.Model.Sha256()));
        Assert.That(rounds[0].Sites.Where(s => s.Task == TaskNames.Train).Select(s => (s.Site, s.Status, s.NumSteps)),
            Is.EqualTo(
                undisturbed.Rounds[0].Sites.Where(s => s.Task == TaskNames.Train)
                .Select(s => (s.Site, s.Status, s.NumSteps))));
        Assert.That(resumed.State.Values[ModelSelection.BestRound].AsInteger(), Is.EqualTo(2));
        Assert.That(
            resumed.State.Tensors[ModelSelection.BestModel].Sha256(),
            Is.EqualTo(undisturbed.State.Tensors[ModelSelection.BestModel].Sha256()));
    }

    [Test]
    public async Task A_complete_job_only_tells_what_it_did()
    {
        await using (var federation = Build(Rounds(2), _directory)) await federation.RunToEndAsync(Initial);
        await using var again = Build(
            Rounds(2), _directory, stopAt: 1, stopped: () => Assert.Fail("Nothing is trained any more."));
        Assert.That((await again.RunToEndAsync(Initial)).Select(r => r.Number), Is.EqualTo(new[] { 1, 2 }));
        await using var undisturbed = Build(Rounds(2), null);
        await undisturbed.RunToEndAsync(Initial);
        Assert.That(again.Model.Sha256(), Is.EqualTo(undisturbed.Model.Sha256()));
    }

    [Test]
    public async Task A_job_that_was_about_to_stop_stops_after_a_resume_too()
    {
        // It dies between the commit that its stop follows from and the stop itself.
        var dying = new FedAvg { Rounds = 5, MinSites = 3, StopWhen = report => report.Number == 2
            ? throw new InvalidDataException("power cut") : false };
        await using (var federation = Build(dying, _directory))
            Assert.That(() => federation.RunToEndAsync(Initial), Throws.InnerException.TypeOf<InvalidDataException>());
        await using var resumed = Build(
            new() { Rounds = 5, MinSites = 3, StopWhen = report => report.Metrics["accuracy"] > 0.5 }, _directory,
            stopAt: 3, stopped: () => Assert.Fail("Round 3 must not begin."));
        Assert.That((await resumed.RunToEndAsync(Initial)).Select(r => r.Number), Is.EqualTo(new[] { 1, 2 }));
    }

    [Test]
    public async Task Another_jobs_journal_is_refused()
    {
        await StopInRoundAsync(2, Rounds(3));
        await using var other = Federation.InProcess(
            f => f.AddSites(3, site => Training(site, 0, () => { })).UseController(Rounds(3)).UseSeed(12)
            .UseJobId("resume").UseJournal(_directory));
        Assert.That(
            () => other.RunToEndAsync(Initial), Throws.TypeOf<FlareException>().With.Property("ErrorId")
            .EqualTo(ErrorIds.Journal));
    }
}

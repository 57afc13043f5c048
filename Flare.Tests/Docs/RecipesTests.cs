using Flare.Crypto;
using Flare.Reporting;
using Flare.Tests.Federations;
using Flare.Workflows;
using LineTrainer = Flare.Tests.Docs.WritingTrainersTests.LineTrainer;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/recipes.md, compiled and run.</summary>
public class RecipesTests
{
    private string _directory = "";

    [SetUp]
    public void Create() => _directory = Directory.CreateTempSubdirectory("flare-recipes-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(_directory, recursive: true);

    private static StateDict Initial => StateDict.Create(("line", [0, 0]));

    // Both sites see parts of the line 2x + 1.
    private static LineTrainer Trainer(SiteInfo site) => site.Index == 0 ? new([0, 0.5f, 1], [1, 2, 3]) : new([-1, 1.5f], [-1, 4]);

    private static float[] Line(StateDict model) => model["line"].ToArray<float>();

    private sealed class ClipNorm(double most) : DxoFilter(DataKind.WeightDiff)
    {
        protected override ValueTask<Dxo> FilterAsync(Dxo data, FLContext context, CancellationToken abort)
        {
            var norm = data.Tensors.L2Norm();
            if (norm <= most) return ValueTask.FromResult(data);
            var shorter = (data.Tensors * (most / norm)).HandOver();                // new tensors: those of a message may be frozen
            return ValueTask.FromResult(new Dxo(data.Kind, shorter, data.Values, data.Meta));           // the meta values hold the steps
        }
    }

    [Test]
    public async Task A_filter_shortens_what_sites_send()
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(2, site => Trainer(site))
            .ConfigureSites((site, info) => site.AddFilter(FilterPlace.SiteOut, new ClipNorm(0.25), TaskNames.Train))
            .UseController(new FedAvg { Rounds = 1, MinSites = 2 }));
        var round = (await federation.RunToEndAsync(Initial)).Single();
        Assert.That(federation.Model.L2Norm(), Is.InRange(0.1, 0.2501), "unclipped it is near 0.8");
        Assert.That(round.Sites.Select(s => (s.Status, s.NumSteps)), Is.EqualTo(new[] { (SiteStatus.Accepted, 3L), (SiteStatus.Accepted, 2L), (SiteStatus.Accepted, 3L), (SiteStatus.Accepted, 2L) }));
    }

    [Test]
    public async Task A_filter_without_task_names_sees_metrics_too_and_keeps_headers()
    {
        static Scripted site() => new((task, input, _, _) =>
        {
            var answer = task == TaskNames.Train ? Sites.Diff(Dxo.From(input).Tensors, 10, steps: 7) : Dxo.Metrics(("accuracy", 1)).ToShareable();
            answer.Headers["note"] = "kept";
            return ValueTask.FromResult(answer);
        });
        var notes = new List<(string?, string)>();
        var reading = new LambdaFilter((message, context) =>
        {
            notes.Add((context.TaskName, message.Headers["note"].AsText()));
            return message;
        });
        var federation = await Sites.RunAsync(new FedAvg { Rounds = 1, MinSites = 1 }, Sites.Model(1), f => f
            .ConfigureSites((site, _) => site.AddFilter(FilterPlace.SiteOut, new ClipNorm(2))).AddServerFilter(FilterPlace.ServerIn, reading), site());
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 3f }));
        Assert.That(federation.Rounds[0].Sites[0].NumSteps, Is.EqualTo(7));
        Assert.That(notes, Is.EqualTo(new[] { (TaskNames.Train, "kept"), (TaskNames.Validate, "kept") }));
    }

    [Test]
    public async Task A_second_start_repeats_the_rounds_and_goes_on()
    {
        var (folder, loggers) = (Path.Combine(_directory, "job"), new LogRecorder());
        Federation Build() => Federation.InProcess(f => f
            .AddSites(2, site => Trainer(site))
            .UseController(new FedAvg { Rounds = 4, MinSites = 2 })
            .UseSeed(42)
            .UseLogging(loggers)
            .UseJournal(folder));

        string sha;
        await using (var first = Build())
        {
            await foreach (var round in first.RunAsync(Initial))
                if (round.Number == 2) break;
        }
        await using (var second = Build())
        {
            Assert.That((await second.RunToEndAsync(StateDict.Create(("line", [7, 7])))).Select(r => r.Number), Is.EqualTo(new[] { 1, 2, 3, 4 }), "the values of the initial model no longer matter");
            sha = second.Model.Sha256();
        }
        Assert.That(loggers.Entries.Select(e => e.Message), Has.Some.Contains("resumes after round"));
        folder = Path.Combine(_directory, "undisturbed");
        await using var whole = Build();
        await whole.RunToEndAsync(Initial);
        Assert.That(sha, Is.EqualTo(whole.Model.Sha256()));
    }

    [Test]
    public async Task A_token_ends_the_run_and_the_last_rounds_model_stays()
    {
        await using var federation = Federation.InProcess(f => f.AddSites(2, site => Trainer(site)).UseController(new FedAvg { Rounds = 1_000_000, MinSites = 2 }));
        var initial = Initial;
        using var stop = new CancellationTokenSource();                     // yours to cancel: a button, Ctrl+C, the host's end
        try
        {
            await foreach (var round in federation.RunAsync(initial, stop.Token))
            {
                Console.WriteLine(round);                                   // round 3: 2 of 2 sites, 0.48 s, loss 0.21 (best so far)
                if (round.Number == 3) stop.Cancel();
            }
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine($"Stopped; the model is that of the last committed round: {federation.Model}");
        }
        Assert.That(federation.Rounds, Has.Count.InRange(3, 999_999));
        Assert.That(Line(federation.Model), Is.Not.EqualTo(Line(Initial)));
    }

    [Test]
    public async Task Models_and_reports_are_kept_in_files()
    {
        var (path, report) = (Path.Combine(_directory, "line.safetensors"), Path.Combine(_directory, "report.html"));
        for (var run = 1; run <= 2; run++)
        {
            await using var federation = Federation.InProcess(f => f.AddSites(2, site => Trainer(site)).UseController(new FedAvg { Rounds = 100, MinSites = 2 }));
            var initial = File.Exists(path) ? await StateDict.LoadAsync(path) : StateDict.Create(("line", [0, 0]));
            await federation.RunToEndAsync(initial);
            await federation.Model.SaveAsync(path);
            await new HtmlReport("A line", federation.Rounds).AddFact("seed", "42").SaveAsync(report);
            Assert.That((await StateDict.LoadAsync(path)).Sha256(), Is.EqualTo(federation.Model.Sha256()));
            Assert.That(await File.ReadAllTextAsync(report), Does.Contain("loss by round"));
            if (run == 2) Assert.That(Line(federation.Model), Is.EqualTo(new[] { 2f, 1f }).Within(0.01));
        }
    }

    [Test]
    public async Task An_extension_is_found_again_as_a_feature()
    {
        var initial = Initial;
        await using var federation = Federation.InProcess(f => f
            .AddSites(2, site => Trainer(site))
            .UseController(new FedAvg { Rounds = 200, MinSites = 2 })
            .UseHomomorphicEncryption());
        await federation.RunToEndAsync(initial);
        var model = federation.Feature<HomomorphicEncryption>().Decrypt(federation.Model);
        Assert.That(Line(model), Is.EqualTo(new[] { 2f, 1f }).Within(0.01));
    }
}

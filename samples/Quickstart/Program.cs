// Eight sites train one model on handwritten digits that none of them shows to the others.
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Flare;
using Flare.Learning;
using Flare.Reporting;
using Flare.Workflows;

if (Options.Read(args, out var exitCode) is not { } options) return exitCode;
var clock = Stopwatch.StartNew();
var digits = Datasets.Digits();
var shards = digits.Train.SplitDirichlet(options.Sites, options.Alpha, options.Seed);
var central = new CentralBaseline(digits, options.Seed);
Console.WriteLine(
    $"{options.Sites} sites, digits split by Dirichlet α = {options.Alpha}: "
        + $"{string.Join(", ", shards.Select(s => s.Count))} samples");
Console.WriteLine("central: the same model trained in one place, on all samples at once; *: the best model so far\n");
var table = new RoundTable()
    .AddColumn("accuracy", round => Percent(round.Metrics["accuracy"]))
    .AddColumn("central", _ => Percent(central.Advance()))
    .AddMetric("loss", "F3");

await using var federation = Federation.InProcess(f =>
{
    f.AddSites(
        options.Sites, site =>
        new ClassifierTrainer(
            Models.DigitsCnn, shards[site.Index]) { LocalEpochs = CentralBaseline.EpochsPerRound,
            Validation = digits.Test })
        .UseController(new FedAvg { Rounds = options.Rounds, MinSites = options.Sites })
        .UseParallelism(options.Parallelism)
        .UseSeed((ulong)options.Seed)
        .AddServerComponent(table.Progress);
    if (options.Journal is { } journal) f.UseJournal(journal);
});

try
{
    await foreach (var round in federation.RunAsync(Models.DigitsCnn(options.Seed).StateDict())) table.Add(round);
}
catch (FlareException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

if (table.Progress.RoundsStarted == 0)
    Console.WriteLine(
        $"\nNothing was trained: the job in '{options.Journal}' was complete after "
            + $"round {federation.Rounds.Count}, as shown above. To train again, name a "
            + "folder that does not exist yet: --journal DIR, without --resume.");
var centralAccuracy = central.Accuracies[^1];
var accuracy = CentralBaseline.Evaluate(federation.Model, digits.Test);
await federation.Model.SaveAsync("digits.safetensors");
await new HtmlReport("Digits, trained by a federation", federation.Rounds)
    .AddFact("sites", $"{options.Sites}, Dirichlet α = {options.Alpha}")
    .AddFact("accuracy on held-out digits", $"{Percent(accuracy)} (trained centrally: {Percent(centralAccuracy)})")
    .AddFact("seed", $"{options.Seed}")
    .AddFact("model", federation.Model.Sha256())
    .AddReference("accuracy", "trained centrally", central.Accuracies)
    .SaveAsync("report.html");
var seconds = clock.Elapsed.TotalSeconds;
Console.WriteLine(
    $"\nfederation {Percent(accuracy)}, trained centrally {Percent(centralAccuracy)}, {seconds:F1} s. Written: "
        + "digits.safetensors, report.html");
if (options.Json)
{
    var result = new Result(
        federation.Rounds.Count, options.Sites, accuracy, centralAccuracy, seconds, federation.Model.Sha256());
    Console.WriteLine(JsonSerializer.Serialize(result, ResultJson.Default.Result));
}
return 0;

static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{share * 100:F1}%");

// Sites in .NET whose trainers are processes in Python: they learn handwritten digits together.
using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using Flare;
using Flare.Learning;
using Flare.Transport;
using Flare.Workflows;

if (Options.Read(args, out var exitCode) is not { } options) return exitCode;
var clock = Stopwatch.StartNew();
var digits = Datasets.Digits();
var shards = digits.Train.SplitDirichlet(options.Sites, alpha: 0.5, options.Seed);
try
{
    using var trainers = new Trainers(options.Python, [.. shards]);
    StateDict model;
    await using (var federation = Federation.InProcess(f => f
        .AddSites(options.Sites, site => options.Managed
            ? new ClassifierTrainer(Network, shards[site.Index]) { LocalEpochs = 2, Optimizer = () => new Sgd(0.5) }
            : ExternalExecutor.Listen(trainers.Socket(site.Index)))
        .UseController(new FedAvg { Rounds = options.Rounds, MinSites = options.Sites })
        .UseSeed((ulong)options.Seed)))
    {
        if (!options.Managed) for (var site = 0; site < options.Sites; site++) trainers.Start(site);
        await foreach (var round in federation.RunAsync(Network(options.Seed).StateDict()))
        {
            Console.WriteLine(round);
            if (!options.Kill || options.Managed || round.Number != 2) continue;
            await trainers.RestartAsync(0); // whatever it was at: it is given that again
            Console.WriteLine("killed: the trainer of site-1; started again");
        }
        model = federation.Model;
    }
    if (!options.Managed && !await trainers.HaveEndedWellAsync())
    {
        Console.Error.WriteLine("A trainer has not ended well; what it printed says why.");
        return 1;
    }
    var result = new Result(Accuracy(model), clock.Elapsed.TotalSeconds, model.Sha256());
    Console.WriteLine(options.Json
        ? JsonSerializer.Serialize(result, ResultJson.Default.Result)
        : Invariant($"\naccuracy on held-out digits {result.Accuracy:P1}, model {result.ModelSha256}"));
    return 0;
}
catch (Exception e) when (e is FlareException or Win32Exception)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

static Sequential Network(long seed) => Models.LogisticRegression(features: 64, classes: 10, seed);

double Accuracy(StateDict model)
{
    var network = Network(0);
    network.Load(model);
    return LocalTrainer.Evaluate(network, digits.Test).Accuracy;
}

/// <summary>What a run came to.</summary>
internal sealed record Result(double Accuracy, double Seconds, string ModelSha256);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Result))]
internal sealed partial class ResultJson : JsonSerializerContext;

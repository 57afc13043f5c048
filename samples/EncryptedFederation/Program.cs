// The Quickstart's federation twice: once in the clear, once with a server that adds what it cannot read.
using System.Diagnostics;
using System.Text.Json;
using Flare;
using Flare.Crypto;
using Flare.Learning;
using Flare.Workflows;

if (args.Any(a => a is "--help" or "-h"))
{
    Console.WriteLine(Options.Usage);
    return 0;
}
if (Options.Parse(args, out var error) is not { } options)
{
    Console.Error.WriteLine($"{error}\n\n{Options.Usage}");
    return 2;
}
var digits = Datasets.Digits();
var shards = digits.Train.SplitDirichlet(options.Sites, alpha: 0.5, options.Seed);
using var encryption = new HomomorphicEncryption(new EncryptionPolicy { Scheme = options.Scheme, MaxSites = options.Sites });

Console.WriteLine("in the clear");
var plain = await RunAsync(encryption: null);
Console.WriteLine($"\nencrypted ({options.Scheme})");
var encrypted = await RunAsync(encryption);

Console.WriteLine($"""

                           in the clear      encrypted
    accuracy             {plain.Accuracy,14:P1} {encrypted.Accuracy,14:P1}
    bytes up, a round    {plain.BytesUp / options.Rounds,14:N0} {encrypted.BytesUp / options.Rounds,14:N0}
    seconds              {plain.Seconds,14:F2} {encrypted.Seconds,14:F2}
    """);
if (options.Json)
{
    Console.WriteLine(JsonSerializer.Serialize(new
    {
        accuracy = encrypted.Accuracy, plainAccuracy = plain.Accuracy, bytesUp = encrypted.BytesUp, plainBytesUp = plain.BytesUp,
        seconds = encrypted.Seconds, plainSeconds = plain.Seconds, modelSha256 = encrypted.Sha256, plainModelSha256 = plain.Sha256,
    }));
}
return 0;

async Task<(double Accuracy, long BytesUp, double Seconds, string Sha256)> RunAsync(HomomorphicEncryption? encryption)
{
    var clock = Stopwatch.StartNew();
    await using var federation = Federation.InProcess(f =>
    {
        f.AddSites(options.Sites, site => new ClassifierTrainer(Models.DigitsCnn, shards[site.Index]) { LocalEpochs = 2, Validation = digits.Test })
            .UseController(new FedAvg { Rounds = options.Rounds, MinSites = options.Sites })
            .UseParallelism(options.Parallelism)
            .UseSeed((ulong)options.Seed);
        if (encryption is not null) f.UseHomomorphicEncryption(encryption);
    });
    await foreach (var round in federation.RunAsync(Models.DigitsCnn(options.Seed).StateDict()))
    {
        var cost = encryption is null ? "" : $", {round.Metrics["encryption.seconds"] * 1000:F0} ms of encryption at all sites, in steps of {round.Metrics["encryption.quantum"]:E0}";
        Console.WriteLine($"round {round.Number,2}: {round.Accepted}/{round.Targets} sites, accuracy {round.Metrics["accuracy"]:P1}{cost}");
    }
    // The server has nothing but ciphertext; whoever holds the key opens it.
    var model = encryption is null ? federation.Model : encryption.Decrypt(federation.Model);
    var seconds = clock.Elapsed.TotalSeconds;
    var network = Models.DigitsCnn();
    network.Load(model);
    var bytesUp = federation.Rounds.Sum(r => r.Sites.Where(s => s.Task == TaskNames.Train).Sum(s => s.Bytes));
    return (LocalTrainer.Evaluate(network, digits.Test).Accuracy, bytesUp, seconds, model.Sha256());
}

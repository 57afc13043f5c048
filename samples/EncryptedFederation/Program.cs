// The Quickstart's federation twice: once in the clear, once with a server that adds what it cannot read.
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Flare;
using Flare.Crypto;
using Flare.Learning;
using Flare.Reporting;
using Flare.Workflows;

if (Options.Read(args, out var exitCode) is not { } options) return exitCode;
var digits = Datasets.Digits();
var shards = digits.Train.SplitDirichlet(options.Sites, alpha: 0.5, options.Seed);
using var encryption = NewEncryption();

// The first round of a process waits for the compiler: one of each kind goes before what is timed.
using (var throwaway = NewEncryption())
{
    await RunAsync(rounds: 1, encryption: null, show: false);
    await RunAsync(rounds: 1, throwaway, show: false);
}
Console.WriteLine(
    $"{options.Sites} sites, digits split by Dirichlet α = 0.5: "
        + $"{string.Join(", ", shards.Select(s => s.Count))} samples\n\nin the clear");
var plain = await RunAsync(options.Rounds, encryption: null, show: true);
Console.WriteLine(
    $"\nencrypted ({options.Scheme}); ms: encrypting and decrypting at "
        + "all sites together; quantum: what values are rounded to");
var encrypted = await RunAsync(options.Rounds, encryption, show: true);

Console.WriteLine($"""

                           in the clear      encrypted
    accuracy             {Percent(plain.Accuracy),14} {Percent(encrypted.Accuracy),14}
    bytes up, a round    {plain.BytesUp / options.Rounds,14:N0} {encrypted.BytesUp / options.Rounds,14:N0}
    seconds              {plain.Seconds,14:F2} {encrypted.Seconds,14:F2}
    """);
if (options.Json)
{
    var result = new Result(
        Math.Round(encrypted.Accuracy, 4), Math.Round(plain.Accuracy, 4), encrypted.BytesUp, plain.BytesUp,
        Math.Round(encrypted.Seconds, 3), Math.Round(plain.Seconds, 3), encrypted.Sha256, plain.Sha256);
    Console.WriteLine(JsonSerializer.Serialize(result, ResultJson.Default.Result));
}
return 0;

HomomorphicEncryption NewEncryption() =>
    new(new EncryptionPolicy { Scheme = options.Scheme, MaxSites = options.Sites });

static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{share * 100:F1}%");

async Task<(double Accuracy, long BytesUp, double Seconds, string Sha256)> RunAsync(
    int rounds, HomomorphicEncryption? encryption, bool show)
{
    var clock = Stopwatch.StartNew();
    await using var federation = Federation.InProcess(f =>
    {
        f.AddSites(
            options.Sites, site => new ClassifierTrainer(
                Models.DigitsCnn, shards[site.Index]) { LocalEpochs = 2, Validation = digits.Test })
            .UseController(new FedAvg { Rounds = rounds, MinSites = options.Sites })
            .UseParallelism(options.Parallelism)
            .UseSeed((ulong)options.Seed);
        if (encryption is not null) f.UseHomomorphicEncryption(encryption);
    });
    var table = new RoundTable()
        .AddColumn("accuracy", round => Percent(round.Metrics["accuracy"]))
        .AddMetric("loss", "F3");
    if (encryption is not null)
    {
        table.AddColumn(
            "ms", round => (round.Metrics["encryption.seconds"] * 1000).ToString("F0", CultureInfo.InvariantCulture))
            .AddColumn(
                "quantum", round =>
                round.Metrics["encryption.quantum"].ToString("0.#E+0", CultureInfo.InvariantCulture));
    }
    await foreach (var round in federation.RunAsync(Models.DigitsCnn(options.Seed).StateDict()))
        if (show) table.Add(round);
    // The server has nothing but ciphertext; whoever holds the key opens it.
    var model = encryption is null ? federation.Model : encryption.Decrypt(federation.Model);
    var seconds = clock.Elapsed.TotalSeconds;
    var network = Models.DigitsCnn();
    network.Load(model);
    var bytesUp = federation.Rounds.Sum(r => r.Sites.Where(s => s.Task == TaskNames.Train).Sum(s => s.Bytes));
    return (LocalTrainer.Evaluate(network, digits.Test).Accuracy, bytesUp, seconds, model.Sha256());
}

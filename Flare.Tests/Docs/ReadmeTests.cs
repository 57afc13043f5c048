using Flare.Learning;
using Flare.Workflows;

namespace Flare.Tests.Docs;

/// <summary>The README's program, compiled and, cut short after its second round, run.</summary>
public class ReadmeTests
{
    [Test]
    public async Task The_program_learns()
    {
        var digits = Datasets.Digits();
        var shards = digits.Train.SplitDirichlet(sites: 8, alpha: 0.5, seed: 7); // a shard of its own for each site, unlike the others'

        await using var federation = Federation.InProcess(f => f
            .AddSites(8, site => new ClassifierTrainer(Models.DigitsCnn, shards[site.Index])
            {
                LocalEpochs = 2, Validation = digits.Test,              // measured on digits that nobody trains on
            })
            .UseController(new FedAvg { Rounds = 20, MinSites = 8 })    // federated averaging; each round waits for all eight
            .UseSeed(42));                                              // same seed, same bits

        await foreach (var round in federation.RunAsync(Models.DigitsCnn(seed: 42).StateDict()))
        {
            Console.WriteLine($"round {round.Number,2}: {round.Accepted}/{round.Targets} sites, accuracy {round.Metrics["accuracy"]:P1}");
            foreach (var site in round.Sites.Where(s => s.Status != SiteStatus.Accepted)) Console.WriteLine($"  {site}");
            if (round.Number == 2) break;
        }

        Assert.That(federation.Rounds.Select(r => r.Accepted), Is.EqualTo(new[] { 8, 8 }));
        Assert.That(federation.Rounds[1].Metrics["accuracy"], Is.GreaterThan(0.5));
        var path = Path.Combine(Path.GetTempPath(), $"flare-{Guid.NewGuid()}.safetensors");
        await federation.Model.SaveAsync(path);
        File.Delete(path);
    }
}

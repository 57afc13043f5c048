using Flare.Learning;
using Flare.Workflows;

namespace Flare.Tests.Learning;

public class ClassifierTrainerTests
{
    private static readonly TrainTest Digits = Datasets.Digits();

    [Test]
    public async Task Eight_unlike_sites_learn_digits_together()
    {
        var (reports, model) = await Run(rounds: 10, alpha: 0.5, seed: 42);
        Assert.That(reports.Select(r => r.Accepted), Has.All.EqualTo(8));
        // The first round measures untrained weights; the last one those that nine rounds trained.
        Assert.That(reports[0].Metrics["accuracy"], Is.LessThan(0.3));
        Assert.That(reports[^1].Metrics["accuracy"], Is.GreaterThan(0.93));
        Assert.That(reports[^1].Metrics["loss"], Is.LessThan(0.25));
        var network = Models.DigitsCnn();
        network.Load(model);
        Assert.That(LocalTrainer.Evaluate(network, Digits.Test).Accuracy, Is.GreaterThan(0.93));
    }

    [Test]
    public async Task The_same_seed_gives_the_same_bits_whatever_the_parallelism()
    {
        var (_, one) = await Run(rounds: 2, alpha: 0.5, seed: 5, parallelism: 1);
        var (_, four) = await Run(rounds: 2, alpha: 0.5, seed: 5, parallelism: 4);
        var (_, other) = await Run(rounds: 2, alpha: 0.5, seed: 6, parallelism: 4);
        Assert.That(four.ContentEquals(one));
        Assert.That(other.ContentEquals(one), Is.False);
    }

    [Test]
    public async Task The_proximal_term_keeps_sites_near_the_global_model()
    {
        var start = Models.DigitsCnn(42).StateDict();
        var (_, free) = await Run(rounds: 1, alpha: 0.1, seed: 5);
        var (_, held) = await Run(rounds: 1, alpha: 0.1, seed: 5, proximal: 1);
        Assert.That((held - start).L2Norm(), Is.LessThan(0.8 * (free - start).L2Norm()));
    }

    private static async Task<(IReadOnlyList<RoundReport> Reports, StateDict Model)> Run(
        int rounds, double alpha, ulong seed, int parallelism = 2, double proximal = 0)
    {
        var shards = Digits.Train.SplitDirichlet(sites: 8, alpha, seed: 7);
        await using var federation = Federation.InProcess(f => f
            .AddSites(
                8, site => new ClassifierTrainer(Models.DigitsCnn, shards[site.Index]) { ProximalTerm = proximal })
            .UseController(new FedAvg { Rounds = rounds, MinSites = 8 })
            .UseParallelism(parallelism)
            .UseSeed(seed));
        var reports = await federation.RunToEndAsync(Models.DigitsCnn(seed: 42).StateDict());
        return (reports, federation.Model.Clone());
    }
}

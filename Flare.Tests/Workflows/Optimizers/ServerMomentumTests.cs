using Flare.Learning;
using Flare.Runtime;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>Momentum at the server of a network with batch normalisation: buffers are averaged, never
/// optimised.</summary>
public class ServerMomentumTests
{
    private const int Rounds = 15;

    private static Sequential Net(long seed) => new(
        [30], seed, ("bn0", new BatchNorm1d(30)), ("fc1", new Linear(30, 16)), ("bn1", new BatchNorm1d(16)),
        ("relu", new ReLU()), ("fc2", new Linear(16, 2)));

    private static async Task<(IReadOnlyList<RoundReport> Reports, StateDict Model)> RunAsync(ServerOptimizer? server)
    {
        var data = Datasets.BreastCancer();
        var shards = data.Train.SplitIid(4, seed: 1);
        await using var federation = Federation.InProcess(f => f
            .AddSites(4, site => new ClassifierTrainer(Net, shards[site.Index])
            {
                LocalEpochs = 2, Validation = data.Test,
            })
            .UseController(new FedAvg { Rounds = Rounds, Optimizer = server })
            .UseSeed(1));
        var reports = await federation.RunToEndAsync(Net(1).StateDict());
        return (reports, federation.Model.Clone());
    }

    private static double Best(IReadOnlyList<RoundReport> reports) => reports.Max(r => r.Metrics["accuracy"]);

    /// <summary>
    /// The report of the case expected 0.98 at the end. That is beyond this network and its 113 examples of validation,
    /// with or without momentum: over five seeds of shards and training, plain FedAvg ended at 0.89 to 0.96 and had
    /// 0.956 to 0.973 in its best round, momentum of 0.9 ended at 0.93 to 0.97 with the same best (slower sites, from
    /// 0.005 to 0.05 without momentum of their own, ended at 0.85 to 0.97, and had 0.982 in one round of them all). The
    /// commit that the case was found on has the same rounds once its example takes the aggregate's buffers: 0.920,
    /// 0.956, 0.947, 0.965, … 0.929. An example is 0.009, and the last round of a run is no better than chance among
    /// its last ten. So what is held is that no round loses the network, and that the best is plain FedAvg's.
    /// </summary>
    [Test]
    public async Task Learns_as_well_as_plain_averaging_and_never_loses_the_network()
    {
        var (plain, _) = await RunAsync(null);
        var (momentum, _) = await RunAsync(new ServerMomentum { Beta = 0.9 });
        Assert.That(momentum, Has.Count.EqualTo(Rounds));
        foreach (var report in momentum)
        {
            Assert.That(report.Metrics["loss"], Is.InRange(0, 10), $"round {report.Number}");
            // The share of one class, which is all that a network of NaN has, is 0.37; that of the other 0.63.
            Assert.That(report.Metrics["accuracy"], Is.GreaterThan(0.7), $"round {report.Number}");
        }
        Assert.That(Best(momentum), Is.GreaterThan(0.95).And.GreaterThanOrEqualTo(Best(plain) - 0.01));
    }

    [Test]
    public async Task Buffers_are_the_mean_of_the_sites()
    {
        var (_, plain) = await RunAsync(null);
        var (_, momentum) = await RunAsync(new ServerMomentum { Beta = 0.9 });
        foreach (var layer in new[] { "bn0", "bn1" })
        {
            Assert.That(
                momentum[layer + ".running_var"].AsReadOnlySpan<float>().ToArray(), Is.All.GreaterThan(0), layer);
            // Every site counts its own steps on from the mean: as many with momentum as without.
            Assert.That(
                momentum[layer + ".num_batches_tracked"].AsReadOnlySpan<long>()[0],
                Is.EqualTo(plain[layer + ".num_batches_tracked"].AsReadOnlySpan<long>()[0]).And.GreaterThan(Rounds));
        }
    }
}

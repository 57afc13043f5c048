using Flare.Learning;
using Flare.Workflows;

namespace Flare.Outside.Tests;

/// <summary>FedAdam (Reddi et al. 2021, algorithm 2) as a user writes it.</summary>
internal sealed class FedAdam(double rate, double beta1 = 0.9, double beta2 = 0.99, double tau = 1e-3) : ServerOptimizer
{
    protected override void TakeStep(StateDict parameters, StateDict delta, OptimizerState state)
    {
        var (first, second) = (state.Take("m", parameters.Layout), state.Take("v", parameters.Layout));
        for (var t = 0; t < parameters.Count; t++)
        {
            var w = parameters[t].AsSpan<float>();
            var d = delta[t].AsReadOnlySpan<float>();
            var m = first[t].AsSpan<float>();
            var v = second[t].AsSpan<float>();
            for (var i = 0; i < w.Length; i++)
            {
                m[i] = (float)(beta1 * m[i] + (1 - beta1) * d[i]);
                v[i] = (float)(beta2 * v[i] + (1 - beta2) * d[i] * d[i]);
                w[i] += (float)(rate * m[i] / (Math.Sqrt(v[i]) + tau));
            }
        }
        state.Keep("m", first);
        state.Keep("v", second);
    }
}

public class FedAdamTests
{
    private static StateDict Model(float w, float statistic) => new StateDictBuilder()
        .Add<float>("w", [w]).AddBuffer<float>("running", [statistic]).Build();

    [Test]
    public void A_step_is_the_papers_and_leaves_buffers_to_the_mean()
    {
        var (optimizer, state) = (new FedAdam(rate: 0.1), new OptimizerState());
        using var model = Model(1, 5);
        using var next = optimizer.Apply(model, Model(3, 7), state);
        // m = 0.1 × 2, v = 0.01 × 4, w + 0.1 × 0.2 / (0.2 + 0.001)
        Assert.That(next["w"].AsReadOnlySpan<float>()[0], Is.EqualTo(1 + 0.1 * 0.2 / 0.201).Within(1e-6));
        Assert.That(next["running"].AsReadOnlySpan<float>()[0], Is.EqualTo(7), "a buffer is the aggregate's");
        Assert.That(model["w"].AsReadOnlySpan<float>()[0], Is.EqualTo(1), "the round's own model is left alone");
        using var third = optimizer.Apply(next, Model(3, 9), state);
        Assert.That(
            state.Take("m", model.Select(t => t.Name == "w").Layout)["w"].AsReadOnlySpan<float>()[0],
            Is.GreaterThan(0.3f), "the momentum is kept");
    }

    [Test]
    public async Task It_is_a_part_of_FedAvg_and_its_state_survives_a_resume()
    {
        var folder = Directory.CreateTempSubdirectory("flare-fedadam-").FullName;
        try
        {
            async Task<string> RunAsync(int stopAfter, string? journal)
            {
                await using var federation = Federation.InProcess(f =>
                {
                    f.AddSites(2, site => new Adding(site.Index + 1)).UseController(new FedAvg
                    {
                        Rounds = 4,
                        Optimizer = new FedAdam(0.1),
                        Selection = new("loss"),
                    });
                    if (journal is not null) f.UseJournal(journal);
                });
                var rounds = 0;
                await foreach (var round in federation.RunAsync(StateDict.Create(("w", [0f]))))
                    if (++rounds == stopAfter) break;
                return federation.Model.Sha256();
            }

            var whole = await RunAsync(int.MaxValue, null);
            await RunAsync(2, folder);
            Assert.That(await RunAsync(int.MaxValue, folder), Is.EqualTo(whole));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public async Task Momentum_at_the_server_does_not_ruin_a_network_with_batch_normalisation()
    {
        static Sequential Network(long seed) => new([30], seed,
            ("bn0", new BatchNorm1d(30)), ("fc1", new Linear(30, 16)), ("bn1", new BatchNorm1d(16)),
            ("relu", new ReLU()), ("fc2", new Linear(16, 2)));

        var data = Datasets.BreastCancer();
        var shards = data.Train.SplitIid(4, seed: 1);
        await using var federation = Federation.InProcess(f => f
            .AddSites(
                4, site => new ClassifierTrainer(
                    Network, shards[site.Index]) { LocalEpochs = 2, Validation = data.Test })
            .UseController(new FedAvg { Rounds = 15, Optimizer = new ServerMomentum { Beta = 0.9 } })
            .UseSeed(1));
        var rounds = await federation.RunToEndAsync(Network(1).StateDict());
        Assert.That(rounds.SelectMany(r => r.Warnings), Is.Empty);
        Assert.That(
            rounds.Select(r => r.Metrics["accuracy"]), Is.All.GreaterThan(0.85), "no round names one class alone");
        Assert.That(federation.Model["bn0.running_var"].AsReadOnlySpan<float>().ToArray(), Is.All.GreaterThan(0));
    }
}

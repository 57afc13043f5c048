using Flare.Testing;
using Flare.Workflows;

namespace Flare.Outside.Tests;

/// <summary>
/// The site's half of SCAFFOLD (Karimireddy et al. 2020) on one number, as a user writes it: the site's control variate
/// c_i stays at the site, and its change goes to the server.
/// </summary>
internal sealed class ScaffoldSite(float target, int steps, float rate) : Learner
{
    protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
    {
        var weights = model.TryGetSet(Dxo.ModelSet, out var set) ? set.Tensors : model.Tensors;
        var server = model.TryGetSet("control", out var control) ? control.Tensors["w"].AsReadOnlySpan<float>()[0] : 0;
        var own = context.SiteState.Tensors.TryGetValue("control", out var kept)
            ? kept["w"].AsReadOnlySpan<float>()[0] : 0;
        var start = weights["w"].AsReadOnlySpan<float>()[0];
        var w = start;
        for (var i = 0; i < steps; i++) w -= rate * (w - target - own + server);
        var next = own - server + (start - w) / (steps * rate);
        context.SiteState.Tensors["control"] = StateDict.Create(("w", [next]));
        return ValueTask.FromResult(Dxo.WeightDiff(StateDict.Create(("w", [w - start])), steps: steps)
            .WithSet("control", Dxo.WeightDiff(StateDict.Create(("w", [next - own])))));
    }
}

public class SiteStateTests
{
    private static Dxo Model(float w) => Dxo.Weights(StateDict.Create(("w", [w])));

    private static async Task<float> TrainAsync(SiteState state, int round)
    {
        var answer = await new ScaffoldSite(target: 4, steps: 2, rate: 0.5f).ExecuteAsync(
            TaskNames.Train, Model(0).ToShareable().Freeze(),
            TestContexts.ForSite("site-1", round: round, state: state), CancellationToken.None);
        return Dxo.From(answer).Set("control").Tensors["w"].AsReadOnlySpan<float>()[0];
    }

    [Test]
    public async Task A_unit_test_fills_the_state_and_looks_at_it_afterwards()
    {
        var state = new SiteState();
        Assert.That(await TrainAsync(state, round: 1), Is.EqualTo(-3), "from 0 to 3 in two steps of a half");
        Assert.That(state.Tensors["control"]["w"].AsReadOnlySpan<float>()[0], Is.EqualTo(-3));

        state.Tensors["control"] = StateDict.Create(("w", [1f]));
        Assert.That(await TrainAsync(state, round: 2), Is.EqualTo(-3.75f));
        Assert.That(() => TestContexts.ForServer("site-1").SiteState, Throws.InvalidOperationException);
    }

    [Test]
    public async Task Control_variates_stay_at_their_sites_and_pull_unlike_sites_together()
    {
        float[] targets = [-1, 5];
        await using var federation = Federation.InProcess(f => f
            .AddSites(2, site => new ScaffoldSite(targets[site.Index], steps: 1 + 4 * site.Index, rate: 0.1f))
            .UseController(new FedAvg
            {
                Rounds = 200,
                Validation = ValidationMode.None,
                Aggregator = new ExactAggregator { Weighting = Weighting.Uniform },
                Sets = [new TensorSet("control") { Aggregator = new ControlSum(2) }],
            }));
        await federation.RunToEndAsync(StateDict.Create(("w", [0f])));
        // Without control variates, the site of more steps pulls the model towards its own 5.
        Assert.That(federation.Model["w"].AsReadOnlySpan<float>()[0], Is.EqualTo(2).Within(0.01));
    }
}

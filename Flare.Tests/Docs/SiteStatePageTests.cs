using Flare.Tests.Federations;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/site-state.md.</summary>
public class SiteStatePageTests
{
    private sealed class Personal : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var state = context.SiteState;
            var own = state.Tensors.TryGetValue("own", out var kept) ? kept.Clone() : model.Tensors.Clone();
            foreach (ref var w in own["w"].AsSpan<float>()) w += 1;         // trains its own model
            state.Tensors["own"] = own;                                     // frozen once the task has ended
            state.Values["rounds"] = state.Values.TryGet("rounds", out var n) ? n.AsInteger() + 1 : 1;
            return ValueTask.FromResult(Dxo.WeightDiff(own - model.Tensors, steps: 1));
        }
    }

    [Test]
    public async Task A_site_keeps_a_model_of_its_own()
    {
        var folder = Directory.CreateTempSubdirectory("flare-page-").FullName;
        try
        {
            await using var server = new ServerBuilder().AddSites("hospital-1").UseController(Sites.Training(rounds: 3))
                .UseInitialModel(Sites.Model(0)).Build();
            await using var plan = new SiteBuilder("hospital-1").UseExecutor(() => new Personal()).UseSiteState(folder).Build();
            var reports = await Hosts.RunAsync(server, plan);
            Assert.That(reports[^1].Model.Values(), Is.EqualTo(new[] { 3f }));
            Assert.That(Directory.EnumerateFiles(folder, "*.flare", SearchOption.AllDirectories), Is.Not.Empty);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}

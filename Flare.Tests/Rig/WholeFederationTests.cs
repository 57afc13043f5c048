using Flare.Testing;
using Flare.Tests.Rig.Workloads;
using Flare.Workflows;

namespace Flare.Tests.Rig;

/// <summary>Whole federations on a simulation, as whoever tests a program of theirs runs them.</summary>
public class WholeFederationTests
{
    [Test]
    public void A_federation_on_a_simulation_replays_and_makes_the_same_model_as_in_one_process()
    {
        var (first, firstHash) = RunInProcess(seed: 5, overFrames: false);
        var (again, againHash) = RunInProcess(seed: 5, overFrames: false);
        var (framed, _) = RunInProcess(seed: 5, overFrames: true);
        Assert.That((again, againHash), Is.EqualTo((first, firstHash)));
        Assert.That(framed, Is.EqualTo(first));
    }

    [Test]
    public void A_server_and_its_sites_run_on_a_simulation()
    {
        var loop = new SimulationLoop(3);
        var transport = new SimulatedTransport(loop);
        string? model = null;
        var end = loop.Run(async () =>
        {
            await using var server = transport.StartServer();
            await using var plan = new ServerBuilder().RunOn(loop).AddSites("a", "b")
                .UseController(new FedAvg { Rounds = 2 }).UseInitialModel(Fold.InitialModel()).Build();
            await using var a = transport.ConnectSite("a");
            await using var b = transport.ConnectSite("b");
            await using var planA = new SiteBuilder("a").RunOn(loop).UseExecutor(() => new Adding()).Build();
            await using var planB = new SiteBuilder("b").RunOn(loop).UseExecutor(() => new Adding()).Build();
            var (joinedA, joinedB) = (a.Join(planA), b.Join(planB));
            await foreach (var round in server.Run(plan).ReadRoundsAsync()) model = round.ModelSha256;
            await joinedA.Ended;
            await joinedB.Ended;
        }, TimeSpan.FromHours(1));
        Assert.That((end, loop.Escapes), Is.EqualTo((SimulationEnd.Completed, 0)), loop.FirstEscape);
        Assert.That(loop.Unhandled, Is.Empty);
        Assert.That(model, Is.EqualTo(RunInProcess(seed: 1, overFrames: false).Model));
    }

    private static (string Model, ulong Hash) RunInProcess(ulong seed, bool overFrames)
    {
        var loop = new SimulationLoop(seed);
        var transport = new SimulatedTransport(loop);
        var model = "";
        var end = loop.Run(async () =>
        {
            await using var federation = Federation.InProcess(f =>
            {
                f.RunOn(loop).AddSite("a", _ => new Adding()).AddSite("b", _ => new Adding())
                    .UseController(new FedAvg { Rounds = 2 });
                if (overFrames) f.UseTransport(transport);
            });
            await foreach (var round in federation.RunAsync(Fold.InitialModel())) model = round.ModelSha256!;
        }, TimeSpan.FromHours(1));
        Assert.That((end, loop.Escapes), Is.EqualTo((SimulationEnd.Completed, 0)), loop.FirstEscape);
        Assert.That(loop.Unhandled, Is.Empty);
        Assert.That(transport.Connections, Is.EqualTo(overFrames ? 2 : 0));
        return (model, loop.TraceHash);
    }

    private sealed class Adding : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            await Task.Delay(TimeSpan.FromMinutes(1), context.Time, abort); // of virtual time
            var model = Dxo.From(input).Tensors;
            if (taskName != TaskNames.Train) return Dxo.Metrics(("accuracy", 0.5)).ToShareable();
            var diff = new StateDict(model.Layout);
            Fold.Diff(context.Identity, context.Round, model, diff);
            return Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable();
        }
    }
}

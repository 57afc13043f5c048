using Flare.Runtime;
using Flare.Workflows;

namespace Flare.Outside.Tests;

/// <summary>A transport of a user's own, by the public interfaces of links.</summary>
public class OwnTransportTests
{
    private const int Rounds = 3;
    private static readonly string[] Names = ["north", "south", "west"];

    /// <summary>A model that is fetched by its hash, and answers that need a permit; and a scalar.</summary>
    private static StateDict Initial() => StateDict.Create(("w", new float[20_011]), ("b", new float[1]));

    private static FedAvg Workflow() => new() { Rounds = Rounds };

    [TestCase(int.MaxValue)]
    [TestCase(1000)]
    public async Task Bytes_through_a_users_link_give_the_model_of_the_federation_in_process(int partBytes)
    {
        var serverLoop = Loop();
        var link = new ChannelLink(serverLoop, partBytes);
        await using var plan = new ServerBuilder().AddSites(Names).UseController(Workflow()).UseSeed(7)
            .UseInitialModel(Initial()).Build();
        var server = plan.CreateServer(serverLoop, link);
        var sites = new List<(SitePlan Plan, SiteRuntime Site)>();
        foreach (var name in Names)
        {
            var sitePlan = new SiteBuilder(name).UseExecutor(() => new Wandering()).UseSeed(7).Build();
            var siteLoop = Loop();
            var site = sitePlan.CreateSite(siteLoop, link.ConnectSite(name, siteLoop));
            sites.Add((sitePlan, site));
            siteLoop.Post(_ => site.Start(), null);
        }
        var running = OnLoop(serverLoop, () => server.RunAsync(CancellationToken.None));
        var last = "";
        await foreach (var round in server.Reports.ReadAllAsync())
        {
            Assert.That(round.Accepted, Is.EqualTo(Names.Length));
            last = round.Model.Sha256();
        }
        await running.WaitAsync(TimeSpan.FromSeconds(30));
        foreach (var (sitePlan, site) in sites)
        {
            await site.Ended.WaitAsync(TimeSpan.FromSeconds(30));
            await sitePlan.DisposeAsync();
        }

        await using var federation = Federation.InProcess(f =>
        {
            foreach (var name in Names) f.AddSite(name, _ => new Wandering());
            f.UseController(Workflow()).UseSeed(7);
        });
        await federation.RunToEndAsync(Initial());
        Assert.That(last, Is.EqualTo(federation.Model.Sha256()));
        Assert.That(federation.Model["w"].AsReadOnlySpan<float>()[0], Is.Not.Zero);
        // A model down and one up for each site and round, and the initial model: no link that cheats carries so much.
        Assert.That(link.Carried, Is.GreaterThan(Names.Length * 2L * Rounds * Initial().Layout.ByteLength));
    }

    private static JobLoop Loop() => new(e => TestContext.Error.WriteLine(e));

    private static Task OnLoop(SynchronizationContext loop, Func<Task> work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        loop.Post(_ => _ = RunAsync(), null);
        return done.Task;

        async Task RunAsync()
        {
            try
            {
                await work();
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        }
    }

    /// <summary>Goes a random way from the model, the same one in every run of a seed.</summary>
    private sealed class Wandering : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var random = context.Random();
            var difference = new StateDict(model.Tensors.Layout);
            foreach (var tensor in difference)
                foreach (ref var element in tensor.AsSpan<float>()) element = (float)random.NextNormal();
            return ValueTask.FromResult(Dxo.WeightDiff(difference, steps: 1 + random.Next(50)));
        }

        protected override ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.Metrics(("loss", model.Tensors["w"].AsReadOnlySpan<float>()[0])));
    }
}

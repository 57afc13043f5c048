using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>A server that stops lets rounds at hand end, within a bound, and says why.</summary>
public class ServerStopTests
{
    private static readonly LinkLimits Quick = LeavingTests.Quick;

    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("flare-stop").FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    private static SocketTransport To(FederationServer server) =>
        SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server));

    private static FederationServer Server(TimeProvider? time = null) =>
        FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0), time: time);

    /// <param name="rounds">Of training.</param>
    /// <param name="begun">Gets the rounds of the tasks that are made ready for a site.</param>
    private ServerPlan Plan(int rounds = 3, List<int>? begun = null) => new ServerBuilder().AddSites("a")
        .UseController(Sites.Training(rounds)).UseInitialModel(Sites.Model(0)).UseJournal(_folder)
        .AddServerComponent(new LambdaComponent((type, context) =>
        {
            if (type == EventTypes.BeforeTrainTask) begun?.Add(context.Round);
        })).Build();

    private static async Task<List<int>> RoundsAsync(ServedJob job)
    {
        var rounds = new List<int>();
        try
        {
            await foreach (var round in job.ReadRoundsAsync()) rounds.Add(round.Number);
        }
        catch (OperationCanceledException)
        {
            rounds.Add(-1); // aborted
        }
        return rounds;
    }

    /// <summary>Waits in a round until the gate opens.</summary>
    private static SitePlan Site(int round, Task gate, TaskCompletionSource reached) =>
        new SiteBuilder("a").UseExecutor(() => new Scripted(async (_, input, context, abort) =>
        {
            if (context.Round == round)
            {
                reached.SetResult();
                await gate.WaitAsync(abort);
            }
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        })).Build();

    [Test]
    public async Task The_round_at_hand_is_committed_and_the_job_goes_on_after_it_in_the_next_server()
    {
        var (gate, reached) = (new TaskCompletionSource(), new TaskCompletionSource());
        var begun = new List<int>();
        await using (var server = Server())
        {
            await using var plan = Plan(begun: begun);
            var job = server.Run(plan);
            var rounds = RoundsAsync(job);
            await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
            await using var sitePlan = Site(2, gate.Task, reached);
            var joined = site.Join(sitePlan);
            await reached.Task.WaitAsync(Patience.Long);
            var stopping = server.StopAsync(Patience.Long, "a new version");
            await using var other = new ServerBuilder().UseJobId("other").UseController(Sites.Training())
                .UseInitialModel(Sites.Model(0)).Build();
            Assert.Throws<ObjectDisposedException>(() => server.Run(other));
            await job.GetSitesAsync(); // the job's loop has heard of it
            gate.SetResult();
            await stopping.WaitAsync(Patience.Long);
            Assert.That(await rounds.WaitAsync(Patience.Long), Is.EqualTo(new[] { 1, 2, -1 }));
            Assert.CatchAsync<OperationCanceledException>(() => job.Ended);
            Assert.That(
                await joined.Ended.WaitAsync(Patience.Long), Is.EqualTo("the server stops the job: a new version"));
            Assert.That(begun, Is.EqualTo(new[] { 1, 2 }));
        }
        await using var next = Server();
        await using var again = Plan();
        var resumed = next.Run(again);
        await using var back = FederationSite.Connect(To(next), "a", limits: Quick);
        await using var backPlan = new SiteBuilder("a").UseExecutor(() => Sites.Adding(10)).Build();
        _ = back.Join(backPlan);
        await resumed.Ended.WaitAsync(Patience.Long);
        Assert.That(resumed.Model.Values()[0], Is.EqualTo(12));
    }

    [Test]
    public async Task A_job_whose_last_round_ends_in_the_drain_ends_well()
    {
        var (gate, reached) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var server = Server();
        await using var plan = Plan(rounds: 2);
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = Site(2, gate.Task, reached);
        var joined = site.Join(sitePlan);
        await reached.Task.WaitAsync(Patience.Long);
        var stopping = job.StopAsync(Patience.Long);
        await job.GetSitesAsync();
        gate.SetResult();
        await stopping.WaitAsync(Patience.Long);
        await job.Ended;
        Assert.That((job.Model.Values()[0], await joined.Ended), Is.EqualTo((2f, "the job is done")));
    }

    [Test]
    public async Task A_round_that_takes_longer_than_the_drain_is_given_up([Values] bool hurry)
    {
        var reached = new TaskCompletionSource();
        var time = new SteppedTime(DateTimeOffset.UnixEpoch);
        await using var server = Server(time);
        await using var plan = Plan();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = Site(2, new TaskCompletionSource().Task, reached);
        var joined = site.Join(sitePlan);
        await reached.Task.WaitAsync(Patience.Long);
        var stopping = job.StopAsync(TimeSpan.FromSeconds(20), "maintenance");
        await job.GetSitesAsync();
        Assert.That(job.Ended.IsCompleted, Is.False);
        if (hurry) await server.DisposeAsync().AsTask().WaitAsync(Patience.Long);
        else time.Set(time.GetUtcNow() + TimeSpan.FromSeconds(20));
        await stopping.WaitAsync(Patience.Long);
        Assert.CatchAsync<OperationCanceledException>(() => job.Ended);
        Assert.That(await joined.Ended.WaitAsync(Patience.Long), Is.EqualTo("the server stops the job: maintenance"));
        Assert.That(job.Model.Values()[0], Is.EqualTo(1));
    }
}

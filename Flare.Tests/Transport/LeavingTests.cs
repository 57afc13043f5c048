using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>However a site leaves its job, the run ends at it as at the end of the job: once, and in order.</summary>
public class LeavingTests
{
    internal static readonly LinkLimits Quick = new() { FirstPause = TimeSpan.FromMilliseconds(20) };

    private static readonly string[] End =
        ["the executor stops", EventTypes.AboutToEndRun, "the executor's end", EventTypes.EndRun];

    private static SocketTransport To(FederationServer server) =>
        SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server));

    private static FederationServer Server() => FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));

    private static ServerPlan Plan() => new ServerBuilder().AddSites("a").UseController(Sites.Training())
        .UseInitialModel(Sites.Model(0)).Build();

    [Test]
    public async Task Whoever_disposes_of_a_site_ends_its_runs_after_their_last_task([Values] bool planFirst)
    {
        var executor = new Recording();
        await using var server = Server();
        await using var plan = Plan();
        _ = server.Run(plan);
        var site = FederationSite.Connect(To(server), "a", limits: Quick);
        var sitePlan = new SiteBuilder("a").UseExecutor(() => executor).Build();
        var joined = site.Join(sitePlan);
        await executor.Started.Task.WaitAsync(Patience.Long);
        if (planFirst) await sitePlan.DisposeAsync();
        await site.DisposeAsync();
        if (!planFirst) await sitePlan.DisposeAsync();
        Assert.That(executor.Events.TakeLast(5), Is.EqualTo((string[])[.. End, "disposed of"]));
        Assert.CatchAsync<OperationCanceledException>(() => joined.Ended.WaitAsync(Patience.Long));
    }

    [Test]
    public async Task A_job_is_left_once_however_often()
    {
        var executor = new Recording();
        await using var server = Server();
        await using var plan = Plan();
        _ = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = new SiteBuilder("a").UseExecutor(() => executor).Build();
        var joined = site.Join(sitePlan);
        await executor.Started.Task.WaitAsync(Patience.Long);
        await Task.WhenAll(joined.LeaveAsync(), joined.LeaveAsync());
        await joined.LeaveAsync();
        Assert.That(executor.Events.TakeLast(4), Is.EqualTo(End));
        Assert.That(executor.Events, Has.Exactly(1).EqualTo(EventTypes.EndRun));
    }

    [Test]
    public async Task A_site_that_is_refused_or_never_gets_a_task_ends_its_run_too()
    {
        var executor = new Recording();
        await using var server = Server();
        await using var plan = new ServerBuilder().AddSites("b").CloseRoster().UseController(Sites.Training())
            .UseInitialModel(Sites.Model(0)).Build();
        _ = server.Run(plan);
        await using var site = FederationSite.Connect(To(server), "a", limits: Quick);
        await using var sitePlan = new SiteBuilder("a").UseExecutor(() => executor).Build();
        var joined = site.Join(sitePlan);
        Assert.CatchAsync<FlareException>(() => joined.Ended.WaitAsync(Patience.Long));
        await joined.LeaveAsync();
        Assert.That(executor.Events.TakeLast(3), Is.EqualTo(End[1..]));
        Assert.That(executor.Events, Has.Exactly(1).EqualTo("the executor's end"));
    }

    [Test]
    public async Task In_one_process_a_job_that_its_sites_hear_nothing_of_ends_their_runs()
    {
        var executor = new Recording();
        await using var federation = Federation.InProcess(f => f.AddSite("a", _ => executor)
            .UseController(Sites.Training()).UseLinks(_ => new Unreachable()));
        var e = Assert.ThrowsAsync<FlareException>(
            () => federation.RunToEndAsync(Sites.Model(0)).WaitAsync(Patience.Long));
        Assert.That(e!.Message, Does.Contain("no way to the server"));
        await federation.DisposeAsync();
        Assert.That(executor.Events.TakeLast(4), Is.EqualTo((string[])[.. End[1..], "disposed of"]));
    }

    /// <summary>The server is there, and the site never reaches it.</summary>
    private sealed class Unreachable : IFederationLinks
    {
        public IServerLink ConnectServer(string job, SynchronizationContext jobLoop, RuntimeLimits limits) =>
            new InProcessLink(jobLoop);

        public ISiteLink ConnectSite(
            string job, string site, SynchronizationContext jobLoop, Action<FlareException> fail)
        {
            fail(new FlareException(ErrorIds.Connection, "There is no way to the server."));
            return new Nowhere();
        }

        public ValueTask DisposeAsync() => default;

        private sealed class Nowhere : ISiteLink
        {
            public LinkPromise Promise => LinkPromise.Session;
            public void Start(Action<LinkMessage> receive, Action<LinkState> change) { }
            public void Send(LinkMessage message) { }
        }
    }

    /// <summary>Works until it is told to stop, and writes down what happens to it.</summary>
    internal sealed class Recording : Executor, IDisposable
    {
        private readonly List<string> _events = [];

        public TaskCompletionSource Started { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string[] Events
        {
            get { lock (_events) return [.. _events]; }
        }

        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            Started.TrySetResult();
            try
            {
                await Task.Delay(Timeout.Infinite, abort);
            }
            finally
            {
                Add("the executor stops");
            }
            return new Shareable();
        }

        protected internal override ValueTask EndRunAsync(FLContext context)
        {
            Add("the executor's end");
            return default;
        }

        protected internal override void HandleEvent(string eventType, FLContext context) => Add(eventType);

        public void Dispose() => Add("disposed of");

        private void Add(string what)
        {
            lock (_events) _events.Add(what);
        }
    }
}

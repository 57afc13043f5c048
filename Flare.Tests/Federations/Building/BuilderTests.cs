using System.Reflection;
using Flare.Runtime;
using Flare.Tests.Core.Journaling;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>What was built does not change with its builder, whatever verb is called.</summary>
public class BuilderTests
{
    private static StateDict Initial => Sites.Model(0);

    /// <summary>What must never be called or seen: it belongs to a verb that came too late.</summary>
    private sealed class Late : FLComponent
    {
        public bool IsSeen { get; private set; }

        protected internal override void HandleEvent(string eventType, FLContext context) => IsSeen = true;
    }

    private sealed class LateExtension : IFederationExtension
    {
        public void Configure(IServerBuilder server) =>
            server.UseAggregator(() => throw new InvalidOperationException("late"));

        public void Configure(ISiteBuilder sites) =>
            sites.ConfigureSites(_ => throw new InvalidOperationException("late"));
    }

    private static Executor LateExecutor() => throw new InvalidOperationException("late");

    private static Dictionary<string, Action<FederationBuilder>> FederationVerbs(Late late) => new()
    {
        ["AddSites"] = f => f.AddSites(1, _ => LateExecutor()),
        ["AddSite"] = f => { f.AddSite("late", _ => LateExecutor()); f.AddSite("later"); },
        ["AddExecutor"] = f => f.AddExecutor(TaskNames.Train, _ => LateExecutor()),
        ["ConfigureSites"] = f => f.ConfigureSites((site, _) => site.AddComponent(late)),
        ["UseController"] = f => f.UseController(new FedAvg { Rounds = 5 }),
        ["UseAggregator"] = f => f.UseAggregator(() => throw new InvalidOperationException("late")),
        ["AddServerFilter"] = f => f.AddServerFilter(
            FilterPlace.ServerIn, new Sums((_, _) => throw new InvalidOperationException("late"))),
        ["AddServerComponent"] = f => f.AddServerComponent(late),
        ["UseParallelism"] = f => f.UseParallelism(1),
        ["UseJournal"] = f => { f.UseJournal("late-journal"); f.UseJournal(new MemoryStorage()); },
        ["UseSiteState"] = f => f.UseSiteState("late-states"),
        ["UseLinks"] = f => f.UseLinks(_ => throw new InvalidOperationException("late")),
        ["UseSeed"] = f => f.UseSeed(99),
        ["UseJobId"] = f => f.UseJobId("late"),
        ["UseLimits"] = f => f.UseLimits(new() { MaxConcurrentUploads = 0 }),
        ["UseLogging"] = f => f.UseLogging(new Forbidden()),
        ["UseTime"] = f => f.UseTime(new ManualTime()),
        ["RequirePolicy"] = f => f.RequirePolicy("late"),
        ["Use"] = f => f.Use(new LateExtension()),
        ["AddCheck"] = f => f.AddCheck(_ => ["late"]),
        ["AddFeature"] = f => f.AddFeature(late),
    };

    private static IEnumerable<string> VerbsOf(Type builder) => builder
        .GetMethods(BindingFlags.Public | BindingFlags.Instance).Where(m => m.ReturnType == builder)
        .Select(m => m.Name).Distinct();

    private static IEnumerable<string> FederationVerbNames() => VerbsOf(typeof(FederationBuilder));

    [TestCaseSource(nameof(FederationVerbNames))]
    public async Task A_federation_does_not_change_with_its_builder(string verb)
    {
        var late = new Late();
        var seeds = new List<(ulong Seed, string Job)>();
        var builder = new FederationBuilder()
            .AddSites(2, _ => new Scripted((_, input, context, _) =>
            {
                lock (seeds) seeds.Add((context.Seed("test"), context.JobId));
                return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
            }))
            .UseController(Sites.Training(rounds: 2)).UseSeed(7).UseJobId("early");
        var federation = builder.Build();
        FederationVerbs(late)[verb](builder);
        await using (federation) await federation.RunToEndAsync(Initial).WaitAsync(Patience.Long);
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
        Assert.That(federation.Rounds, Has.Count.EqualTo(2));
        Assert.That(federation.Rounds.Select(r => r.Targets), Is.All.EqualTo(2));
        Assert.That(late.IsSeen, Is.False);
        Assert.That(seeds.Select(s => s.Job), Is.All.EqualTo("early"));
        Assert.That(seeds.Select(s => s.Seed).Distinct().Order(), Is.EqualTo(
            new[] { 1, 2 }.SelectMany(r => new[] { "site-1", "site-2" }
                .Select(s => Seeds.Derive(7, s, TaskNames.Train, r, "test"))).Order()));
        Assert.That(() => federation.Feature<Late>(), Throws.InvalidOperationException);
        Assert.That(Directory.Exists("late-journal"), Is.False);
        Assert.That(Directory.Exists("late-states"), Is.False);
    }

    [Test]
    public async Task A_server_alone_and_a_site_alone_do_not_change_with_their_builders()
    {
        var late = new Late();
        var server = new ServerBuilder().AddSites("site-1").UseController(Sites.Training()).UseInitialModel(Initial);
        var site = new SiteBuilder("site-1").UseExecutor(() => Sites.Adding(1));
        await using var serverPlan = server.Build();
        await using var sitePlan = site.Build();
        var serverVerbs = new Dictionary<string, Action>
        {
            ["AddSites"] = () => server.AddSites("late"),
            ["UseInitialModel"] = () => server.UseInitialModel(Sites.Model(50)),
            ["UseController"] = () => server.UseController(new FedAvg { Rounds = 5 }),
            ["UseAggregator"] = () => server.UseAggregator(() => throw new InvalidOperationException("late")),
            ["AddServerFilter"] = () => server.AddServerFilter(
                FilterPlace.ServerIn, new Sums((_, _) => throw new InvalidOperationException("late"))),
            ["AddServerComponent"] = () => server.AddServerComponent(late),
            ["UseJournal"] = () => server.UseJournal("late-journal"),
            ["CloseRoster"] = () => server.CloseRoster(),
        };
        var siteVerbs = new Dictionary<string, Action>
        {
            ["UseExecutor"] = () => site.UseExecutor(LateExecutor),
            ["AddExecutor"] = () => site.AddExecutor(TaskNames.Train, LateExecutor),
            ["UsePolicy"] = () => site.UsePolicy(new() { Kinds = [DataKind.Metrics] }),
            ["UseLayout"] = () => site.UseLayout(Sites.Model(1, 2, 3).Layout),
            ["UseSiteState"] = () => site.UseSiteState("late-states"),
            ["UseApproval"] = () => site.UseApproval((_, _) => ValueTask.FromResult(JobDecision.Refuse("late"))),
            ["ConfigureSites"] = () => site.ConfigureSites(d => d.AddComponent(late)),
        };
        var common = FederationVerbs(late).Keys.Intersect(VerbsOf(typeof(JobBuilder<SiteBuilder>))
            .Concat(["UseSeed", "UseJobId", "UseLimits", "UseLogging", "UseTime", "RequirePolicy", "Use", "AddCheck",
                "AddFeature"]))
            .ToArray();
        Assert.That(VerbsOf(typeof(ServerBuilder)), Is.EquivalentTo(serverVerbs.Keys.Concat(common)));
        Assert.That(VerbsOf(typeof(SiteBuilder)), Is.EquivalentTo(siteVerbs.Keys.Concat(common)));
        foreach (var verb in serverVerbs.Values.Concat(siteVerbs.Values)) verb();
        Common(server);
        Common(site);

        var reports = await Hosts.RunAsync(serverPlan, sitePlan);
        Assert.That(reports.Single().Model.Values(), Is.EqualTo(new[] { 1f }));
        Assert.That(reports.Single().Targets, Is.EqualTo(1));
        Assert.That(Directory.Exists("late-states"), Is.False);
        Assert.That(late.IsSeen, Is.False);
        Assert.That(() => serverPlan.Feature<Late>(), Throws.InvalidOperationException);
        Assert.That(() => sitePlan.Feature<Late>(), Throws.InvalidOperationException);

        void Common<T>(T b) where T : JobBuilder<T> => b.UseSeed(99).UseJobId("late")
            .UseLimits(new() { MaxConcurrentUploads = 0 }).UseLogging(new Forbidden()).UseTime(new ManualTime())
            .RequirePolicy($"late for {typeof(T).Name}").Use(new LateExtension()).AddCheck(_ => ["late"])
            .AddFeature(late);
    }

    [Test]
    public void A_builder_builds_once()
    {
        var builder = new FederationBuilder().AddSites(1, _ => Sites.Adding(1)).UseController(Sites.Training());
        builder.Build();
        Assert.That(() => builder.Build(), Throws.InvalidOperationException);
    }

    [Test]
    public void Everything_that_is_wrong_is_listed_at_once()
    {
        Assert.That(
            () => new ServerBuilder().UseLimits(new() { MaxPendingEvents = 0, AbortGrace = TimeSpan.Zero }).Build(),
            Throws.TypeOf<FlareException>().With.Message.Contains("workflow").And.Message.Contains("initial model")
                .And.Message.Contains("MaxPendingEvents").And.Message.Contains("AbortGrace"));
        Assert.That(
            () => new SiteBuilder("s").UseLimits(new() { MaxPendingEvents = 0 }).AddCheck(_ => ["the disk is full"])
            .Build(),
            Throws.TypeOf<FlareException>().With.Message.Contains("executor").And.Message.Contains("MaxPendingEvents")
                .And.Message.Contains("the disk is full"));
    }

    private sealed class Owned : IDisposable
    {
        public TaskCompletionSource Disposed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Dispose() => Disposed.TrySetResult();
    }

    [Test]
    public async Task What_a_builder_took_over_is_disposed_of_where_nothing_is_built()
    {
        Owned refused = new(), thrown = new();
        Assert.That(
            () => Federation.InProcess(f => f.AddFeature(refused, owned: true)), Throws.TypeOf<FlareException>());
        Assert.That(() => Federation.InProcess(f => throw new InvalidDataException(
            $"{f.AddFeature(thrown, owned: true).SiteCount}")), Throws.TypeOf<InvalidDataException>());
        await refused.Disposed.Task.WaitAsync(Patience.Long);
        await thrown.Disposed.Task.WaitAsync(Patience.Long);
    }

    [Test]
    public async Task A_journals_storage_that_was_handed_over_is_disposed_of_though_the_job_never_ran()
    {
        var storage = new MemoryStorage();
        await Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(Sites.Training())
            .UseJournal(storage)).DisposeAsync();
        Assert.That(storage.IsDisposed, Is.True);
    }

    [Test]
    public void A_workflow_whose_check_throws_is_refused_by_its_name() => Assert.That(
        () => Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(new Faulty())
            .UseLimits(new() { MaxPendingEvents = 0 })),
        Throws.TypeOf<FlareException>().With.Message.Contains("Faulty").And.Message.Contains("no such thing")
            .And.Message.Contains("MaxPendingEvents"));

    private sealed class Faulty : Controller
    {
        protected override Task RunAsync(ControllerContext federation, CancellationToken abort) => Task.CompletedTask;

        protected internal override IEnumerable<string> Validate(int sites) =>
            throw new NotSupportedException("no such thing");
    }

    [Test]
    public void A_server_and_a_site_made_by_hand_are_refused_with_all_that_is_wrong()
    {
        var loop = new JobLoop(_ => { });
        var link = new InProcessLink(loop);
        Assert.That(
            () => new JobServer(new()
            {
                JobId = " ", Loop = loop, Link = link, InitialModel = Initial, Sites = ["a", "a", "server"],
                Controllers = [new FedAvg { Rounds = 0 }], Limits = new() { DrainTimeout = TimeSpan.Zero },
            }),
            Throws.TypeOf<FlareException>().With.Message.Contains("JobId").And.Message.Contains("'a' twice")
                .And.Message.Contains("'server'").And.Message.Contains("Rounds").And.Message.Contains("DrainTimeout"));
        Assert.That(
            () => new SiteRuntime(new SiteDefinition("site-1", Sites.Adding(1)), new()
            {
                JobId = "", Loop = loop, Link = link.ConnectSite("site-1"), Incarnation = 0,
                Limits = new() { DrainTimeout = TimeSpan.Zero }, Policy = new() { LeastSteps = -1 },
            }),
            Throws.TypeOf<FlareException>().With.Message.Contains("JobId").And.Message.Contains("Incarnation")
                .And.Message.Contains("DrainTimeout").And.Message.Contains("LeastSteps"));
    }

    private sealed class Forbidden : Microsoft.Extensions.Logging.ILoggerFactory
    {
        public void AddProvider(Microsoft.Extensions.Logging.ILoggerProvider provider) { }

        public Microsoft.Extensions.Logging.ILogger CreateLogger(string categoryName) =>
            throw new InvalidOperationException("late");

        public void Dispose() { }
    }

    private sealed class Sums(Func<Shareable, FLContext, Shareable> change) : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(
            Shareable message, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(change(message, context));
    }
}

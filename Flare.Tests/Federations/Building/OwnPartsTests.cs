using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>
/// Each site has its own executor, filters and components: what one of them keeps is no other site's.
/// </summary>
public class OwnPartsTests
{
    private sealed class Noise : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(
            Shareable message, FLContext context, CancellationToken abort) => ValueTask.FromResult(message);
    }

    private sealed class Outer(Filter inner) : DelegatingFilter(inner)
    {
        public override bool CanBeShared => true;
    }

    private sealed class Counter : FLComponent;

    private sealed class Gathering : FLComponent
    {
        public override bool CanBeShared => true;
    }

    private static readonly TestCaseData[] Shared =
    [
        Case("a filter", f =>
        {
            var one = new Noise();
            f.ConfigureSites((s, _) => s.AddFilter(FilterPlace.SiteOut, one));
        }, "site-1, site-2, site-3 share one Noise", "AddFilter(place, new Noise(…))", "CanBeShared"),
        Case("an outermost filter", f =>
        {
            var one = new Noise();
            f.ConfigureSites((s, _) => s.AddOutermostFilter(FilterPlace.SiteIn, one));
        }, "share one Noise", "each site"),
        Case("a filter of some sites", f =>
        {
            var one = new Noise();
            f.ConfigureSites((s, i) => s.AddFilter(FilterPlace.SiteOut, i.Index == 1 ? new Noise() : one));
        }, "site-1 and site-3 share one Noise"),
        Case("a wrapped filter", f =>
        {
            var one = new Noise();
            f.ConfigureSites((s, _) => s.AddFilter(FilterPlace.SiteOut, new Outer(one)));
        }, "share one Noise"),
        Case("a filter within a shared one", f =>
        {
            var one = new Outer(new Noise());
            f.ConfigureSites((s, _) => s.AddFilter(FilterPlace.SiteOut, one));
        }, "share one Noise"),
        Case("a component", f => { var one = new Counter(); f.ConfigureSites((s, _) => s.AddComponent(one)); },
            "share one Counter", "AddComponent(new Counter(…))"),
        Case("an executor", f =>
        {
            var one = Sites.Adding(1);
            f.AddExecutor("mine", _ => one);
        }, "share one Scripted", "AddSites(n, site => new …)"),
        Case("a filter of the server's", f =>
        {
            var one = new Noise();
            f.AddServerFilter(FilterPlace.ServerIn, one)
                .ConfigureSites((s, i) => { if (i.Index == 0) s.AddFilter(FilterPlace.SiteOut, one); });
        }, "the server and site-1 share one Noise"),
    ];

    private static TestCaseData Case(string name, Action<FederationBuilder> configure, params string[] words) =>
        new TestCaseData(configure, words).SetArgDisplayNames(name);

    [TestCaseSource(nameof(Shared))]
    public void What_several_sites_share_is_refused_by_its_type_and_their_names(
        Action<FederationBuilder> configure, string[] words)
    {
        var error = Assert.Throws<FlareException>(() => Build(configure))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Configuration));
        foreach (var word in words) Assert.That(error.Message, Does.Contain(word));
    }

    [Test]
    public void All_that_is_shared_is_named_at_once()
    {
        var (filter, component) = (new Noise(), new Counter());
        Assert.That(
            () => Build(f => f.ConfigureSites(
                (s, _) => s.AddFilter(FilterPlace.SiteIn, filter).AddComponent(component))),
            Throws.TypeOf<FlareException>().With.Message.Contains("one Noise").And.Message.Contains("one Counter"));
    }

    [Test]
    public async Task What_says_that_it_can_be_shared_is_and_a_filter_at_two_places_of_one_site_is_its_own()
    {
        var gathering = new Gathering();
        await using var federation = Build(f => f.ConfigureSites((s, _) =>
        {
            var own = new Noise();
            s.AddComponent(gathering).AddFilter(FilterPlace.SiteIn, own)
                .AddFilter(FilterPlace.SiteOut, own).AddFilter(FilterPlace.SiteOut, new Outer(own));
        }));
        Assert.That(await federation.RunToEndAsync(Sites.Model(0)), Has.Count.EqualTo(1));
    }

    [Test]
    public async Task A_filter_of_two_federations_at_once_is_refused_and_free_again_afterwards()
    {
        var shared = new Noise();
        var (gate, started) = (new TaskCompletionSource(), new TaskCompletionSource());
        Task<Federation> RunAsync(Executor executor) => Sites.RunAsync(
            Sites.Training(), Sites.Model(0),
            f => f.ConfigureSites((s, _) => s.AddFilter(FilterPlace.SiteOut, shared)), executor);
        var first = RunAsync(Sites.Gated(gate.Task, 1, started: () => started.TrySetResult()));
        await started.Task.WaitAsync(Patience.Long);
        Assert.That(() => RunAsync(Sites.Adding(500)), Throws.TypeOf<FlareException>()
            .With.Message.Contains("The filter Noise of site-1 is at work in another federation"));
        gate.SetResult();
        await first;
        Assert.That((await RunAsync(Sites.Adding(2))).Model.Values(), Is.EqualTo(new[] { 2f }));
    }

    [Test]
    public async Task A_filter_of_two_sites_that_were_built_by_themselves_is_refused_until_one_is_disposed_of()
    {
        var (shared, loop) = (new Noise(), new JobLoop(_ => { }));
        var link = new InProcessLink(loop);
        var first = Site("a");
        await using var second = Site("b");
        first.CreateSite(loop, link.ConnectSite("a"));
        Assert.That(
            () => second.CreateSite(loop, link.ConnectSite("b")),
            Throws.TypeOf<FlareException>().With.Message.Contains("The filter Noise of b is at work"));
        await first.DisposeAsync();
        Assert.That(() => second.CreateSite(loop, link.ConnectSite("b")), Throws.Nothing);

        SitePlan Site(string name) => new SiteBuilder(name).UseExecutor(() => Sites.Adding(1))
            .ConfigureSites(site => site.AddFilter(FilterPlace.SiteOut, shared)).Build();
    }

    private static Federation Build(Action<FederationBuilder> configure) => Federation.InProcess(f =>
        configure(f.AddSites(3, _ => Sites.Adding(1)).UseController(Sites.Training())));
}

using Flare.Runtime;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>What the builders of a server and of a site say at the hello, whose parts they hold, and that what they
/// built does not change.</summary>
public class BuiltHostTests
{
    private static ServerBuilder Server(Controller? workflow = null) => new ServerBuilder().AddSites("site-1")
        .UseController(workflow ?? Sites.Training()).UseInitialModel(Sites.Model(0));

    private static SiteBuilder Site(string name = "site-1", Executor? executor = null) =>
        new SiteBuilder(name).UseExecutor(() => executor ?? Sites.Adding(1));

    private static IEnumerable<TestCaseData> Differences()
    {
        yield return Case(
            "layout", Server(), Site().UseLayout(Sites.Model(1, 2).Layout), "built for a model of layout");
        yield return Case("roster", Server().CloseRoster(), Site("stranger"), "stranger");
        yield return Case("no policy", Server().RequirePolicy("a"), Site(), "it states no policy");
        yield return Case(
            "policy", Server().RequirePolicy("a").RequirePolicy("b"), Site().RequirePolicy("b"), "asks for a, b");

        static TestCaseData Case(string name, ServerBuilder server, SiteBuilder site, string words) =>
            new TestCaseData(server, site, words).SetName($"Refused at the hello: {name}");
    }

    [TestCaseSource(nameof(Differences))]
    public async Task A_site_that_was_built_for_something_else_is_refused(
        ServerBuilder server, SiteBuilder site, string words)
    {
        await using var side = new Side(server, site);
        var error = side.Refused();
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.SiteRefused));
        Assert.That(error.Message, Does.Contain(words));
    }

    [Test]
    public async Task Policies_are_the_same_in_whatever_order_they_were_stated()
    {
        await using var side = new Side(
            Server().CloseRoster().RequirePolicy("a").RequirePolicy("b"),
            Site().UseLayout(Sites.Model(0).Layout).RequirePolicy("b").RequirePolicy("a"));
        await side.Site.Ended.WaitAsync(Patience.Long);
        Assert.That(side.Server.Model.Values(), Is.EqualTo(new[] { 1f }));
    }

    [Test]
    public void A_closed_roster_without_a_site_is_refused() => Assert.That(
        () => new ServerBuilder().UseController(Sites.Training()).UseInitialModel(Sites.Model(0)).CloseRoster().Build(),
        Throws.TypeOf<FlareException>().With.Message.Contains("AddSites"));

    [Test]
    public async Task Two_sites_cannot_share_an_executor_until_one_is_disposed_of()
    {
        var (shared, loop) = (Sites.Adding(1), new JobLoop(_ => { }));
        var link = new InProcessLink(loop);
        var first = Site("a", shared).Build();
        await using var second = Site("b", shared).Build();
        first.CreateSite(loop, link.ConnectSite("a"));
        Assert.That(
            () => second.CreateSite(loop, link.ConnectSite("b")),
            Throws.TypeOf<FlareException>().With.Message.Contains("is at work"));
        await first.DisposeAsync();
        Assert.That(() => second.CreateSite(loop, link.ConnectSite("b")), Throws.Nothing);
    }

    [Test]
    public async Task A_plan_disposed_of_twice_leaves_the_workflow_to_whoever_has_it()
    {
        var (workflow, loop) = (Sites.Training(), new JobLoop(_ => { }));
        var first = Server(workflow).Build();
        first.CreateServer(loop, new InProcessLink(loop));
        await first.DisposeAsync();
        await using var second = Server(workflow).Build();
        second.CreateServer(loop, new InProcessLink(loop));
        await first.DisposeAsync();
        await using var third = Server(workflow).Build();
        Assert.That(
            () => third.CreateServer(loop, new InProcessLink(loop)),
            Throws.TypeOf<FlareException>().With.Message.Contains("at work"));
        Assert.That(
            () => first.CreateServer(loop, new InProcessLink(loop)), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public async Task A_site_that_is_built_does_not_change_by_the_definition_that_somebody_kept()
    {
        var kept = new List<SiteDefinition>();
        await using var federation = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1))
            .UseController(Sites.Training()).ConfigureSites((site, _) => kept.Add(site)));
        await using var alone = Site().ConfigureSites(kept.Add).Build();
        Assert.That(kept, Has.Count.EqualTo(2));
        foreach (var site in kept)
        {
            Assert.That(() => site.AddFilter(FilterPlace.SiteOut, new Refusing()), Throws.InvalidOperationException);
            Assert.That(
                () => site.AddOutermostFilter(FilterPlace.SiteIn, new Refusing()), Throws.InvalidOperationException);
            Assert.That(() => site.AddComponent(new Refusing()), Throws.InvalidOperationException);
            Assert.That(() => site.AddExecutor("more", Sites.Adding(1)), Throws.InvalidOperationException);
            Assert.That(() => site.UsePolicy(new()), Throws.InvalidOperationException);
        }
    }

    [Test]
    public async Task A_filter_of_a_copy_of_options_is_none_of_the_others()
    {
        var loop = new JobLoop(_ => { });
        var link = new InProcessLink(loop);
        var options = new JobServerOptions
        {
            JobId = "job", Loop = loop, Link = link, InitialModel = Sites.Model(0), Sites = ["site-1"],
            Controllers = [Sites.Training()],
        };
        _ = (options with { }).AddFilter(FilterPlace.ServerOut, new Refusing());
        var server = new JobServer(options);
        options.AddFilter(FilterPlace.ServerIn, new Refusing()); // too late: it is made
        var site = new SiteRuntime(
            new("site-1", Sites.Adding(1)), new() { JobId = "job", Loop = loop, Link = link.ConnectSite("site-1") });
        loop.Post(_ => { _ = server.RunAsync(CancellationToken.None); site.Start(); }, null);
        await site.Ended.WaitAsync(Patience.Long);
        Assert.That(server.Model.Values(), Is.EqualTo(new[] { 1f }));
    }

    private sealed class Refusing : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(
            Shareable message, FLContext context, CancellationToken abort) =>
            throw new InvalidOperationException("not this one");
    }
}

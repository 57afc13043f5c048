using Flare.Runtime;
using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>Server and sites that do not mean the same say so, at both ends, before anybody trains.</summary>
public class HelloTests
{
    private static StateDict Model => Sites.Model(1, 2);

    private static IEnumerable<TestCaseData> Differences()
    {
        static TestCaseData Case(
            string name, string words, Func<SiteRuntimeOptions, SiteRuntimeOptions> site,
            Func<JobServerOptions, JobServerOptions>? server = null) =>
            new TestCaseData(words, site, server ?? (o => o)).SetArgDisplayNames(name);

        yield return Case("job", "it means job 'other', and this is job 'job'", o => o with { JobId = "other" });
        yield return Case("seed", "its seed is 8, and the job's is another", o => o with { Seed = 8 });
        yield return Case("layout", "built for a model of layout",
            o => o with { LayoutFingerprint = Sites.Model(1, 2, 3).Layout.Fingerprint });
        yield return Case("policy", "its policy is b, and the server asks for a",
            o => o with { PolicyFingerprint = "b" }, o => o with { PolicyFingerprint = "a" });
        yield return Case("no policy", "it states no policy", o => o, o => o with { PolicyFingerprint = "a" });
        yield return Case("two at once", "job 'other', and this is job 'job'; its seed is 8",
            o => o with { JobId = "other", Seed = 8 });
    }

    [TestCaseSource(nameof(Differences))]
    public void A_site_that_means_something_else_is_refused_in_words_at_both_ends(
        string words, Func<SiteRuntimeOptions, SiteRuntimeOptions> change,
        Func<JobServerOptions, JobServerOptions> server)
    {
        var run = new Run { Server = server };
        run.Play(async () =>
        {
            var site = run.StartSite("site-2", change);
            await run.EndedAsync(site);
            var error = site.Ended.Exception?.InnerException as FlareException;
            Assert.That(error?.ErrorId, Is.EqualTo(ErrorIds.SiteRefused));
            Assert.That(error!.Message, Does.Contain(words).And.Contain("site-2"));
        });
        Assert.That(run.ServerLog.Entries.Select(e => e.Message), Has.Some.Contains(words).And.Some.Contains("site-2"));
        Assert.That(run.SiteLog.Entries.Select(e => e.Message), Has.One.Contains(words));
    }

    [Test]
    public void A_site_that_states_the_jobs_own_terms_takes_part()
    {
        var run = new Run { Server = o => o with { PolicyFingerprint = "a" } };
        run.Play(async () =>
        {
            SiteRuntimeOptions Same(SiteRuntimeOptions o) =>
                o with { LayoutFingerprint = Model.Layout.Fingerprint, PolicyFingerprint = "a" };
            var sites = new[] { run.StartSite("site-1", Same), run.StartSite("site-2", Same) };
            foreach (var site in sites) await run.EndedAsync(site);
            Assert.That(sites.Select(s => s.Ended.IsCompletedSuccessfully), Is.All.True);
        });
    }

    [Test]
    public async Task Another_version_of_the_protocol_is_refused()
    {
        await using var bench = new ServerBench(Wait, "a");
        await bench.SayAsync(Hello.Of("a", 1, Hello.Terms with { Version = FlareProtocol.Version + 1 }));
        var refusal = await bench.NextAsync<ServerRefusal>("a");
        Assert.That(refusal.Reason, Does.Contain($"version {FlareProtocol.Version + 1}"));
    }

    [Test]
    public void A_second_process_of_a_site_is_refused_and_the_first_goes_on([Values] bool isReliable)
    {
        var run = new Run { IsReliable = isReliable };
        run.Play(async () =>
        {
            var first = run.StartSite("site-1");
            await Task.Delay(TimeSpan.FromSeconds(1), run.Loop.Time);
            // It has the name, so it hears what is meant for the first one, until it has been told.
            var second = run.StartSite("site-1", o => o with { Link = run.Network.ConnectSite("site-1") });
            await run.EndedAsync(second);
            Assert.That(second.Ended.Exception?.InnerException?.Message,
                Does.Contain("the same incarnation 1").And.Contain("give it a higher incarnation"));
            Assert.That(first.Ended.IsCompleted, Is.False);
        });
        Assert.That(run.ServerLog.Entries.Select(e => e.Message), Has.One.Contains("the same incarnation 1"));
    }

    [Test]
    public async Task A_site_that_has_started_again_takes_over_and_what_is_left_of_the_first_is_told()
    {
        await using var bench = new ServerBench(Wait, "a");
        await bench.SayAsync(Hello.Of("a", 1, process: Guid.NewGuid()));
        await bench.NextAsync<ServerWelcome>("a");
        await bench.SayAsync(Hello.Of("a", 2, process: Guid.NewGuid()));
        await bench.NextAsync<ServerWelcome>("a");
        await bench.SayAsync(new("a", 1, 1, new SiteHeartbeat()));
        var refusal = await bench.NextAsync<ServerRefusal>("a");
        Assert.That(bench.LastIncarnation, Is.EqualTo(1));
        Assert.That(refusal.Reason, Does.Contain("with incarnation 2 where this one has 1"));
        await bench.SayAsync(new("a", 2, 1, new SiteHeartbeat()));
        await bench.SettleAsync();
        Assert.That(bench.Unread("a"), Is.Empty);
    }

    [Test]
    public void A_closed_roster_lets_no_unknown_name_in_and_tells_it_no_other_names()
    {
        var run = new Run { Server = o => o with { IsRosterClosed = true } };
        run.Play(async () =>
        {
            var site = run.StartSite("sitte-1");
            await run.EndedAsync(site);
            var message = site.Ended.Exception!.InnerException!.Message;
            Assert.That(message, Does.Contain("roster is closed").And.Not.Contain("site-1"));
        });
        Assert.That(run.ServerLog.Entries.Select(e => e.Message), Has.Some.Contains("did you mean 'site-1'?"));
    }

    [Test]
    public void An_open_one_does()
    {
        var run = new Run();
        run.Play(async () =>
        {
            var site = run.StartSite("sitte-1");
            await Task.Delay(TimeSpan.FromSeconds(2), run.Loop.Time);
            Assert.That(site.Ended.IsCompleted, Is.False);
        });
        Assert.That(run.ServerLog.Entries.Select(e => e.Message), Has.Some.Contains("sitte-1 joined"));
    }

    private static Task Wait(ControllerContext federation, CancellationToken abort) =>
        Task.Delay(Timeout.InfiniteTimeSpan, federation.Context.Time, abort);

    /// <summary>A server of two sites on virtual time; the test starts the sites.</summary>
    private sealed class Run
    {
        private readonly List<SiteRuntime> _sites = [];

        public Run() => Network = new SimulatedNetwork(Loop);

        public SimulationLoop Loop { get; } = new(1);
        public SimulatedNetwork Network { get; }
        public LogRecorder ServerLog { get; } = new();
        public LogRecorder SiteLog { get; } = new();
        public bool IsReliable { get; init; } = true;
        public Func<JobServerOptions, JobServerOptions> Server { get; init; } = o => o;

        public void Play(Func<Task> test)
        {
            Network.Faults = new() { IsReliable = IsReliable };
            Exception? failure = null;
            Loop.Run(async () =>
            {
                var server = new JobServer(Server(new()
                {
                    JobId = "job", Seed = 7, Loop = Loop, Link = Network.ConnectServer(), Sites = ["site-1", "site-2"],
                    Controllers = [new FedAvg { Rounds = 1, MinSites = 2 }], InitialModel = Model, Time = Loop.Time,
                    Compute = Loop.Compute, Logger = ServerLog,
                }));
                _ = server.RunAsync(CancellationToken.None);
                try
                {
                    await test();
                }
                catch (Exception e)
                {
                    failure = e;
                }
                foreach (var site in _sites) site.Crash();
                server.Dispose();
            }, TimeSpan.FromMinutes(5));
            if (failure is not null) throw failure;
        }

        public SiteRuntime StartSite(string name, Func<SiteRuntimeOptions, SiteRuntimeOptions>? change = null)
        {
            var options = new SiteRuntimeOptions
            {
                JobId = "job", Seed = 7, Loop = Loop, Link = Network.ConnectSite(name), Time = Loop.Time,
                Compute = Loop.Compute, Logger = SiteLog,
            };
            var site = new SiteRuntime(new SiteDefinition(name, Sites.Adding(1)), change?.Invoke(options) ?? options);
            _sites.Add(site);
            site.Start();
            return site;
        }

        public async Task EndedAsync(SiteRuntime site)
        {
            for (var i = 0; i < 600 && !site.Ended.IsCompleted; i++)
                await Task.Delay(TimeSpan.FromMilliseconds(100), Loop.Time);
            Assert.That(site.Ended.IsCompleted, Is.True, "the site waits, and nobody says why");
        }
    }
}

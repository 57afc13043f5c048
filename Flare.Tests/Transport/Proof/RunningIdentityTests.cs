using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Tests.Transport.Proxies;
using Flare.Transport;

namespace Flare.Tests.Transport.Proof;

/// <summary>Certificates, roots and rosters that change while a job runs over TLS.</summary>
public class RunningIdentityTests
{
    private TlsBench _bench = null!;

    [SetUp]
    public void Create() => _bench = new();

    [TearDown]
    public async Task RemoveAsync() => await _bench.DisposeAsync();

    /// <summary>A job that goes on by a round each time that it is let, whatever its connections do.</summary>
    private sealed class Turns
    {
        private readonly SemaphoreSlim _let = new(0);
        private int _done;

        public int Done => Volatile.Read(ref _done);

        public Scripted Trainer() => new Scripted(async (_, input, _, abort) =>
        {
            await _let.WaitAsync(abort);
            Interlocked.Increment(ref _done);
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        });

        public async Task LetAsync()
        {
            var before = Done;
            _let.Release();
            await FrameConnectionTests.WaitFor(() => Done == before + 1);
        }
    }

    [Test]
    public async Task A_certificate_that_was_renewed_on_disk_is_shown_at_the_next_handshake_of_the_same_job()
    {
        var server = _bench.StartServer();
        await using var proxy = new CuttingProxy(_bench.Port, long.MaxValue);
        var turns = new Turns();
        var job = _bench.Run(server, 3, "hospital-1");
        var joined = _bench.Join(_bench.Connect("hospital-1", _bench.To("hospital-1", proxy.Port)), turns.Trainer);
        await turns.LetAsync();

        _bench.Time.Now += TimeSpan.FromDays(80); // ten days are left
        _bench.Renew("hospital-1");
        _bench.Renew("server");
        _bench.Time.Now += TimeSpan.FromDays(40); // the first ones have expired
        var before = Connections();
        proxy.CutAll();
        await FrameConnectionTests.WaitFor(() => Connections() == before + 1);
        await turns.LetAsync();
        await turns.LetAsync();

        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(await joined.Ended.WaitAsync(Patience.Long), Is.Not.Empty);
        Assert.That(job.Model.Values(), Is.EqualTo(new[] { 3f }));
    }

    [Test]
    public async Task A_certificate_that_expires_unrenewed_is_warned_of_with_its_days_and_then_refused_at_both_ends()
    {
        var server = _bench.StartServer();
        await using var proxy = new CuttingProxy(_bench.Port, long.MaxValue);
        _bench.Run(server, 3, "hospital-1");
        var turns = new Turns();
        var joined = _bench.Join(_bench.Connect("hospital-1", _bench.To("hospital-1", proxy.Port)), turns.Trainer);
        await turns.LetAsync();

        _bench.Time.Now += TimeSpan.FromDays(80);
        _bench.Source("hospital-1").Refresh();
        Assert.That(await TlsBench.LoggedAsync(_bench.SiteLog, "expires in 10 days, on 2026-08-02"),
            Does.Contain("site 'hospital-1'").And.Contain("ask the project's operator for a renewed kit"));
        _bench.Renew("server");
        _bench.Time.Now += TimeSpan.FromDays(20);
        proxy.CutAll();

        var e = Assert.CatchAsync<FlareException>(() => joined.Ended.WaitAsync(Patience.Long));
        const string words = "it names site 'hospital-1' and is expired since 2026-08-02 12:00 UTC, and here it is "
            + "2026-08-12 12:00 UTC: renew it";
        Assert.That(e!.Message, Does.Contain("refuses the certificate of site 'hospital-1'").And.Contain(words));
        Assert.That(await TlsBench.LoggedAsync(_bench.ServerLog, "is refused"), Does.Contain(words));
    }

    [Test]
    public async Task Roots_are_changed_while_a_job_runs_and_nobody_is_refused_on_any_day()
    {
        var server = _bench.StartServer();
        await using var proxy = new CuttingProxy(_bench.Port, long.MaxValue);
        var turns = new Turns();
        var job = _bench.Run(server, 7, "hospital-1");
        var joined = _bench.Join(_bench.Connect("hospital-1", _bench.To("hospital-1", proxy.Port)), turns.Trainer);
        await turns.LetAsync();
        foreach (var step in new Action[]
        {
            () => _bench.Authority.RotateRoot(), () => _bench.Renew("hospital-1"), () => _bench.Renew("server"),
            () =>
            {
                _bench.Authority.Renew("hospital-2");
                _bench.Authority.RetireOldRoot();
                _bench.Time.Now += TimeSpan.FromMinutes(5); // what is issued holds after the roster before it
                _bench.Renew("server");
            },
            () => _bench.Renew("hospital-1"),
        })
        {
            _bench.Time.Now += TimeSpan.FromHours(2);
            step();
            var before = Connections();
            proxy.CutAll();
            await FrameConnectionTests.WaitFor(() => Connections() == before + 1);
            await turns.LetAsync();
        }
        await turns.LetAsync();
        await job.Ended.WaitAsync(Patience.Long);
        await joined.Ended.WaitAsync(Patience.Long);
        Assert.That(_bench.Source("hospital-1").Current.Kit.TrustRoots, Has.Count.EqualTo(1));
    }

    private int Connections() => _bench.ServerLog.Entries.Count(e => e.Message.Contains("is connected to job"));

    [Test]
    public async Task A_site_that_is_revoked_while_it_is_connected_is_hung_up_on_and_both_ends_say_why()
    {
        var server = _bench.StartServer();
        var job = _bench.Run(server, 1, "hospital-1", "hospital-2");
        var revoked = _bench.Join(_bench.Connect("hospital-1"), () => Sites.Hanging());
        var other = _bench.Join(_bench.Connect("hospital-2"), () => Sites.Hanging());
        await FrameConnectionTests.WaitFor(() => server.ConnectedSites.Count == 2);

        _bench.Authority.Revoke("hospital-1", "the laptop was stolen");
        _bench.GiveRoster("server");

        var e = Assert.CatchAsync<FlareException>(() => revoked.Ended.WaitAsync(Patience.Long));
        const string words = "it names site 'hospital-1' and is revoked since 2026-05-04 12:00 UTC "
            + "(the laptop was stolen): it takes a new kit with a new key";
        Assert.That(e!.Message, Does.Contain("refuses the certificate of site 'hospital-1'").And.Contain(words));
        Assert.That(
            await TlsBench.LoggedAsync(_bench.ServerLog, "is hung up on"),
            Does.StartWith("hospital-1 at 127.0.0.1").And.Contain(words));
        await TlsBench.LoggedAsync(_bench.SiteLog, "ClosedByPeer: the site's certificate is refused");
        Assert.That(server.ConnectedSites, Is.EqualTo(new[] { "hospital-2" }));
        Assert.That(other.Ended.IsCompleted || job.Ended.IsCompleted, Is.False, "the others go on");
    }

    [Test]
    public async Task A_server_that_is_revoked_is_hung_up_on_by_a_site_that_learns_of_it()
    {
        var server = _bench.StartServer();
        _bench.Run(server, 1, "hospital-1");
        var joined = _bench.Join(_bench.Connect("hospital-1"), () => Sites.Hanging());
        await FrameConnectionTests.WaitFor(() => server.ConnectedSites.Count == 1);

        _bench.Authority.Revoke("server", "the host was broken into");
        _bench.GiveRoster("hospital-1");

        var e = Assert.CatchAsync<FlareException>(() => joined.Ended.WaitAsync(Patience.Long));
        const string words = "it names server 'server' and is revoked since 2026-05-04 12:00 UTC";
        Assert.That(e!.Message, Does.Contain("The certificate of the server at 127.0.0.1").And.Contain(words));
        Assert.That(
            await TlsBench.LoggedAsync(_bench.ServerLog, "ClosedByPeer: the server's certificate is refused"),
            Does.Contain(words));
    }

    [Test]
    public async Task A_site_that_was_added_later_brings_the_roster_that_names_it_and_the_others_learn_it()
    {
        var server = _bench.StartServer();
        _bench.Connect("hospital-1");
        string[] old = ["server", "hospital-1", "hospital-2"];
        var kits = old.Select(name => File.ReadAllBytes(_bench.KitPath(name))).ToArray();
        _bench.Time.Now += TimeSpan.FromMinutes(5);
        _bench.Provision("hospital-1", "hospital-2", "hospital-3");
        foreach (var (name, kit) in old.Zip(kits)) // their operators have not been given anything
            File.WriteAllBytes(_bench.KitPath(name), kit);
        Assert.That(_bench.Source("server").Current.Roster.Version, Is.EqualTo(1));

        var job = _bench.Run(server, 1, "hospital-3");
        await _bench.Join(_bench.Connect("hospital-3")).Ended.WaitAsync(Patience.Long);
        await job.Ended.WaitAsync(Patience.Long);

        Assert.That(_bench.Source("server").Current.Roster.Find("hospital-3"), Is.Not.Null);
        await TlsBench.LoggedAsync(_bench.ServerLog, "site 'hospital-3' has brought version 2 of the roster");
        Assert.That(File.Exists(_bench.KitPath("server") + IdentitySource.RosterSuffix), "kept for the next start");
        using var again = IdentitySource.Open(_bench.KitPath("server"), time: _bench.Time);
        Assert.That(again.Current.Roster.Version, Is.EqualTo(2));
        // Who has the older one gets it from the server.
        await MeetAsync("hospital-2");
        Assert.That(_bench.Source("hospital-2").Current.Roster.Version, Is.EqualTo(2));
    }

    [Test]
    public async Task An_older_roster_takes_nobody_back()
    {
        _bench.StartServer();
        var before = _bench.Authority.Roster!;
        _bench.Authority.Revoke("hospital-1");
        _bench.GiveRoster("server");
        // The revoked site has only what it had, and what another brings is older than what the server has.
        var e = Assert.CatchAsync<FrameException>(() => MeetAsync("hospital-1"));
        Assert.That(e!.Message, Does.Contain("is revoked since"));
        await MeetAsync("hospital-2");
        Assert.That(_bench.Source("server").Current.Roster.Version, Is.EqualTo(before.Version + 1));
        Assert.That(_bench.Source("hospital-2").Current.Roster.Version, Is.EqualTo(before.Version + 1));
        Assert.That(
            () => _bench.Source("server").TakeRoster(before.Write()), Throws.TypeOf<FlareException>()
                .With.Message.Contains("it is version 1 of 'digits-study', and the kit has"));
    }

    private async Task MeetAsync(string site)
    {
        var connection = await _bench.To(site).ConnectAsync(CancellationToken.None).AsTask().WaitAsync(Patience.Long);
        Assert.That(connection.PeerName, Is.EqualTo("server"));
        await connection.DisposeAsync();
    }
}

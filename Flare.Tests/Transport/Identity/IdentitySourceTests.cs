using Flare.Tests.Federations;
using Flare.Tests.Provisioning;
using Flare.Transport;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Transport.Identity;

/// <summary>A kit that is replaced while the process runs.</summary>
public class IdentitySourceTests
{
    private ProvisioningBench _bench = null!;
    private string _path = null!;
    private Lines _lines = null!;

    [SetUp]
    public void Create()
    {
        _bench = new();
        _bench.Provision();
        _path = _bench.KitPath("hospital-1");
        _lines = new();
    }

    [TearDown]
    public void Remove()
    {
        _lines.Dispose();
        _bench.Dispose();
    }

    [Test]
    public void A_renewed_kit_in_the_place_of_the_old_is_taken_with_the_old_key()
    {
        using var source = Open();
        var before = source.Current;
        var changes = 0;
        source.Changed += _ => changes++;
        Assert.That(source.Refresh(), Is.False);
        _bench.Time.Now += TimeSpan.FromDays(300);
        _bench.Authority.Renew("hospital-1").Save(_path, overwrite: true);
        Assert.That(source.Refresh(), Is.True);
        Assert.That(source.Refresh(), Is.False);
        Assert.That(source.Current, Is.Not.SameAs(before));
        Assert.That(source.Current.Fault(_bench.Time.Now.AddDays(300)), Is.Null);
        Assert.That(before.Sign("x", [1]), Is.Not.Empty, "open connections go on with it");
        Assert.That(changes, Is.EqualTo(1));
        Assert.That(_lines.All, Has.Some.Contains("has a renewed startup kit: its certificate holds until 2028-02-"));
        using var again = Open();
        Assert.That(again.Current.Certificate.RawData, Is.EqualTo(source.Current.Certificate.RawData),
            "the file that was replaced has the key still, for the next start");
    }

    [Test]
    public void A_handler_that_throws_keeps_no_other_from_hearing_and_ends_no_timer()
    {
        var time = new SteppedTime(_bench.Time.Now);
        using var source = IdentitySource.Open(_path, time: time, logging: _lines);
        var heard = new List<FlareIdentity>();
        source.Changed += _ => throw new InvalidOperationException("the first handler");
        source.Changed += heard.Add;
        source.Changed += _ => throw new InvalidOperationException("the third handler");
        source.Changed += heard.Add;
        _bench.Time.Now += TimeSpan.FromDays(1);
        _bench.Authority.Renew("hospital-1").Save(_path, overwrite: true);
        time.Set(time.GetUtcNow().AddMinutes(1));
        Assert.That(heard, Is.EqualTo(new[] { source.Current, source.Current }));
        Assert.That(_lines.All, Has.Exactly(2).Contains("A handler of IdentitySource.Changed threw").And
            .Exactly(2).Contains("hospital-1' had changed"));
        _bench.Time.Now += TimeSpan.FromDays(1);
        _bench.Authority.Renew("hospital-1").Save(_path, overwrite: true);
        time.Set(time.GetUtcNow().AddMinutes(1));
        Assert.That(heard, Has.Count.EqualTo(4), "it looks on");
    }

    [Test]
    public void An_identity_has_one_source_however_often_it_is_used()
    {
        using var authority = new TestAuthority();
        var identity = authority.Identity(FlareRole.Site, "hospital-1");
        var source = IdentitySource.Of(identity, _lines);
        var heard = 0;
        source.Changed += _ => throw new InvalidOperationException("a handler");
        source.Changed += _ => heard++;
        for (var i = 0; i < 100; i++)
        {
            using var again = IdentitySource.Of(identity);
            Assert.That(again, Is.SameAs(source), "each of its own would stay in the identity for good");
        }
        Assert.That(source.TakeRoster(authority.Roster(2).Write()), Is.True);
        Assert.That(identity.TakeRoster(authority.Roster(3).Write()), Is.True);
        Assert.That(heard, Is.EqualTo(2), "who else has disposed of it ends nothing");
        Assert.That(_lines.All, Has.Exactly(2).Contains("A handler of IdentitySource.Changed threw"));
        Assert.That(
            IdentitySource.Of(authority.Identity(FlareRole.Site, "hospital-1")), Is.Not.SameAs(source));
    }

    [Test]
    public void The_files_are_looked_at_every_minute()
    {
        var time = new ManualTime();
        using var source = IdentitySource.Open(_path, time: time);
        var before = source.Current;
        _bench.Time.Now += TimeSpan.FromDays(1);
        _bench.Authority.Renew("hospital-1").Save(_path, overwrite: true);
        time.Advance(TimeSpan.FromSeconds(59));
        Assert.That(source.Current, Is.SameAs(before));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.That(source.Current, Is.Not.SameAs(before));
    }

    [Test]
    public void What_is_no_renewal_is_refused_in_words_once_and_the_old_goes_on()
    {
        using var source = Open();
        var before = source.Current;
        using var other = new ProvisioningBench();
        other.Provision();
        foreach (var (bytes, why) in new[]
        {
            ("{"u8.ToArray(), "no JSON"), (File.ReadAllBytes(_bench.KitPath("hospital-2")), "hospital-2"),
            (File.ReadAllBytes(other.KitPath("hospital-1")), "vouches for"),
        })
        {
            File.WriteAllBytes(_path, bytes);
            Assert.That(source.Refresh() || source.Refresh(), Is.False);
            Assert.That(_lines.All.Count(l => l.Contains(why)), Is.EqualTo(1), why);
        }
        File.Delete(_path);
        Assert.That(source.Refresh(), Is.False);
        Assert.That(source.Current, Is.SameAs(before));
    }

    [Test]
    public void A_roster_from_the_network_is_kept_for_the_next_start()
    {
        var handedOut = File.ReadAllBytes(_path);
        var roster = _bench.Provision("hospital-1", "hospital-2", "hospital-3").Roster.Write();
        File.WriteAllBytes(_path, handedOut);
        using (var source = Open())
        {
            Assert.That(source.Current.Roster.Version, Is.EqualTo(1));
            Assert.That(source.TakeRoster(roster), Is.True);
            Assert.That(source.TakeRoster(roster), Is.False);
            Assert.That(source.Refresh(), Is.False, "known already");
        }
        using (var source = Open()) Assert.That(source.Current.Roster.Version, Is.EqualTo(2));
    }

    [Test]
    public void An_operator_may_put_a_roster_beside_the_kit()
    {
        _bench.Provision();
        using var source = Open();
        _bench.Authority.Revoke("hospital-2");
        File.Copy(_bench.Authority.RosterPath, _path + IdentitySource.RosterSuffix);
        Assert.That(source.Refresh(), Is.True);
        Assert.That(source.Current.Roster.Revoked, Has.Count.EqualTo(1));
    }

    [Test]
    public void A_certificate_that_will_soon_expire_is_warned_of_once_a_day()
    {
        using var source = Open();
        _bench.Time.Now += TimeSpan.FromDays(334);
        source.Refresh();
        Assert.That(_lines.All, Has.None.Contains("expires in"));
        _bench.Time.Now += TimeSpan.FromDays(2);
        for (var i = 0; i < 5; i++) source.Refresh();
        Assert.That(
            _lines.All,
            Has.Exactly(1).Contains("expires in 29 days, on 2027-05-04 12:00 UTC: ask the project's operator"));
        _bench.Time.Now += TimeSpan.FromDays(40);
        source.Refresh();
        Assert.That(_lines.All, Has.Exactly(1).Contains("expired on 2027-05-04"));
    }

    [Test]
    public void A_key_that_others_may_read_is_warned_of()
    {
        if (OperatingSystem.IsWindows()) Assert.Ignore("Windows keeps permissions by folder.");
        else File.SetUnixFileMode(_path, (UnixFileMode)0b110_100_000);
        using var source = Open();
        Assert.That(_lines.All, Has.One.Contains("others may read it"));
    }

    private IdentitySource Open() => IdentitySource.Open(_path, time: _bench.Time, logging: _lines);

    private sealed class Lines : ILoggerFactory, ILogger
    {
        public List<string> All { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;
        public void AddProvider(ILoggerProvider provider) { }
        public void Dispose() { }
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter) => All.Add(formatter(state, exception));
    }
}

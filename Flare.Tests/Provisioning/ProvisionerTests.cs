using System.Security.Cryptography.X509Certificates;
using Flare.Provisioning;
using Flare.Transport;

namespace Flare.Tests.Provisioning;

/// <summary>From a project file to members that believe each other, and what comes after.</summary>
public class ProvisionerTests
{
    private ProvisioningBench _bench = null!;

    private DateTimeOffset Now => _bench.Time.Now;

    [SetUp]
    public void Create() => _bench = new();

    [TearDown]
    public void Remove() => _bench.Dispose();

    [TestCase(KeyKind.EcdsaP256), TestCase(KeyKind.Rsa3072)]
    public void Members_believe_each_other_with_kits_alone(KeyKind keys)
    {
        var result = _bench.Authority.Provision(ProvisioningBench.Project(keys: keys), _bench.Folder("kits"));
        Assert.That(result.Created.Select(Path.GetFileName),
            Is.EqualTo(new[] { "server.json", "hospital-1.json", "hospital-2.json" }));
        Assert.That(result.Warnings, Is.Empty);
        using var server = _bench.Identity("server");
        using var site = _bench.Identity("hospital-1");
        Assert.That(server.Verify(site.Certificate, null, FlareRole.Site, Now).Name, Is.EqualTo("hospital-1"));
        Assert.That(site.Verify(server.Certificate, null, FlareRole.Server, Now).Refusal, Is.Null);
        Assert.That(server.Certificate.MatchesHostname("flare.example.org"), Is.True);
        Assert.That(server.Certificate.MatchesHostname("10.0.0.5"), Is.True);
        Assert.That(site.Kit.RootFingerprints, Is.EqualTo(_bench.Authority.RootFingerprints));
        var inAYear = Now.AddDays(366);
        Assert.That(server.Verify(site.Certificate, null, FlareRole.Site, inAYear).Refusal, Does.Contain("is expired"));
    }

    [Test]
    public void A_second_run_changes_no_byte()
    {
        _bench.Provision();
        var before = _bench.Files();
        _bench.Time.Now += TimeSpan.FromDays(1);
        _bench.Reopen();
        var result = _bench.Provision();
        Assert.That(result.Created, Is.Empty);
        Assert.That(_bench.Files(), Is.EqualTo(before));
    }

    [Test]
    public void A_site_added_later_is_believed_by_all_who_take_the_signed_roster()
    {
        _bench.Provision();
        using var server = _bench.Identity("server");
        var keyBefore = StartupKit.Load(_bench.KitPath("hospital-1")).PrivateKey;
        _bench.Time.Now += TimeSpan.FromMinutes(5);
        _bench.Reopen();
        var result = _bench.Provision("hospital-1", "hospital-2", "hospital-3");
        Assert.That(result.Created.Select(Path.GetFileName), Is.EqualTo(new[] { "hospital-3.json" }));
        Assert.That(result.Roster.Version, Is.EqualTo(2));
        using var late = _bench.Identity("hospital-3");
        Assert.That(
            server.Verify(late.Certificate, null, FlareRole.Site, Now).Refusal, Does.Contain("not on the roster"));
        Assert.That(server.TakeRoster(File.ReadAllBytes(_bench.Authority.RosterPath)), Is.True);
        Assert.That(server.Verify(late.Certificate, null, FlareRole.Site, Now).Refusal, Is.Null);
        // Kits that lie in the folder have the new roster, and the key that they had.
        var kit = StartupKit.Load(_bench.KitPath("hospital-1"));
        Assert.That((kit.Roster.Version, kit.PrivateKey), Is.EqualTo((2L, keyBefore)));
    }

    [Test]
    public void A_kit_that_was_handed_out_and_deleted_is_not_made_again()
    {
        _bench.Provision();
        File.Delete(_bench.KitPath("hospital-1"));
        Assert.That(_bench.Provision().Created, Is.Empty);
        Assert.That(File.Exists(_bench.KitPath("hospital-1")), Is.False);
    }

    [Test]
    public void A_file_in_the_way_is_kept_and_nothing_is_made()
    {
        Directory.CreateDirectory(_bench.Folder("kits"));
        File.WriteAllText(_bench.KitPath("hospital-2"), "somebody's key");
        Assert.That(() => _bench.Provision(), Throws.TypeOf<FlareException>().With.Message.Contains("in the way"));
        Assert.That(File.ReadAllText(_bench.KitPath("hospital-2")), Is.EqualTo("somebody's key"));
        Assert.That(_bench.Files().Keys, Is.EqualTo(new[] { Path.Combine("kits", "hospital-2.json") }));
    }

    [Test]
    public void A_run_that_died_between_certificates_and_kits_is_finished_by_the_next()
    {
        _bench.Provision("hospital-1");
        _bench.Time.Now += TimeSpan.FromSeconds(2);
        // As after a crash: the authority says that it made hospital-2's certificate, and there is no kit.
        _bench.Provision("hospital-1", "hospital-2");
        var path = _bench.Folder(Path.Combine("ca", "authority.json"));
        var kit = _bench.KitPath("hospital-2");
        _bench.Authority.Dispose();
        var state = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(path))!;
        state["issued"]![2]!["pending"] = kit;
        File.WriteAllText(path, state.ToJsonString());
        _bench.Reopen();
        Assert.That(_bench.Provision("hospital-1", "hospital-2").Created, Is.Empty, "the kit was written");
        File.Delete(kit);
        _bench.Authority.Dispose();
        File.WriteAllText(path, state.ToJsonString());
        _bench.Reopen();
        _bench.Time.Now += TimeSpan.FromSeconds(2);
        Assert.That(_bench.Provision("hospital-1", "hospital-2").Created, Is.EqualTo(new[] { kit }));
        using var server = _bench.Identity("server");
        using var site = _bench.Identity("hospital-2");
        Assert.That(server.Verify(site.Certificate, null, FlareRole.Site, Now).Refusal, Is.Null);
    }

    [Test]
    public void A_renewed_certificate_has_the_same_key_and_holds_longer()
    {
        _bench.Provision();
        using var server = _bench.Identity("server");
        var kit = StartupKit.Load(_bench.KitPath("hospital-1"));
        _bench.Time.Now += TimeSpan.FromDays(300);
        Assert.That(
            _bench.Authority.Due(TimeSpan.FromDays(90)), Is.EqualTo(new[] { "server", "hospital-1", "hospital-2" }));
        Assert.That(_bench.Provision().Warnings, Has.Exactly(3).Contains("renew it"));
        var renewal = _bench.Authority.Renew("hospital-1");
        Assert.That(renewal.PrivateKey, Is.Null, "it may be sent through the server");
        using var renewed = FlareIdentity.Load(kit.Renew(renewal));
        Assert.That(_bench.Authority.Roster!.Version, Is.EqualTo(1), "the key is the same, so the roster is");
        Assert.That(server.Verify(renewed.Certificate, null, FlareRole.Site, Now.AddDays(364)).Refusal, Is.Null);
        Assert.That(_bench.Authority.Due(TimeSpan.FromDays(90)), Does.Not.Contain("hospital-1"));
        Assert.That(() => renewed.Kit.Renew(kit), Throws.TypeOf<FlareException>().With.Message.Contains("older"));
    }

    [Test]
    public void A_new_key_is_believed_also_by_who_has_the_roster_before_and_the_old_one_until_it_is_revoked()
    {
        _bench.Provision();
        using var server = _bench.Identity("server");
        using var old = _bench.Identity("hospital-1");
        _bench.Time.Now += TimeSpan.FromMinutes(2);
        using var renewed = FlareIdentity.Load(old.Kit.Renew(_bench.Authority.RenewWithNewKey("hospital-1", "x")), "x");
        _bench.Time.Now += TimeSpan.FromMinutes(2);
        Assert.That(_bench.Authority.Roster!.Version, Is.EqualTo(2));
        Assert.That(server.Verify(renewed.Certificate, null, FlareRole.Site, Now).Refusal, Is.Null);
        server.TakeRoster(_bench.Authority.Roster);
        Assert.That(server.Verify(renewed.Certificate, null, FlareRole.Site, Now).Refusal, Is.Null);
        Assert.That(server.Verify(old.Certificate, null, FlareRole.Site, Now).Refusal, Is.Null);
    }

    [Test]
    public void A_revoked_member_is_refused_until_it_has_another_key()
    {
        _bench.Provision();
        using var server = _bench.Identity("server");
        using var old = _bench.Identity("hospital-1");
        server.TakeRoster(_bench.Authority.Revoke("hospital-1", "the laptop was stolen"));
        Assert.That(server.Verify(old.Certificate, null, FlareRole.Site, Now).Refusal,
            Does.Contain("is revoked since 2026-05-04 12:00 UTC (the laptop was stolen)"));
        Assert.That(() => _bench.Authority.Renew("hospital-1"),
            Throws.TypeOf<FlareException>().With.Message.Contains("revoked"));
        Assert.That(() => _bench.Authority.Revoke("hospital-1"), Throws.TypeOf<FlareException>());
        Assert.That(_bench.Provision().Created, Is.Empty, "nobody gets a key unasked");
        using var renewed = FlareIdentity.Load(_bench.Authority.RenewWithNewKey("hospital-1"));
        _bench.Time.Now += TimeSpan.FromSeconds(2);
        server.TakeRoster(_bench.Authority.Roster!);
        Assert.That(server.Verify(renewed.Certificate, null, FlareRole.Site, Now).Refusal, Is.Null);
        Assert.That(server.Verify(old.Certificate, null, FlareRole.Site, Now).Proven, Is.Null);
        // The list forgets a certificate that has expired anyway.
        _bench.Time.Now += TimeSpan.FromDays(400);
        _bench.Provision("hospital-1", "hospital-2", "hospital-4");
        Assert.That(_bench.Authority.Roster!.Revoked, Is.Empty);
    }

    [Test]
    public void Who_leaves_the_project_file_is_named_and_believed_no_more()
    {
        _bench.Provision();
        using var server = _bench.Identity("server");
        using var gone = _bench.Identity("hospital-2");
        var result = _bench.Provision("hospital-1");
        Assert.That(result.Removed, Is.EqualTo(new[] { "hospital-2" }));
        server.TakeRoster(result.Roster);
        Assert.That(
            server.Verify(gone.Certificate, null, FlareRole.Site, Now).Refusal, Does.Contain("not on the roster"));
        Assert.That(() => _bench.Authority.Renew("hospital-2"), Throws.TypeOf<FlareException>());
    }

    [Test]
    public void Roots_change_without_a_day_on_which_somebody_is_refused()
    {
        _bench.Provision();
        using var server = _bench.Identity("server"); // stays with the old root
        using var old = _bench.Identity("hospital-2");
        _bench.Authority.RotateRoot();
        Assert.That(() => _bench.Authority.RotateRoot(), Throws.TypeOf<FlareException>());
        _bench.Reopen();
        _bench.Time.Now += TimeSpan.FromMinutes(1);
        using var renewed = FlareIdentity.Load(
            StartupKit.Load(_bench.KitPath("hospital-1")).Renew(_bench.Authority.Renew("hospital-1")));
        Assert.That(renewed.Roots, Has.Count.EqualTo(2));
        Assert.That(server.TakeRoster(_bench.Authority.Roster!.Write()), Is.True, "signed by both");
        Assert.That(
            server.Verify(renewed.Certificate, renewed.Intermediates, FlareRole.Site, Now).Refusal, Is.Null);
        Assert.That(renewed.Verify(server.Certificate, null, FlareRole.Server, Now).Refusal, Is.Null);
        Assert.That(old.Verify(renewed.Certificate, renewed.Intermediates, FlareRole.Site, Now).Refusal, Is.Null);
        Assert.That(() => _bench.Authority.RetireOldRoot(),
            Throws.TypeOf<FlareException>().With.Message.Contains("server, hospital-2 still have"));
        using var server2 = FlareIdentity.Load(server.Kit.Renew(_bench.Authority.Renew("server")));
        _bench.Authority.Renew("hospital-2");
        _bench.Authority.RetireOldRoot();
        _bench.Reopen();
        var last = renewed.Kit.Renew(_bench.Authority.Renew("hospital-1"));
        Assert.That(last.TrustRoots, Has.Count.EqualTo(1));
        using var alone = FlareIdentity.Load(last);
        Assert.That(alone.Verify(server2.Certificate, server2.Intermediates, FlareRole.Server, Now).Refusal, Is.Null);
        Assert.That(alone.Verify(server.Certificate, null, FlareRole.Server, Now).Refusal, Does.Contain("root 1"));
    }

    [Test]
    public void Keys_at_rest_want_their_passphrases()
    {
        using var bench = new ProvisioningBench("the root's");
        bench.Authority.Provision(ProvisioningBench.Project(), bench.Folder("kits"), name => $"that of {name}");
        var rootKey = File.ReadAllText(bench.Folder(Path.Combine("ca", "root-1.key")));
        Assert.That(rootKey, Does.StartWith("-----BEGIN ENCRYPTED PRIVATE KEY"));
        Assert.That(() => bench.Reopen("another"),
            Throws.TypeOf<FlareException>().With.Message.Contains("passphrase is wrong"));
        Assert.That(() => Provisioner.Open(bench.Folder("ca")),
            Throws.TypeOf<FlareException>().With.Message.Contains("wants a passphrase"));
        Assert.That(() => bench.Identity("hospital-1"), Throws.TypeOf<FlareException>());
        using (var identity = FlareIdentity.Load(bench.KitPath("hospital-1"), "that of hospital-1"))
            Assert.That(identity.Name, Is.EqualTo("hospital-1"));
        bench.Reopen("the root's");
    }

    [Test]
    public void Secrets_are_their_owners_alone()
    {
        _bench.Provision();
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Windows keeps permissions by folder.");
            return;
        }
        foreach (var file in new[] { _bench.KitPath("server"), _bench.Folder(Path.Combine("ca", "root-1.key")) })
            Assert.That(File.GetUnixFileMode(file), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
    }

    [Test]
    public void Two_at_once_and_another_project_are_refused()
    {
        _bench.Provision();
        Assert.That(() => Provisioner.Open(_bench.Folder("ca")),
            Throws.TypeOf<FlareException>().With.Message.Contains("at work in another process"));
        Assert.That(
            () => _bench.Authority.Provision(
                ProvisioningBench.Project() with { Project = "another" }, _bench.Folder("kits")),
            Throws.TypeOf<FlareException>().With.Message.Contains("'digits-study'"));
        Assert.That(
            () => _bench.Authority.Provision(
                ProvisioningBench.Project(["server-2"]) with { Server = new("hospital-1", []) }, _bench.Folder("kits")),
            Throws.TypeOf<FlareException>().With.Message.Contains("'hospital-1' was site 'hospital-1'"));
    }

    [Test]
    public void Names_of_any_kind_have_files_and_certificates()
    {
        string[] names =
            ["病院", "..", "a/b\\c", "St. Mary's \"East\", 2nd=floor+x", new('é', 100), new string('é', 99) + "e"];
        var result = _bench.Provision(names);
        Assert.That(result.Created, Has.Count.EqualTo(7).And.Unique);
        using var server = _bench.Identity("server");
        foreach (var name in names)
        {
            Assert.That(Path.GetDirectoryName(_bench.KitPath(name)), Is.EqualTo(_bench.Folder("kits")));
            using var site = _bench.Identity(name);
            Assert.That(server.Verify(site.Certificate, null, FlareRole.Site, Now).Name, Is.EqualTo(name));
        }
    }

    [Test]
    public void A_changed_address_is_said_and_a_renewed_kit_has_it()
    {
        _bench.Provision();
        var moved = ProvisioningBench.Project() with { Server = new("server", [new("flare://new.example.org:1")]) };
        Assert.That(_bench.Authority.Provision(moved, _bench.Folder("kits")).Warnings.Single(),
            Does.Contain("addresses have changed"));
        var kit = _bench.Authority.Renew("server");
        Assert.That(kit.Addresses.Single().OriginalString, Is.EqualTo("flare://new.example.org:1"));
        using var certificate = X509CertificateLoader.LoadCertificate(kit.Certificates[0].Span);
        Assert.That(certificate.MatchesHostname("new.example.org"), Is.True);
    }
}

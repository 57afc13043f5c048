using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Flare.Transport;

namespace Flare.Tests.Transport.Identity;

/// <summary>Rosters: a newer one is taken from anybody because it is signed.</summary>
public class RosterTests
{
    private TestAuthority _authority = null!;

    [SetUp]
    public void Create() => _authority = new();

    [TearDown]
    public void Remove() => _authority.Dispose();

    [Test]
    public void A_newer_one_is_taken_and_an_older_one_is_not()
    {
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        var (two, three) = (_authority.Roster(2), _authority.Roster(3));
        Assert.That(site.TakeRoster(three.Write()), Is.True);
        Assert.That(site.TakeRoster(three.Write()), Is.False, "known already");
        Assert.That(
            () => site.TakeRoster(two.Write()), Throws.TypeOf<FlareException>().With.Message.Contains("version 2"));
        Assert.That((site.Roster.Version, site.Kit.Roster.Version), Is.EqualTo((3L, 3L)));
    }

    [Test]
    public void Two_of_one_number_that_say_different_things_are_noticed()
    {
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        var other = _authority.Roster(1, new RosterMember("server", FlareRole.Server));
        Assert.That(() => site.TakeRoster(other.Write()),
            Throws.TypeOf<FlareException>().With.Message.Contains("both are signed"));
    }

    [Test]
    public void Another_projects_and_another_authoritys_are_refused()
    {
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        using var other = new TestAuthority("Other");
        Assert.That(() => site.TakeRoster(other.Roster(2).Write()),
            Throws.TypeOf<FlareException>().With.Message.Contains("'CN=Other'"));
        var elsewhere = Roster.Issue("another", 2, TestAuthority.Now, [], [], _authority.Signer);
        Assert.That(() => site.TakeRoster(elsewhere.Write()),
            Throws.TypeOf<FlareException>().With.Message.Contains("'another'"));
        Assert.That(site.Roster.Version, Is.EqualTo(1));
    }

    [Test]
    public void A_member_cannot_sign_one_though_a_root_vouches_for_its_key()
    {
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        Assert.That(() => new KitSigner(site.Certificate), Throws.ArgumentException);
        // It signs with its key as a forged authority's, and shows its own true certificate.
        using var key = site.Certificate.GetECDsaPrivateKey()!;
        var request = new CertificateRequest("CN=Root", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var forged = request.CreateSelfSigned(TestAuthority.Now, TestAuthority.Now.AddDays(1));
        var roster = JsonNode.Parse(
            Roster.Issue(TestAuthority.Project, 2, TestAuthority.Now, [], [], new KitSigner(forged)).Write())!;
        Assert.That(() => site.TakeRoster(Bytes(roster)), Throws.TypeOf<FlareException>());
        roster["signature"]!["certificates"]![0] = site.Certificate.ExportCertificatePem();
        Assert.That(() => site.TakeRoster(Bytes(roster)),
            Throws.TypeOf<FlareException>().With.Message.Contains("none of the trusted roots"));
        Assert.That(site.Roster.Version, Is.EqualTo(1));
    }

    [Test]
    public void A_kits_roster_may_be_newer_than_the_kit_and_never_older()
    {
        var kit = JsonNode.Parse(_authority.Kit(new(FlareRole.Site, "hospital-1"), _authority.Roster(4)).Write())!;
        kit["roster"] = JsonNode.Parse(_authority.Roster(5).Write());
        Assert.That(StartupKit.Parse(Bytes(kit)).Roster.Version, Is.EqualTo(5));
        kit["roster"] = JsonNode.Parse(_authority.Roster(3).Write());
        Assert.That(() => StartupKit.Parse(Bytes(kit)),
            Throws.TypeOf<FlareException>().With.Message.Contains("version 3, older than version 4"));
    }

    [Test]
    public void A_member_is_found_by_name_with_its_keys()
    {
        var roster = _authority.Roster(
            2, new RosterMember("病院", FlareRole.Site)
            {
                Keys = [new('0', 64)], FurtherKeys = [new("secagg.ecdh", new byte[] { 1, 2, 3 })],
            });
        var read = Roster.Parse(roster.Write(), _authority.Roots);
        var member = read.Find("病院")!;
        Assert.That(member.Keys, Is.EqualTo(new[] { new string('0', 64) }));
        Assert.That(member.FurtherKeys.Single().PublicKey.ToArray(), Is.EqualTo(new byte[] { 1, 2, 3 }));
        Assert.That(read.Find("hospital-1"), Is.Null);
        Assert.That(read.Fingerprint, Is.EqualTo(roster.Fingerprint));
    }

    [Test]
    public void What_can_be_no_roster_is_not_made()
    {
        foreach (var members in new RosterMember[][]
        {
            [new("a", FlareRole.Site), new("a", FlareRole.Server)], [new("", FlareRole.Site)],
            [new("a", FlareRole.Site) { Keys = ["AB"] }],
            [new("a", FlareRole.Site) { FurtherKeys = [new("Two words", new byte[1])] }],
        })
            Assert.That(() => _authority.Roster(1, members), Throws.ArgumentException);
        Assert.That(() => _authority.Roster(0), Throws.ArgumentException);
        Assert.That(
            () => Roster.Issue(
                "p", 1, TestAuthority.Now, [], [new("AB", default), new("AB", default)], _authority.Signer),
            Throws.ArgumentException.With.Message.Contains("revoked twice"));
    }

    [Test]
    public void A_roster_of_ten_thousand_is_read_within_its_limit()
    {
        var members = Enumerable.Range(0, 10_000).Select(
            i => new RosterMember($"hospital-{i}", FlareRole.Site) { Keys = [Convert.ToHexStringLower(new byte[32])] });
        var bytes = _authority.Roster(1, [.. members]).Write();
        Assert.That(bytes, Has.Length.LessThan(Roster.MaxBytes / 4));
        Assert.That(Roster.Parse(bytes, _authority.Roots).Members, Has.Count.EqualTo(10_000));
    }

    private static byte[] Bytes(JsonNode file) => Encoding.UTF8.GetBytes(file.ToJsonString());
}

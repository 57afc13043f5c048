using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Flare.Transport;

namespace Flare.Tests.Transport.Identity;

/// <summary>Who is believed, and in which words the others are refused.</summary>
public class VerifyTests
{
    private static readonly DateTimeOffset Now = TestAuthority.Now;
    private TestAuthority _authority = null!;
    private FlareIdentity _server = null!;

    [SetUp]
    public void Create()
    {
        _authority = new();
        _server = _authority.Identity(FlareRole.Server, "server");
    }

    [TearDown]
    public void Remove()
    {
        _server.Dispose();
        _authority.Dispose();
    }

    [TestCase(false), TestCase(true)]
    public void A_member_proves_its_name_to_another(bool isRsa)
    {
        using var authority = new TestAuthority("Root", isRsa);
        var server = authority.Identity(FlareRole.Server, "server", isRsa: isRsa);
        var site = authority.Identity(FlareRole.Site, "hospital-1", isRsa: isRsa);
        var proof = server.Verify(site.Certificate, null, FlareRole.Site, Now);
        Assert.That(proof.Refusal, Is.Null);
        Assert.That(proof.Proven, Is.EqualTo(new CertifiedName(FlareRole.Site, "hospital-1")));
        Assert.That(site.Verify(server.Certificate, [], FlareRole.Server, Now).Name, Is.EqualTo("server"));
        Assert.That(site.Fault(Now), Is.Null);
    }

    [Test]
    public void A_certificate_is_refused_before_and_after_its_time()
    {
        var certificate = Site("hospital-1", Now, Now.AddDays(30));
        Assert.That(Refusal(certificate, Now.AddSeconds(-1)),
            Is.EqualTo("it names site 'hospital-1' and is not yet valid until 2026-05-04 12:00 UTC, and here it is "
                + "2026-05-04 11:59 UTC: are the clocks right?"));
        Assert.That(Refusal(certificate, Now), Is.Null);
        Assert.That(Refusal(certificate, Now.AddDays(30).AddSeconds(-1)), Is.Null);
        Assert.That(Refusal(certificate, Now.AddDays(30).AddSeconds(1)),
            Is.EqualTo("it names site 'hospital-1' and is expired since 2026-06-03 12:00 UTC, and here it is "
                + "2026-06-03 12:00 UTC: renew it"));
        Assert.That(
            Refusal(Site("hospital-1", Now, Now.AddYears(9)), Now.AddYears(9).AddDays(1)),
            Does.Contain("is expired since"));
    }

    [Test]
    public void An_own_certificate_that_is_over_says_so()
    {
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        Assert.That(site.Fault(Now.AddDays(90)), Does.Contain("is expired since 2026-08-01"));
    }

    [Test]
    public void A_certificate_of_an_authority_that_is_over_names_the_authority()
    {
        var certificate = Site("hospital-1", Now, Now.AddYears(20));
        Assert.That(
            Refusal(certificate, Now.AddYears(10)), Does.Contain("hangs on that of 'CN=Root', which is expired"));
    }

    [TestCase("Other"), TestCase("Root")]
    public void A_certificate_of_another_authority_is_refused_whatever_it_calls_itself(string name)
    {
        using var other = new TestAuthority(name);
        var stranger = other.Certify(new CertifiedName(FlareRole.Site, "hospital-1"));
        foreach (var extra in new X509Certificate2Collection[] { [], [other.Root] })
        {
            var proof = _server.Verify(stranger, extra, FlareRole.Site, Now);
            Assert.That(proof.Proven, Is.Null);
            Assert.That(proof.Refusal, Does.Contain($"'CN={name}'").Or.Contain("signature"));
        }
    }

    [Test]
    public void A_certificate_signed_by_itself_or_by_a_member_is_refused()
    {
        using var own = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=x", own, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new CertifiedName(FlareRole.Site, "hospital-1").ToExtension());
        using var selfSigned = request.CreateSelfSigned(Now.AddDays(-1), Now.AddDays(1));
        Assert.That(
            _server.Verify(selfSigned, null, FlareRole.Site, Now).Refusal, Does.Contain("none of the certificate"));

        // hospital-2 plays authority with its own key.
        var member = _authority.Certify(new CertifiedName(FlareRole.Site, "hospital-2"));
        using var forged = request.Create(
            member.SubjectName, X509SignatureGenerator.CreateForECDsa(member.GetECDsaPrivateKey()!), Now.AddDays(-1),
            Now.AddDays(1), [1, 2, 3]);
        Assert.That(_server.Verify(forged, [member], FlareRole.Site, Now).Proven, Is.Null);
    }

    [Test]
    public void A_flipped_bit_anywhere_is_no_proof()
    {
        var bytes = Site("hospital-1", Now, Now.AddDays(30)).RawData;
        var read = 0;
        for (var i = 0; i < bytes.Length; i++)
        {
            var changed = (byte[])bytes.Clone();
            changed[i] ^= 1;
            X509Certificate2 certificate;
            try
            {
                certificate = X509CertificateLoader.LoadCertificate(changed);
            }
            catch (CryptographicException)
            {
                continue;
            }
            using (certificate)
                Assert.That(_server.Verify(certificate, null, FlareRole.Site, Now).Proven, Is.Null, $"byte {i}");
            read++;
        }
        Assert.That(read, Is.GreaterThan(100));
    }

    [Test]
    public void A_member_in_the_wrong_role_is_refused()
    {
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        Assert.That(Refusal(_server.Certificate, Now), Does.Contain("names server 'server'").And.Contain("wrong role"));
        Assert.That(site.Verify(site.Certificate, null, FlareRole.Server, Now).Refusal, Does.Contain("wrong role"));
        // The name says one thing, what the key may be used for another.
        var mixed = _authority.Certify("flare:site:hospital-1", forServer: true);
        Assert.That(Refusal(mixed, Now), Does.Contain("wrong role"));
        var elsewhere = _authority.Certify("flare:site:server", forServer: false);
        Assert.That(Refusal(elsewhere, Now), Does.Contain("is a server on the roster"));
    }

    [TestCase("", "no name of Flare's"), TestCase("https://example.org/", "no name of Flare's")]
    [TestCase("flare:site:", "not written"), TestCase("flare:site", "not written")]
    [TestCase("flare:relay:hospital-1", "not written"), TestCase("flare:site:a:b", "not written")]
    [TestCase("flare:site:hospital%2D1", "not written", false), TestCase("flare:site:%0Ax", "not written")]
    [TestCase("flare:site:%C3", "not written"), TestCase("FLARE:site:hospital-1", "not written", false)]
    public void A_certificate_without_a_proper_name_is_refused(string uri, string why, bool parses = true)
    {
        // The platform's builder writes some of them properly: those go in by hand.
        var certificate = parses ? _authority.Certify(uri, forServer: false)
            : _authority.Certify("", forServer: false, change: r => Replace(r, [uri]));
        Assert.That(Refusal(certificate, Now), Does.Contain(why));
    }

    [Test]
    public void A_certificate_with_two_names_is_refused_also_where_they_are_the_same()
    {
        foreach (var second in new[] { "flare:site:hospital-1", "flare:site:hospital-2", "flare:server:server" })
        {
            var certificate = _authority.Certify(
                "", forServer: false, change: r => Replace(r, ["flare:site:hospital-1", second]));
            Assert.That(Refusal(certificate, Now), Does.Contain("it has 2 names"));
        }
    }

    [Test]
    public void A_name_that_is_not_on_the_roster_is_refused_until_a_newer_roster_has_it()
    {
        var late = Site("hospital-3", Now, Now.AddDays(30));
        Assert.That(Refusal(late, Now), Does.Contain("names site 'hospital-3' and is not on the roster (version 1)"));
        var newer = _authority.Roster(2, [.. _authority.Everybody().Members, new("hospital-3", FlareRole.Site)]);
        Assert.That(_server.TakeRoster(newer.Write()), Is.True);
        Assert.That(Refusal(late, Now), Is.Null);
    }

    [Test]
    public void A_revoked_certificate_is_refused_and_one_renewed_is_not()
    {
        var (lost, renewed) = (Site("hospital-1", Now, Now.AddDays(30)), Site("hospital-1", Now, Now.AddDays(30)));
        _server.TakeRoster(Roster.Issue(
            TestAuthority.Project, 2, Now, _authority.Everybody().Members,
            [new(lost.SerialNumber, Now.AddHours(-1), "the laptop was stolen")], _authority.Signer));
        Assert.That(Refusal(lost, Now), Is.EqualTo(
            "it names site 'hospital-1' and is revoked since 2026-05-04 11:00 UTC (the laptop was stolen): it takes a "
            + "new kit with a new key"));
        Assert.That(Refusal(renewed, Now), Is.Null);
    }

    [Test]
    public void A_key_that_the_roster_replaced_is_refused_and_one_that_is_newer_than_the_roster_is_not()
    {
        var old = Site("hospital-1", Now.AddDays(-2), Now.AddDays(30));
        var known = Site("hospital-1", Now, Now.AddDays(30));
        var fingerprint = Convert.ToHexStringLower(SHA256.HashData(known.PublicKey.ExportSubjectPublicKeyInfo()));
        _server.TakeRoster(
            _authority.Roster(2, new RosterMember("hospital-1", FlareRole.Site) { Keys = [fingerprint] }));
        Assert.That(Refusal(old, Now), Does.Contain("a key that version 2 of the roster does not list"));
        Assert.That(Refusal(known, Now), Is.Null);
        Assert.That(Refusal(Site("hospital-1", Now.AddSeconds(1), Now.AddDays(30)), Now.AddHours(1)), Is.Null);
    }

    [Test]
    public void While_roots_change_members_of_both_believe_each_other()
    {
        using var next = new TestAuthority("Next");
        var cross = next.CrossSignedBy(_authority);
        // Renewed under the next root; it still trusts the old one, and shows the cross-signed certificate.
        var certificate = next.Certify(new CertifiedName(FlareRole.Site, "hospital-1"));
        var kit = StartupKit.Issue(
            new()
            {
                Project = TestAuthority.Project, Member = new(FlareRole.Site, "hospital-1"), Addresses = [],
                Certificates = [certificate.RawData, cross.RawData], PrivateKey = TestAuthority.Key(certificate),
                TrustRoots = [_authority.Root.RawData, next.Root.RawData], Roster = _authority.Everybody(),
            },
            new KitSigner(next.Root, [cross]));
        using var site = FlareIdentity.Load(_authority.Kit(kit.Member).Renew(kit));
        Assert.That(_server.Verify(site.Certificate, site.Intermediates, FlareRole.Site, Now).Refusal, Is.Null);
        Assert.That(_server.Verify(site.Certificate, null, FlareRole.Site, Now).Refusal, Does.Contain("'CN=Next'"));
        Assert.That(site.Verify(_server.Certificate, null, FlareRole.Server, Now).Refusal, Is.Null);
        // A roster that the next root signed is believed by who trusts the old one alone.
        var roster = Roster.Issue(
            TestAuthority.Project, 2, Now, _authority.Everybody().Members, [], new KitSigner(next.Root, [cross]));
        Assert.That(_server.TakeRoster(roster.Write()), Is.True);
        Assert.That(
            () => _server.TakeRoster(Roster.Issue(TestAuthority.Project, 3, Now, [], [], next.Signer).Write()),
            Throws.TypeOf<FlareException>().With.Message.Contains("signed by 'CN=Next'"));
    }

    [Test]
    public void A_weak_key_is_refused()
    {
        using var weak = RSA.Create(1024);
        var request = new CertificateRequest("CN=x", weak, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new CertifiedName(FlareRole.Site, "hospital-1").ToExtension());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.2")], false));
        using var certificate = request.Create(
            _authority.Root.SubjectName, X509SignatureGenerator.CreateForECDsa(_authority.Root.GetECDsaPrivateKey()!),
            Now.AddDays(-1), Now.AddDays(1), [1, 2, 3]);
        Assert.That(Refusal(certificate, Now), Does.Contain("1024 bits").Or.Contain("does not hold"));
    }

    [Test]
    public void No_certificate_is_no_proof() =>
        Assert.That(_server.Verify(null, null, FlareRole.Site, Now).Refusal, Does.Contain("shows no certificate"));

    private string? Refusal(X509Certificate2 certificate, DateTimeOffset now)
    {
        var proof = _server.Verify(certificate, null, FlareRole.Site, now);
        Assert.That(proof.Proven is null, Is.EqualTo(proof.Refusal is not null));
        return proof.Refusal;
    }

    private X509Certificate2 Site(string name, DateTimeOffset from, DateTimeOffset until) =>
        _authority.Certify(new CertifiedName(FlareRole.Site, name).Uri, false, from, until);

    private static void Replace(CertificateRequest request, string[] uris)
    {
        var names = request.CertificateExtensions.Single(e => e.Oid!.Value == "2.5.29.17");
        request.CertificateExtensions.Remove(names);
        byte[] body = [.. uris.SelectMany(u => (byte[])[0x86, (byte)u.Length, .. Encoding.ASCII.GetBytes(u)])];
        request.CertificateExtensions.Add(new X509Extension("2.5.29.17", [0x30, (byte)body.Length, .. body], false));
    }
}

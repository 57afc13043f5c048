using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Flare.Provisioning;
using Flare.Transport;

namespace Flare.Tests.Provisioning;

/// <summary>Keys that are made at the site: files in, files out, and nobody on the way can use them.</summary>
public class EnrolmentTests
{
    private static readonly TimeSpan Week = TimeSpan.FromDays(7);
    private ProvisioningBench _bench = null!;

    [SetUp]
    public void Create() => _bench = new();

    [TearDown]
    public void Remove() => _bench.Dispose();

    [TestCase(KeyKind.EcdsaP256, null), TestCase(KeyKind.Rsa3072, "ein Satz")]
    public void A_site_enrols_with_its_own_key(KeyKind keys, string? passphrase)
    {
        Assert.That(
            _bench.Provision("hospital-1", "hospital-2*").AwaitingEnrolment, Is.EqualTo(new[] { "hospital-2" }));
        using var server = _bench.Identity("server");
        var token = _bench.Authority.CreateToken("hospital-2", Week);
        _bench.Reopen();
        var key = _bench.Folder("site.key");
        var request = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, key, passphrase, keys).Write();
        Assert.That(Encoding.UTF8.GetString(request), Does.Not.Contain(token.Split('.')[1]), "the server may see it");
        var kit = _bench.Authority.Enrol(EnrolmentRequest.Parse(request));
        Assert.That(kit.PrivateKey, Is.Null);
        var whole = SiteEnrolment.Complete(StartupKit.Parse(kit.Write()), token, key, passphrase);
        Assert.That(whole.IsKeyEncrypted, Is.EqualTo(passphrase is not null));
        using var site = FlareIdentity.Load(whole, passphrase);
        _bench.Time.Now += TimeSpan.FromSeconds(2);
        Assert.That(site.Verify(server.Certificate, null, FlareRole.Server, _bench.Time.Now).Refusal, Is.Null);
        Assert.That(server.Verify(site.Certificate, null, FlareRole.Site, _bench.Time.Now).Refusal, Is.Null);
        Assert.That(_bench.Provision("hospital-1", "hospital-2*").AwaitingEnrolment, Is.Empty);
    }

    [Test]
    public void A_request_that_comes_again_gets_its_certificate_again_and_another_key_does_not()
    {
        _bench.Provision("hospital-2*");
        var token = _bench.Authority.CreateToken("hospital-2", Week);
        var request = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, _bench.Folder("a.key"));
        var first = Certificate(request);
        _bench.Reopen();
        Assert.That(Certificate(request), Is.EqualTo(first));
        // Asking again with the key that is there is the same request in other words.
        var again = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, _bench.Folder("a.key"));
        Assert.That(Certificate(again), Is.EqualTo(first));
        var other = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, _bench.Folder("b.key"));
        Assert.That(() => _bench.Authority.Enrol(other),
            Throws.TypeOf<FlareException>().With.Message.Contains("used for another key"));
    }

    [Test]
    public void Whoever_carries_a_request_can_change_nothing_of_it()
    {
        _bench.Provision("hospital-1*", "hospital-2*");
        var token = _bench.Authority.CreateToken("hospital-2", Week);
        var others = _bench.Authority.CreateToken("hospital-1", Week);
        var request = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, _bench.Folder("a.key"));
        var file = JsonNode.Parse(request.Write())!.AsObject();
        using var thief = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var stolen = new CertificateRequest("CN=x", thief, HashAlgorithmName.SHA256).CreateSigningRequestPem();
        foreach (var (member, value) in new[]
        {
            ("name", "hospital-1"), ("project", "another"), ("token", others.Split('.')[0]), ("request", stolen),
            ("proof", Convert.ToBase64String(new byte[32])), ("proof", ""), ("format", "flare-enrolment/2"),
            ("name", ""),
        })
        {
            var changed = file.DeepClone().AsObject();
            changed[member] = value;
            Assert.That(
                () => _bench.Authority.Enrol(EnrolmentRequest.Parse(Encoding.UTF8.GetBytes(changed.ToJsonString()))),
                Throws.TypeOf<FlareException>(), $"{member}: {value}");
        }
        _bench.Authority.Enrol(EnrolmentRequest.Parse(Encoding.UTF8.GetBytes(file.ToJsonString())));
    }

    [Test]
    public void A_kit_of_another_authority_is_no_answer()
    {
        _bench.Provision("hospital-2*");
        var token = _bench.Authority.CreateToken("hospital-2", Week);
        var key = _bench.Folder("a.key");
        var request = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, key);
        // A server that plays authority: the same names, its own root, and the site's own public key.
        using var server = new ProvisioningBench();
        server.Provision("hospital-2*");
        var forged = SiteEnrolment.CreateRequest(
            "digits-study", "hospital-2", server.Authority.CreateToken("hospital-2", Week), key);
        Assert.That(() => SiteEnrolment.Complete(server.Authority.Enrol(forged), token, key),
            Throws.TypeOf<FlareException>().With.Message.Contains("another certificate authority than the token"));
        var kit = _bench.Authority.Enrol(request);
        SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, _bench.Folder("b.key"));
        Assert.That(() => SiteEnrolment.Complete(kit, token, _bench.Folder("b.key")),
            Throws.TypeOf<FlareException>().With.Message.Contains("not the certificate's"));
    }

    [Test]
    public void A_token_that_is_over_or_for_nobody_is_refused()
    {
        _bench.Provision("hospital-1", "hospital-2*");
        Assert.That(() => _bench.Authority.CreateToken("hospital-1", Week),
            Throws.TypeOf<FlareException>().With.Message.Contains("key: site"));
        Assert.That(() => _bench.Authority.CreateToken("hospital-9", Week), Throws.TypeOf<FlareException>());
        var token = _bench.Authority.CreateToken("hospital-2", Week);
        var request = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, _bench.Folder("a.key"));
        _bench.Time.Now += Week + TimeSpan.FromSeconds(1);
        Assert.That(
            () => _bench.Authority.Enrol(request), Throws.TypeOf<FlareException>().With.Message.Contains("over"));
        foreach (var broken in new[] { "", "a.b.c", token[..^1], token.Replace('.', ' ') })
        {
            Assert.That(
                () => SiteEnrolment.CreateRequest("p", "hospital-2", broken, _bench.Folder("c.key")),
                Throws.TypeOf<FlareException>().With.Message.Contains("token"));
        }
        Assert.That(File.Exists(_bench.Folder("c.key")), Is.False);
    }

    [Test]
    public void Weak_keys_and_requests_without_their_key_are_refused()
    {
        _bench.Provision("hospital-2*");
        using var weak = RSA.Create(1024);
        var good = SiteEnrolment.CreateRequest(
            "digits-study", "hospital-2", _bench.Authority.CreateToken("hospital-2", Week), _bench.Folder("a.key")).Pem;
        var bytes = Convert.FromBase64String(string.Concat(good.Split('\n')[1..^1]));
        bytes[^1] ^= 1;
        foreach (var pem in new[]
        {
            new CertificateRequest("CN=x", weak, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
                .CreateSigningRequestPem(),
            PemEncoding.WriteString("CERTIFICATE REQUEST", bytes), "", "x",
        })
        {
            var token = EnrolmentToken.Read(_bench.Authority.CreateToken("hospital-2", Week));
            Assert.That(
                () => _bench.Authority.Enrol(EnrolmentRequest.Create("digits-study", "hospital-2", token, pem)),
                Throws.TypeOf<FlareException>());
        }
    }

    private byte[] Certificate(EnrolmentRequest request) =>
        _bench.Authority.Enrol(request).Certificates[0].ToArray();

    [Test]
    public void Mutated_requests_are_refused_in_one_way()
    {
        _bench.Provision("hospital-2*");
        var token = _bench.Authority.CreateToken("hospital-2", Week);
        var bytes = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, _bench.Folder("a.key")).Write();
        var random = new Random(5);
        for (var i = 0; i < 3000; i++)
        {
            var changed = (byte[])bytes.Clone();
            for (var flips = random.Next(1, 4); flips > 0; flips--)
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            if (random.Next(3) == 0) changed = changed[..random.Next(changed.Length)];
            try
            {
                EnrolmentRequest.Parse(changed);
            }
            catch (FlareException e)
            {
                Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.Identity));
            }
        }
    }
}

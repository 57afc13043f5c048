using System.ComponentModel;
using System.Diagnostics;
using Flare.Provisioning;
using Flare.Transport;

namespace Flare.Tests.Provisioning;

/// <summary>What OpenSSL's command line thinks of our certificates, keys and requests.</summary>
public class OpenSslTests
{
    private ProvisioningBench _bench = null!;

    [SetUp]
    public void Create()
    {
        _bench = new();
        try
        {
            Run("version");
        }
        catch (Win32Exception)
        {
            _bench.Dispose();
            Assert.Ignore("The command line 'openssl' is not installed: nobody else looks at our certificates.");
        }
    }

    [TearDown]
    public void Remove() => _bench.Dispose();

    [TestCase(KeyKind.EcdsaP256, "id-ecPublicKey"), TestCase(KeyKind.Rsa3072, "3072 bit")]
    public void It_verifies_the_chain_for_its_use_alone_and_shows_the_name(KeyKind keys, string shown)
    {
        _bench.Authority.Provision(ProvisioningBench.Project(["St. Mary's"], keys), _bench.Folder("kits"));
        var (root, site) = (Root(1), Certificate("St. Mary's"));
        var at = $"{_bench.Time.Now.ToUnixTimeSeconds()}";
        string[] verify = ["verify", "-x509_strict", "-attime", at, "-CAfile", root];
        Assert.That(Run([.. verify, "-purpose", "sslclient", site]), Does.EndWith("OK"));
        Assert.That(Run([.. verify, "-purpose", "sslserver", site]), Does.Contain("unsuitable certificate purpose"));
        var server = Certificate("server");
        Assert.That(
            Run([.. verify, "-purpose", "sslserver", "-verify_hostname", "flare.example.org", server]),
            Does.EndWith("OK"));
        Assert.That(Run([.. verify, "-verify_hostname", "evil.example.org", server]), Does.Contain("mismatch"));
        Assert.That(Run([.. verify, "-verify_ip", "10.0.0.5", server]), Does.EndWith("OK"));
        var text = Run("x509", "-in", site, "-noout", "-text");
        Assert.That(text, Does.Contain("URI:flare:site:St.%20Mary%27s").And.Contain(shown).And.Contain("CA:FALSE"));
        var late = $"{_bench.Time.Now.AddDays(366).ToUnixTimeSeconds()}";
        Assert.That(Run("verify", "-attime", late, "-CAfile", root, site), Does.Contain("certificate has expired"));
    }

    [Test]
    public void It_goes_from_a_renewed_certificate_over_the_cross_signed_one_to_the_old_root()
    {
        _bench.Provision();
        _bench.Authority.RotateRoot();
        _bench.Time.Now += TimeSpan.FromMinutes(1);
        var renewed = Write("renewed.crt", _bench.Authority.Renew("hospital-1").Certificates[0]);
        string[] verify = ["verify", "-x509_strict", "-attime", $"{_bench.Time.Now.ToUnixTimeSeconds()}"];
        var cross = _bench.Folder(Path.Combine("ca", "cross-2.crt"));
        Assert.That(Run([.. verify, "-CAfile", Root(1), "-untrusted", cross, renewed]), Does.EndWith("OK"));
        Assert.That(Run([.. verify, "-CAfile", Root(2), renewed]), Does.EndWith("OK"));
        Assert.That(Run([.. verify, "-CAfile", Root(1), renewed]), Does.Contain("unable to get local issuer"));
    }

    [Test]
    public void It_opens_an_encrypted_key_with_its_passphrase_alone()
    {
        _bench.Authority.Provision(ProvisioningBench.Project(), _bench.Folder("kits"), _ => "ein Satz");
        var key = _bench.Folder("site.key");
        File.WriteAllText(key, StartupKit.Load(_bench.KitPath("hospital-1")).PrivateKey);
        var fromKey = Run("pkey", "-in", key, "-passin", "pass:ein Satz", "-pubout");
        Assert.That(fromKey, Is.EqualTo(Run("x509", "-in", Certificate("hospital-1"), "-noout", "-pubkey")));
        Assert.That(Run("pkey", "-in", key, "-passin", "pass:wrong", "-pubout"), Does.Not.Contain("PUBLIC KEY-----"));
    }

    [Test]
    public void It_verifies_our_requests_and_we_certify_its_own()
    {
        _bench.Provision("hospital-2*");
        var token = _bench.Authority.CreateToken("hospital-2", TimeSpan.FromDays(1));
        var ours = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, _bench.Folder("a.key"));
        File.WriteAllText(_bench.Folder("a.csr"), ours.Pem);
        Assert.That(Run("req", "-in", _bench.Folder("a.csr"), "-noout", "-verify"), Does.Contain("OK"));
        // A key of OpenSSL's making, as from a site with its own ways.
        var key = _bench.Folder("b.key");
        Run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", key);
        var request = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, key);
        using var site = FlareIdentity.Load(SiteEnrolment.Complete(_bench.Authority.Enrol(request), token, key));
        Assert.That(site.Certificate.PublicKey.Oid.FriendlyName, Is.EqualTo("ECC"));
        Assert.That(site.VerifySignature(site.Certificate, "x", [1], site.Sign("x", [1])), Is.True);
    }

    private string Root(int number) => _bench.Folder(Path.Combine("ca", $"root-{number}.crt"));

    private string Certificate(string name) =>
        Write($"{Uri.EscapeDataString(name)}.crt", StartupKit.Load(_bench.KitPath(name)).Certificates[0]);

    private string Write(string file, ReadOnlyMemory<byte> certificate)
    {
        var path = _bench.Folder(file);
        File.WriteAllText(
            path, System.Security.Cryptography.PemEncoding.WriteString("CERTIFICATE", certificate.Span));
        return path;
    }

    private static string Run(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("openssl", arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        })!;
        process.StandardInput.Close();
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (output + error.Result).Trim();
    }
}

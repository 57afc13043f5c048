using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Flare.Transport;

namespace Flare.Tests.Transport.Identity;

/// <summary>Names in certificates.</summary>
public class CertifiedNameTests
{
    private static IEnumerable<string> Names =>
    [
        "hospital-1", "St. Mary's", "Krankenhaus Süd", "病院", "a:b/c?d#e@[f]", "100%", "%41", "a+b c&d", "..",
        "flare:site:x",
        "*.example.org", "\U0001F3E5", new string('x', 200), new string('é', 100), "CON", "a\\b\"c'd",
    ];

    [TestCaseSource(nameof(Names))]
    public void A_name_comes_back_from_a_certificate_as_it_was(string name)
    {
        var certified = new CertifiedName(FlareRole.Site, name);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(
            certified.ToExtension(["a.example.org"], [System.Net.IPAddress.IPv6Loopback]));
        using var certificate = request.CreateSelfSigned(TestAuthority.Now, TestAuthority.Now.AddDays(1));
        Assert.That(CertifiedName.Read(certificate, out var fault), Is.EqualTo(certified), fault);
        Assert.That(certified.Uri, Has.All.InRange('!', '~'));
        Assert.That(certified.Uri.Count(c => c == ':'), Is.EqualTo(2));
        // The platform reads the others beside it.
        var others = (X509SubjectAlternativeNameExtension)certificate.Extensions
            .Single(e => e is X509SubjectAlternativeNameExtension);
        Assert.That(others.EnumerateDnsNames(), Is.EqualTo(new[] { "a.example.org" }));
        Assert.That(others.EnumerateIPAddresses(), Is.EqualTo(new[] { System.Net.IPAddress.IPv6Loopback }));
    }

    [Test]
    public void Names_are_written_as_the_page_says()
    {
        Assert.That(new CertifiedName(FlareRole.Site, "St. Mary's").Uri, Is.EqualTo("flare:site:St.%20Mary%27s"));
        Assert.That(new CertifiedName(FlareRole.Server, "Süd").Uri, Is.EqualTo("flare:server:S%C3%BCd"));
    }

    [TestCase(""), TestCase(" a"), TestCase("a\nb"), TestCase("a\u202eb")]
    public void What_cannot_be_seen_is_no_name(string name) =>
        Assert.That(() => new CertifiedName(FlareRole.Site, name), Throws.InstanceOf<ArgumentException>());

    [Test]
    public void Half_a_character_is_no_name() => // here, since an attribute cannot hold it
        Assert.That(() => new CertifiedName(FlareRole.Site, "\ud800"), Throws.ArgumentException);

    [Test]
    public void A_name_of_more_than_200_bytes_is_none() =>
        Assert.That(() => new CertifiedName(FlareRole.Site, new string('é', 101)), Throws.ArgumentException);
}

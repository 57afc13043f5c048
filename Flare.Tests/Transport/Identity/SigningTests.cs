using System.Security.Cryptography;
using Flare.Transport;

namespace Flare.Tests.Transport.Identity;

/// <summary>Proofs inside a channel whose TLS ends elsewhere.</summary>
public class SigningTests
{
    private readonly byte[] _ours = RandomNumberGenerator.GetBytes(32), _theirs = RandomNumberGenerator.GetBytes(32);
    private TestAuthority _authority = null!;

    [SetUp]
    public void Create() => _authority = new();

    [TearDown]
    public void Remove() => _authority.Dispose();

    [TestCase(false), TestCase(true)]
    public void Both_ends_prove_themselves_with_both_nonces(bool isRsa)
    {
        var server = _authority.Identity(FlareRole.Server, "server", isRsa: isRsa);
        var site = _authority.Identity(FlareRole.Site, "hospital-1", isRsa: isRsa);
        var proof = site.SignChannel(server.Member, _ours, _theirs);
        Assert.That(server.VerifyChannel(site.Certificate, _theirs, _ours, proof), Is.True);
        proof = server.SignChannel(site.Member, _theirs, _ours);
        Assert.That(site.VerifyChannel(server.Certificate, _ours, _theirs, proof), Is.True);
    }

    [Test]
    public void A_proof_holds_for_nothing_else()
    {
        var server = _authority.Identity(FlareRole.Server, "server");
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        var other = _authority.Identity(FlareRole.Site, "hospital-2");
        var proof = site.SignChannel(server.Member, _ours, _theirs);
        var fresh = RandomNumberGenerator.GetBytes(32);
        Assert.That(server.VerifyChannel(site.Certificate, fresh, _ours, proof), Is.False, "replayed to a new nonce");
        Assert.That(server.VerifyChannel(site.Certificate, _theirs, fresh, proof), Is.False, "another nonce");
        Assert.That(server.VerifyChannel(site.Certificate, _ours, _theirs, proof), Is.False, "nonces exchanged");
        Assert.That(server.VerifyChannel(other.Certificate, _theirs, _ours, proof), Is.False, "another's certificate");
        Assert.That(site.VerifyChannel(site.Certificate, _theirs, _ours, proof), Is.False, "reflected to the signer");
        Assert.That(other.VerifyChannel(site.Certificate, _theirs, _ours, proof), Is.False, "shown to a third");
        for (var i = 0; i < proof.Length; i++)
        {
            var changed = (byte[])proof.Clone();
            changed[i] ^= 0x40;
            Assert.That(server.VerifyChannel(site.Certificate, _theirs, _ours, changed), Is.False, $"byte {i}");
        }
        foreach (var length in new[] { 0, 1, proof.Length - 1, 5000 })
            Assert.That(server.VerifyChannel(site.Certificate, _theirs, _ours, new byte[length]), Is.False);
    }

    [Test]
    public void A_proof_of_another_project_does_not_hold_though_key_and_names_are_the_same()
    {
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        var certificate = _authority.Certify(new CertifiedName(FlareRole.Server, "server"));
        var elsewhere = StartupKit.Issue(
            new()
            {
                Project = "another", Member = new(FlareRole.Server, "server"), Addresses = [],
                Certificates = [certificate.RawData], TrustRoots = _authority.Roots,
                PrivateKey = TestAuthority.Key(certificate),
                Roster = Roster.Issue("another", 1, TestAuthority.Now, [], [], _authority.Signer),
            },
            _authority.Signer);
        using var server = FlareIdentity.Load(elsewhere);
        Assert.That(
            server.VerifyChannel(site.Certificate, _theirs, _ours, site.SignChannel(server.Member, _ours, _theirs)),
            Is.False);
    }

    [Test]
    public void Nonces_that_are_short_or_an_echo_are_refused()
    {
        var server = _authority.Identity(FlareRole.Server, "server");
        var site = _authority.Identity(FlareRole.Site, "hospital-1");
        var proof = site.SignChannel(server.Member, _ours, _theirs);
        Assert.That(() => site.SignChannel(server.Member, _ours, new byte[15]),
            Throws.TypeOf<FlareException>().With.Message.Contains("15 bytes"));
        Assert.That(() => site.SignChannel(server.Member, _ours, _ours), Throws.TypeOf<FlareException>());
        Assert.That(() => site.SignChannel(server.Member, new byte[15], _theirs), Throws.ArgumentException);
        Assert.That(server.VerifyChannel(site.Certificate, _theirs, new byte[15], proof), Is.False);
        Assert.That(server.VerifyChannel(site.Certificate, _theirs, _theirs, proof), Is.False);
    }

    [Test]
    public void A_signature_holds_for_its_purpose_alone()
    {
        var (site, other) = (_authority.Identity(FlareRole.Site, "hospital-1"),
            _authority.Identity(FlareRole.Site, "hospital-2"));
        byte[] message = [1, 2, 3];
        var signature = site.Sign("announcement", message);
        Assert.That(other.VerifySignature(site.Certificate, "announcement", message, signature), Is.True);
        Assert.That(
            other.VerifySignature(site.Certificate, "announcemen", [(byte)'t', .. message], signature), Is.False);
        Assert.That(other.VerifySignature(site.Certificate, "channel", message, signature), Is.False);
        Assert.That(other.VerifySignature(site.Certificate, "announcement", [1, 2], signature), Is.False);
        Assert.That(other.VerifySignature(other.Certificate, "announcement", message, signature), Is.False);
    }
}

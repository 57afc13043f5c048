using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Flare.Transport;

namespace Flare.Tests.Transport.Identity;

/// <summary>Startup kits: what is in them, and that nothing of it can be changed.</summary>
public class KitTests
{
    private TestAuthority _authority = null!;
    private string _folder = null!;

    [SetUp]
    public void Create()
    {
        _authority = new();
        _folder = Directory.CreateTempSubdirectory("flare-kits-").FullName;
    }

    [TearDown]
    public void Remove()
    {
        _authority.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [TestCase(false, null), TestCase(true, "ein Satz"), TestCase(false, "ein Satz")]
    public void A_kit_comes_back_from_its_file_as_it_was(bool isRsa, string? passphrase)
    {
        var kit = _authority.Kit(new(FlareRole.Site, "Krankenhaus \"Süd\""), passphrase: passphrase, isRsa: isRsa);
        var path = Path.Combine(_folder, "kit.json");
        kit.Save(path);
        var read = StartupKit.Load(path);
        Assert.That(read.Write(), Is.EqualTo(kit.Write()));
        Assert.That((read.Project, read.Member), Is.EqualTo((kit.Project, kit.Member)));
        Assert.That(read.Addresses, Is.EqualTo(kit.Addresses));
        Assert.That(read.IsKeyEncrypted, Is.EqualTo(passphrase is not null));
        Assert.That(read.Roster.Fingerprint, Is.EqualTo(kit.Roster.Fingerprint));
        using var identity = FlareIdentity.Load(path, passphrase);
        Assert.That(identity.Certificate.HasPrivateKey, Is.True);
        Assert.That(identity.VerifySignature(identity.Certificate, "x", [1], identity.Sign("x", [1])), Is.True);
    }

    [Test]
    public void A_file_is_its_owners_alone_and_not_overwritten_unasked()
    {
        var path = Path.Combine(_folder, "kit.json");
        var kit = _authority.Kit(new(FlareRole.Site, "hospital-1"));
        kit.Save(path);
        if (!OperatingSystem.IsWindows())
            Assert.That(File.GetUnixFileMode(path), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        var before = File.ReadAllBytes(path);
        var other = _authority.Kit(new(FlareRole.Site, "hospital-1"));
        Assert.That(() => other.Save(path), Throws.TypeOf<IOException>().With.Message.Contains("there already"));
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(before));
        other.Save(path, overwrite: true);
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(other.Write()));
        Assert.That(Directory.GetFiles(_folder), Has.Length.EqualTo(1));
    }

    // Each value of the file, by its path, changed into another that could stand there.
    [Test]
    public void No_value_of_a_kit_can_be_changed()
    {
        var name = new CertifiedName(FlareRole.Site, "hospital-1");
        var roster = Roster.Issue(
            TestAuthority.Project, 4, TestAuthority.Now,
            [
                new("server", FlareRole.Server) { Keys = [new('a', 64)] },
                new("hospital-1", FlareRole.Site) { FurtherKeys = [new("secagg", new byte[] { 1, 2, 3 })] },
            ],
            [new("00AB", TestAuthority.Now, "lost")], _authority.Signer);
        var kit = JsonNode.Parse(_authority.Kit(name, roster).Write())!.AsObject();
        using var other = new TestAuthority();
        var another = JsonNode.Parse(other.Kit(name, other.Everybody()).Write())!.AsObject();
        var values = Values(kit, "$").ToArray();
        Assert.That(values.Select(v => v.Path), Is.SupersetOf(new[]
        {
            "$.name", "$.role", "$.project", "$.addresses[1]", "$.certificates[0]", "$.trustRoots[0]",
            "$.rosterVersion", "$.privateKey", "$.signature.value", "$.roster.members[0].keys[0]",
            "$.roster.revoked[0].serial", "$.roster.members[1].furtherKeys[0].publicKey", "$.roster.issued",
        }));
        foreach (var (path, value) in values)
        {
            foreach (var changed in Changes(path, value.ToJsonString(), another))
            {
                var copy = kit.DeepClone();
                Values(copy, "$").Single(v => v.Path == path).Value.ReplaceWith(JsonNode.Parse(changed));
                // A private key is not signed; it has to be the certificate's.
                var error = Assert.Throws<FlareException>(
                    () => FlareIdentity.Load(StartupKit.Parse(Encoding.UTF8.GetBytes(copy.ToJsonString()))).Dispose(),
                    $"{path} = {changed}");
                Assert.That(error!.ErrorId, Is.EqualTo(ErrorIds.Identity));
                Assert.That(error.Message.Any(char.IsControl), Is.False, error.Message);
            }
        }
    }

    [Test]
    public void No_member_lacks_is_twice_or_is_unknown()
    {
        var text = Encoding.UTF8.GetString(_authority.Kit(new(FlareRole.Site, "hospital-1")).Write());
        foreach (var (from, to) in new[]
        {
            ("{", "{ \"extra\": 1,"), ("\"name\":", "\"Name\":"), ("\"role\": \"site\",", ""),
            ("\"role\": \"site\"", "\"role\": \"site\", \"role\": \"site\""), ("\"role\": \"site\"", "\"role\": null"),
            ("\"rosterVersion\": 1", "\"rosterVersion\": \"1\""), ("\"rosterVersion\": 1", "\"rosterVersion\": 1.5"),
            ("\"revoked\": []", "\"revoked\": [null]"), ("\"keys\": []", "\"keys\": [null]"),
            ("\"keys\": []", "\"keys\": [], \"sudo\": true"), ("flare-startup-kit/1", "flare-startup-kit/2"),
            ("}", "} // a comment"),
        })
        {
            Assert.That(text, Does.Contain(from));
            var at = text.IndexOf(from, StringComparison.Ordinal);
            var changed = text[..at] + to + text[(at + from.Length)..];
            Assert.That(() => StartupKit.Parse(Encoding.UTF8.GetBytes(changed)),
                Throws.TypeOf<FlareException>().With.Message.StartsWith("The startup kit"), to);
        }
    }

    [Test]
    public void What_is_too_large_is_refused_unread() =>
        Assert.That(() => StartupKit.Parse(new byte[StartupKit.MaxBytes + 1]),
            Throws.TypeOf<FlareException>().With.Message.Contains("16777217 bytes"));

    [Test]
    public void A_passphrase_that_lacks_or_is_wrong_is_said()
    {
        var kit = _authority.Kit(new(FlareRole.Site, "hospital-1"), passphrase: "right");
        Assert.That(() => FlareIdentity.Load(kit), Throws.TypeOf<FlareException>().With.Message.Contains("passphrase"));
        Assert.That(() => FlareIdentity.Load(kit, "wrong"),
            Throws.TypeOf<FlareException>().With.Message.Contains("passphrase of its private key is wrong"));
        Assert.That(() => FlareIdentity.Load(kit.WithPrivateKey(null)),
            Throws.TypeOf<FlareException>().With.Message.Contains("no private key"));
    }

    [TestCase(false, true), TestCase(true, false), TestCase(false, false)]
    public void A_key_of_another_certificate_is_refused(bool isRsa, bool otherIsRsa)
    {
        var kit = _authority.Kit(new(FlareRole.Site, "hospital-1"), isRsa: isRsa);
        var other = _authority.Kit(new(FlareRole.Site, "hospital-2"), isRsa: otherIsRsa);
        Assert.That(() => FlareIdentity.Load(kit.WithPrivateKey(other.PrivateKey)),
            Throws.TypeOf<FlareException>().With.Message.Contains("private key"));
    }

    [Test]
    public void A_key_may_lie_elsewhere()
    {
        var kit = _authority.Kit(new(FlareRole.Site, "hospital-1"));
        using var elsewhere = FlareIdentity.Load(kit);
        var copy = X509CertificateLoader.LoadPkcs12(elsewhere.Certificate.Export(X509ContentType.Pkcs12), null);
        using (var identity = FlareIdentity.Load(kit.WithPrivateKey(null), copy))
            Assert.That(identity.VerifySignature(copy, "x", [1], identity.Sign("x", [1])), Is.True);
        using var bare = X509CertificateLoader.LoadCertificate(kit.Certificates[0].Span);
        Assert.That(() => FlareIdentity.Load(kit, bare), Throws.TypeOf<FlareException>());
        using var wrong = _authority.Certify(kit.Member);
        Assert.That(() => FlareIdentity.Load(kit, wrong), Throws.TypeOf<FlareException>());
    }

    [Test]
    public void A_renewal_takes_the_place_of_its_own_kit_alone()
    {
        var name = new CertifiedName(FlareRole.Site, "hospital-1");
        var old = _authority.Kit(name);
        Assert.That(old.Renew(old.WithPrivateKey(null)).Write(), Is.EqualTo(old.Write()), "goes on with the old key");
        Assert.That(() => old.Renew(_authority.Kit(new(FlareRole.Site, "hospital-2"))),
            Throws.TypeOf<FlareException>().With.Message.Contains("hospital-2"));
        using var other = new TestAuthority("Other");
        Assert.That(() => old.Renew(other.Kit(name)),
            Throws.TypeOf<FlareException>().With.Message.Contains("signed by 'CN=Other'"));
    }

    [TestCase("http://example.org"), TestCase("flare://example.org"), TestCase("flare://user@example.org:8002")]
    [TestCase("flare://example.org:8002/x"), TestCase("unix:relative"), TestCase("unix://host/path"), TestCase("/etc")]
    [TestCase("wss://example.org/flare#x"), TestCase("flare://:8002")]
    public void What_is_no_address_is_refused(string address)
    {
        if (!Uri.TryCreate(address, UriKind.RelativeOrAbsolute, out var uri)) return; // no Uri, so it cannot be given
        var certificate = _authority.Certify(new CertifiedName(FlareRole.Site, "hospital-1"));
        Assert.That(
            () => StartupKit.Issue(
                new()
                {
                    Project = TestAuthority.Project, Member = new(FlareRole.Site, "hospital-1"), Addresses = [uri],
                    Certificates = [certificate.RawData], TrustRoots = _authority.Roots,
                    Roster = _authority.Everybody(),
                },
                _authority.Signer),
            Throws.ArgumentException.With.Message.Contains("no address of a server"));
    }

    private static IEnumerable<(string Path, JsonValue Value)> Values(JsonNode node, string path) => node switch
    {
        JsonObject members => members.SelectMany(m => Values(m.Value!, $"{path}.{m.Key}")),
        JsonArray items => items.SelectMany((item, i) => Values(item!, $"{path}[{i}]")),
        _ => [(path, node.AsValue())],
    };

    private static IEnumerable<string> Changes(string path, string json, JsonObject another)
    {
        if (json[0] != '"') yield return (long.Parse(json, null) + 1).ToString(null, null);
        if (json[0] == '"') yield return "\"\"";
        if (json[0] == '"' && json.Length > 2) yield return $"\"{json[2..]}";
        // One character in the middle, of the same kind.
        if (json.Length > 6 && json[0] == '"')
        {
            var at = json.Length / 2;
            var c = json[at] == 'A' ? 'B' : 'A';
            if (json[at - 1] != '\\') yield return json[..at] + c + json[(at + 1)..];
        }
        // What stands there in the kit of another authority for the same member.
        var same = Values(another, "$").Where(v => v.Path == path).Select(v => v.Value.ToJsonString()).ToArray();
        if (same.Length == 1 && same[0] != json) yield return same[0];
        yield return "null";
        yield return "{}";
    }
}

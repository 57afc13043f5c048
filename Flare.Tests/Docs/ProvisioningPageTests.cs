using System.Security.Cryptography.X509Certificates;
using Flare.Provisioning;
using Flare.Tests.Solution;
using Flare.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/provisioning.md, in its order, and its project file.</summary>
[NonParallelizable] // it works in its own current folder, as a reader would
public class ProvisioningPageTests
{
    private string _folder = "", _before = "";

    [SetUp]
    public void Create()
    {
        _before = Environment.CurrentDirectory;
        _folder = Directory.CreateTempSubdirectory("flare-page-").FullName;
        Environment.CurrentDirectory = _folder;
    }

    [TearDown]
    public void Remove()
    {
        Environment.CurrentDirectory = _before;
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public async Task The_pages_way_leads_from_a_project_to_a_changed_root()
    {
        var page = File.ReadAllText(Path.Combine(PackageTableTests.Root, "docs/provisioning.md"));
        File.WriteAllText("project.yml", page.Split("```yaml")[1].Split("```")[0]);
        var passphrase = "ein Satz";
        var output = new StringWriter();
        using var authority = Provision(passphrase, output);
        Assert.That(output.ToString().Split('\n')[0].Replace('\\', '/').Trim(), Is.EqualTo("made kits/server.json"));
        await LookAsync(passphrase, output);
        Assert.That(output.ToString(), Does.Contain("it is server 'server'"));
        Enrol(authority, passphrase);
        Directory.CreateDirectory("renewed");
        Directory.CreateDirectory("rotated");
        Renew(authority, passphrase);
        Rotate(authority, ["server", "hospital-1", "hospital-2"]);
        var kit = StartupKit.Load("hospital-2.json").Renew(StartupKit.Load("rotated/hospital-2.json"));
        using var identity = FlareIdentity.Load(kit, passphrase);
        Assert.That(identity.Fault(DateTimeOffset.UtcNow.AddSeconds(5)), Is.Null);
    }

    private static Provisioner Provision(string passphrase, StringWriter Console)
    {
        var passphrases = new Dictionary<string, string> { ["server"] = passphrase, ["hospital-1"] = passphrase };
        var authority = Opened(passphrase, passphrases, Console);
        authority.Dispose();
        return Provisioner.Open("authority", passphrase);
    }

    private static Provisioner Opened(string passphrase, Dictionary<string, string> passphrases, StringWriter Console)
    {
        var project = ProjectFile.Load("project.yml");           // all that is wrong, with its lines, in one error
        using var authority = Provisioner.Open("authority", passphrase);
        var result = authority.Provision(project, "kits", name => passphrases[name]);
        foreach (var kit in result.Created) Console.WriteLine($"made {kit}");
        foreach (var warning in result.Warnings) Console.WriteLine(warning);
        return authority;
    }

    private static async Task LookAsync(string passphrase, StringWriter Console)
    {
        File.Move("kits/hospital-1.json", "hospital-1.json");
        var loggers = NullLoggerFactory.Instance;
        using var server = FlareIdentity.Load("kits/server.json", passphrase);
        var (certificate, others) = (server.Certificate, new X509Certificate2Collection());
        using var identities = IdentitySource.Open("hospital-1.json", passphrase, logging: loggers);
        await using var site = FederationSite.Connect(identities);  // a server: FederationServer.Start(identities)
        var peer = identities.Current.Verify(certificate, others, FlareRole.Server, DateTimeOffset.UtcNow);
        Console.WriteLine(peer.Refusal ?? $"it is {peer.Proven}");
    }

    private static void Enrol(Provisioner authority, string passphrase)
    {
        var token = authority.CreateToken("hospital-2", TimeSpan.FromDays(7));          // to the site, by a safe way
        var request = SiteEnrolment.CreateRequest("digits-study", "hospital-2", token, "hospital-2.key", passphrase);
        File.WriteAllBytes("hospital-2.request.json", request.Write());                 // to the authority, by any way
        var kit = authority.Enrol(EnrolmentRequest.Parse(File.ReadAllBytes("hospital-2.request.json")));
        kit.Save("hospital-2.kit.json");                                                // back to the site, by any way
        var whole = SiteEnrolment.Complete(StartupKit.Load("hospital-2.kit.json"), token, "hospital-2.key", passphrase);
        whole.Save("hospital-2.json");
    }

    private static void Renew(Provisioner authority, string passphrase)
    {
        foreach (var name in authority.Due(TimeSpan.FromDays(60)))
            authority.Renew(name).Save($"renewed/{name}.json");   // no key in it: the member goes on with its own
        authority.Revoke("hospital-1", "the laptop was stolen");  // then give the server roster.json
        authority.RenewWithNewKey("hospital-1", passphrase).Save("renewed/hospital-1.json", overwrite: true);
    }

    private static void Rotate(Provisioner authority, string[] members)
    {
        authority.RotateRoot();                                   // the old root signs the new one
        foreach (var member in members) authority.Renew(member).Save($"rotated/{member}.json");
        authority.RetireOldRoot();                                // once every member has its renewed kit
    }
}

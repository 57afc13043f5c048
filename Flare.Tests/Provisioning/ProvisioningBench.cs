using System.Security.Cryptography;
using Flare.Provisioning;
using Flare.Transport;

namespace Flare.Tests.Provisioning;

/// <summary>An authority in a folder, with a clock that is set by hand.</summary>
internal sealed class ProvisioningBench : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flare-authority-").FullName;

    public ProvisioningBench(string? passphrase = null) => Authority = Provisioner.Open(Folder("ca"), passphrase, Time);

    public SetTime Time { get; } = new();

    public Provisioner Authority { get; private set; }

    public string Folder(string name) => Path.Combine(_folder, name);

    public string KitPath(string name) => Provisioner.PathOf(Folder("kits"), name);

    public static ProjectFile Project(string[]? sites = null, KeyKind keys = KeyKind.EcdsaP256, int days = 365) => new()
    {
        Project = "digits-study", Keys = keys, CertificateDays = days,
        Server = new("server", [new("flare://flare.example.org:8002"), new("wss://10.0.0.5/flare")]),
        // A star: the site makes its own key.
        Sites = [.. (sites ?? ["hospital-1", "hospital-2"])
            .Select(n => new ProjectSite(n.TrimEnd('*'), n.EndsWith('*')))],
    };

    public ProvisioningResult Provision(params string[] sites) =>
        Authority.Provision(Project(sites.Length == 0 ? null : sites), Folder("kits"));

    public FlareIdentity Identity(string name) => FlareIdentity.Load(KitPath(name));

    /// <summary>As another process would, later.</summary>
    public void Reopen(string? passphrase = null)
    {
        Authority.Dispose();
        Authority = Provisioner.Open(Folder("ca"), passphrase, Time);
    }

    /// <summary>All files and what is in them.</summary>
    public Dictionary<string, string> Files() => Directory.GetFiles(_folder, "*", SearchOption.AllDirectories)
        .Where(f => !f.EndsWith(".lock", StringComparison.Ordinal))
        .ToDictionary(
            f => Path.GetRelativePath(_folder, f), f => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(f))));

    public void Dispose()
    {
        Authority.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    internal sealed class SetTime : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 5, 4, 12, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}

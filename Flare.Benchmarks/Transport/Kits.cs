using Flare.Provisioning;
using Flare.Transport;

namespace Flare.Benchmarks.Transport;

/// <summary>Identities of a server and its sites, made for one run.</summary>
internal sealed class Kits : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flare-kits-").FullName;
    private readonly List<FlareIdentity> _sites = [];

    public Kits(int sites)
    {
        var names = Enumerable.Range(1, sites).Select(i => $"site-{i}");
        var project = ProjectFile.Parse($"""
            project: measure
            server:
              name: server
              addresses: [ "flare://127.0.0.1:8002" ]
            sites: [ {string.Join(", ", names)} ]
            """);
        using var provisioner = Provisioner.Open(Path.Combine(_folder, "authority"));
        var files = provisioner.Provision(project, Path.Combine(_folder, "kits")).Created
            .ToDictionary(f => Path.GetFileNameWithoutExtension(f)!);
        Server = FlareIdentity.Load(files["server"]);
        foreach (var name in names) _sites.Add(FlareIdentity.Load(files[name]));
    }

    public FlareIdentity Server { get; }

    public IReadOnlyList<FlareIdentity> Sites => _sites;

    public void Dispose()
    {
        Server.Dispose();
        foreach (var site in _sites) site.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}

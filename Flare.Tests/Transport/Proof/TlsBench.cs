using Flare.Provisioning;
using Flare.Tests.Federations;
using Flare.Tests.Provisioning;
using Flare.Transport;

namespace Flare.Tests.Transport.Proof;

/// <summary>
/// An authority, a server and sites on this machine over TLS, by the files of their kits; what each end logs, and a
/// clock by which certificates are looked at.
/// </summary>
internal sealed class TlsBench : IAsyncDisposable
{
    public static readonly LinkLimits Quick = new()
    {
        FirstPause = TimeSpan.FromMilliseconds(20), LongestPause = TimeSpan.FromMilliseconds(50),
    };

    private readonly string _folder = Directory.CreateTempSubdirectory("flare-tls-").FullName;
    private readonly Dictionary<string, IdentitySource> _sources = [];
    private readonly List<IAsyncDisposable> _started = [];

    public TlsBench(params string[] sites)
    {
        Authority = Provisioner.Open(Path.Combine(_folder, "ca"), null, Time);
        Provision(sites.Length == 0 ? ["hospital-1", "hospital-2"] : sites);
    }

    public ProvisioningBench.SetTime Time { get; } = new();

    public Provisioner Authority { get; }

    public LogRecorder ServerLog { get; } = new();

    public LogRecorder SiteLog { get; } = new();

    public int Port { get; private set; }

    public string Kits => Path.Combine(_folder, "kits");

    public string KitPath(string name) => Provisioner.PathOf(Kits, name);

    public void Provision(params string[] sites) => Authority.Provision(
        new()
        {
            Project = "digits-study", CertificateDays = 90,
            Server = new("server", [new("flare://127.0.0.1:8002")]),
            Sites = [.. sites.Select(n => new ProjectSite(n, false))],
        },
        Kits);

    /// <summary>A member's identity by its file, which is looked at when a test says so.</summary>
    public IdentitySource Source(string name)
    {
        if (_sources.TryGetValue(name, out var source)) return source;
        var log = name == "server" ? ServerLog : SiteLog;
        return _sources[name] = IdentitySource.Open(KitPath(name), time: Time, logging: log);
    }

    /// <summary>Puts a renewed kit in the place of a member's, and has it looked at.</summary>
    public void Renew(string name)
    {
        var source = Source(name);
        Authority.Renew(name).Save(KitPath(name), overwrite: true);
        Assert.That(source.Refresh(), Is.True, $"{name} takes its renewed kit");
    }

    /// <summary>Gives a member the authority's newest roster, as its operator would.</summary>
    public void GiveRoster(string name)
    {
        File.Copy(Authority.RosterPath, KitPath(name) + IdentitySource.RosterSuffix, overwrite: true);
        Assert.That(Source(name).Refresh(), Is.True, $"{name} takes the roster");
    }

    public FederationServer StartServer() => StartServer(SocketTransport.Tls(
        "127.0.0.1", Port, Source("server"), new() { Time = Time, Logging = ServerLog }));

    public FederationServer StartServer(IFlareTransport transport)
    {
        var server = FederationServer.Start(transport, Quick, ServerLog);
        Port = FederationOverSocketsTests.PortOf(server);
        _started.Add(server);
        return server;
    }

    /// <summary>A site's way to the server, or to what stands before it.</summary>
    public SocketTransport To(IdentitySource site, int? port = null, string host = "127.0.0.1") =>
        SocketTransport.Tls(host, port ?? Port, site, new() { Time = Time, Logging = SiteLog });

    public SocketTransport To(string site, int? port = null) => To(Source(site), port);

    public FederationSite Connect(
        string name, IFlareConnector? way = null, long? incarnation = null, LinkLimits? limits = null)
    {
        var site = FederationSite.Connect(way ?? To(name), name, incarnation, limits ?? Quick, SiteLog);
        _started.Add(site);
        return site;
    }

    /// <summary>Runs a job that trains on sites.</summary>
    public ServedJob Run(FederationServer server, int rounds, params string[] sites) =>
        Run(server, rounds, _ => { }, sites);

    public ServedJob Run(
        FederationServer server, int rounds, Action<ServerBuilder> change, params string[] sites)
    {
        var builder = new ServerBuilder().UseJobId("job").AddSites(sites).UseLogging(ServerLog)
            .UseLimits(new() { DrainTimeout = TimeSpan.FromSeconds(0.5) }) // of sites that were refused
            .UseController(Sites.Training(rounds, minSites: sites.Length)).UseInitialModel(Sites.Model(0));
        change(builder);
        var plan = builder.Build();
        var job = server.Run(plan);
        _started.Add(plan);
        return job;
    }

    public JoinedJob Join(
        FederationSite site, Func<Executor>? executor = null, Action<SiteBuilder>? change = null)
    {
        var builder = new SiteBuilder(site.Name).UseJobId("job").UseLogging(SiteLog)
            .UseExecutor(executor ?? (() => Sites.Adding(1)));
        change?.Invoke(builder);
        var plan = builder.Build();
        var joined = site.Join(plan);
        _started.Add(plan);
        return joined;
    }

    /// <summary>Waits until an end has logged something.</summary>
    public static async Task<string> LoggedAsync(LogRecorder log, string words)
    {
        for (var end = DateTime.UtcNow + Patience.Long; DateTime.UtcNow < end; await Task.Delay(5))
        {
            if (log.Entries.Select(e => e.Message).FirstOrDefault(
                m => m.Contains(words, StringComparison.Ordinal)) is { } found) return found;
        }
        Assert.Fail($"'{words}' is not in the log:\n{string.Join("\n", log.Entries.Select(e => e.Message))}");
        return "";
    }

    public async ValueTask DisposeAsync()
    {
        // Sites before their server, plans after both: those that were started last come first.
        foreach (var site in _started.OfType<FederationSite>()) await site.DisposeAsync();
        foreach (var server in _started.OfType<FederationServer>()) await server.DisposeAsync();
        foreach (var plan in _started.Where(s => s is not FederationSite and not FederationServer))
            await plan.DisposeAsync();
        foreach (var source in _sources.Values) source.Dispose();
        Authority.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}

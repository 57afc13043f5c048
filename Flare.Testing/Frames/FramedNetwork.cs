using Flare.Runtime;
using Flare.Transport;

namespace Flare.Testing;

/// <summary>
/// The network of a federation whose messages travel in the real frames: the links of Flare.Transport at both ends, as
/// FederationServer and FederationSite make them, over a <see cref="SimulatedTransport"/>.
/// </summary>
internal sealed class FramedNetwork : IRigNetwork
{
    private readonly SimulationLoop _loop;
    private readonly Action<string> _fail;
    private readonly SimulatedTransport _transport;
    private readonly LinkHost _host;
    private readonly Dictionary<string, Site> _sites = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Site, int Epoch, long Number), LinkMessage> _results = [];
    private readonly List<Task> _leaving = [];
    private (ServerHub Hub, ServerJobLink Link)? _server;
    private UploadWatch? _uploads;
    private long _sent;

    public FramedNetwork(SimulationLoop loop, FrameFaults faults, Action<string> fail)
    {
        (_loop, _fail) = (loop, fail);
        _transport = new SimulatedTransport(loop) { Faults = faults };
        _host = _transport.Host(ShortLimits(loop.Random.Fork()));
    }

    /// <summary>What links take at most: little, so that little data meets every bound.</summary>
    public static LinkLimits ShortLimits(SimulationRandom random) => new()
    {
        Frames = new()
        {
            MaxMessageBytes = 1024 << random.NextInt32(4), MaxStreamHeadBytes = 1024,
            MaxStreams = 1 + random.NextInt32(4), StreamWindow = 1 << 16,
            HandshakeTimeout = TimeSpan.FromSeconds(1), IdleTimeout = TimeSpan.FromSeconds(1.5),
            StallTimeout = TimeSpan.FromSeconds(2.5), LeastStreamBytes = 1,
            PaceSending = random.Chance(0.5) ? null : random.Chance(0.5),
        },
        LeastPartialBytes = 1 + random.NextInt32(2000),
        PartialsKept = TimeSpan.FromSeconds(4),
        FirstPause = TimeSpan.FromMilliseconds(50),
        LongestPause = TimeSpan.FromSeconds(1),
        CloseGrace = TimeSpan.FromSeconds(1),
    };

    public bool IsReliable => false;

    public (long Sent, long Dropped, long Duplicated) Counts => (_sent, _transport.Cuts, 0);

    public void Watch(UploadWatch uploads) => _uploads = uploads;

    public SynchronizationContext NewLoop() => new SimulatedJobLoop(_loop);

    public IServerLink StartServer(SynchronizationContext loop, RuntimeLimits limits)
    {
        CrashServer();
        var hub = new ServerHub(_transport.Listen(), _host);
        var link = hub.Open(SimulatedFederation.JobId, loop, limits);
        _server = (hub, link);
        return new WatchedServer(this, link);
    }

    public void CrashServer()
    {
        if (_server is not { } server) return;
        _server = null;
        _transport.BreakAll();
        _leaving.Add(LeaveAsync(server.Hub, server.Link));
    }

    public void EndServer()
    {
        if (_server is not { } server) return;
        _server = null;
        _leaving.Add(LeaveAsync(server.Hub, server.Link));
    }

    public ISiteLink StartSite(string name, long incarnation, SynchronizationContext loop)
    {
        Site? site = null;
        void Fail(FrameException e)
        {
            if (site is not null && _sites.GetValueOrDefault(name) == site)
                _fail($"{name} was turned away: {e.Message}");
        }
        var uplink = new SiteUplink(_transport.From(name), name, incarnation, _host);
        var link = uplink.Open(SimulatedFederation.JobId, loop, Fail);
        _sites[name] = site = new Site(uplink, link);
        uplink.Start(Fail);
        return new WatchedSite(this, name, link);
    }

    public void CrashSite(string name)
    {
        if (!_sites.Remove(name, out var site)) return;
        _transport.Break(name);
        _leaving.Add(LeaveAsync(site));
    }

    public void Cut(string site, LinkDirections directions) => _transport.Cut(site, directions);

    public void Heal(string site) => _transport.Heal(site);

    public void EndFaults() => _transport.Faults = FrameFaults.None;

    public async Task FinishAsync()
    {
        EndServer();
        // What is kept for a while is gone after it.
        await Task.Delay(_host.Limits.PartialsKept + TimeSpan.FromMilliseconds(1), _loop.Time);
        foreach (var (name, site) in _sites)
            if (site.Link.Partials.Count > 0) _fail($"{name} keeps a beginning for longer than it may");
        foreach (var site in _sites.Values) _leaving.Add(LeaveAsync(site));
        foreach (var leaving in _leaving) await leaving;
        await Task.Delay(TimeSpan.FromSeconds(1), _loop.Time);
        if (_transport.Open > 0) _fail($"{_transport.Open} connections are there though nobody has them");
    }

    private async Task LeaveAsync(ServerHub hub, ServerJobLink link)
    {
        hub.Close(link);
        await hub.DisposeAsync();
        if (hub.Sessions > 0 || !link.IsEmpty) _fail("a server's links that have ended hold what they held");
    }

    private async Task LeaveAsync(Site site)
    {
        site.Uplink.Close(site.Link);
        await site.Uplink.DisposeAsync();
        if (site.Link.Partials.Count > 0) _fail("a site's link that has ended holds a beginning");
    }

    private void RequireWhole(string sender, LinkMessage message)
    {
        if (message.Record is MalformedMessage malformed)
            _fail($"what {sender} sent has arrived as no message: {malformed.Error.Message}");
    }

    private sealed record Site(SiteUplink Uplink, SiteJobLink Link);

    private sealed class WatchedServer(FramedNetwork network, ServerJobLink inner) : IServerLink
    {
        public LinkPromise Promise => inner.Promise;

        public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change) => inner.Start(
            (site, message) =>
            {
                network.RequireWhole(site, message);
                var head = message.Arrived ?? message.Head;
                network._loop.Trace($"{head.Kind}", site, head.Epoch, head.Number);
                // As it was sent: what came as bytes says nothing yet.
                if (head.Kind == FrameKind.TaskResult
                    && network._results.TryGetValue((site, head.Epoch, head.Number), out var sent))
                    network._uploads?.OnServerReceives(site, sent);
                receive(site, message);
            }, change);

        public void Send(string site, LinkMessage message)
        {
            network._sent++;
            network._uploads?.OnServerSends(site, message);
            inner.Send(site, message);
        }
    }

    private sealed class WatchedSite(FramedNetwork network, string name, SiteJobLink inner) : ISiteLink
    {
        public LinkPromise Promise => inner.Promise;

        public void Start(Action<LinkMessage> receive, Action<LinkState> change) => inner.Start(
            message =>
            {
                network.RequireWhole("the server", message);
                var head = message.Arrived ?? message.Head;
                network._loop.Trace($"{head.Kind}", name, head.Epoch, head.Number);
                if (!head.IsBulk) network._uploads?.OnSiteReceives(name, message);
                receive(message);
            }, change);

        public void Send(LinkMessage message)
        {
            network._sent++;
            var head = message.Head;
            if (head.Kind == FrameKind.TaskResult) network._results[(name, head.Epoch, head.Number)] = message;
            network._uploads?.OnSiteSends(name, message);
            inner.Send(message);
        }
    }
}

using System.Buffers;
using Flare.Runtime;

namespace Flare.Testing;

/// <summary>The directions of a site's link.</summary>
[Flags]
public enum LinkDirections
{
    /// <summary>Neither.</summary>
    None = 0,
    /// <summary>From the site to the server.</summary>
    ToServer = 1,
    /// <summary>From the server to the site.</summary>
    ToSite = 2,
    /// <summary>Both.</summary>
    Both = 3,
}

/// <summary>
/// The network between one server and its sites, on a <see cref="SimulationLoop"/>: it delays, loses, repeats and
/// reorders messages, and links can be cut. Messages are delivered to whichever end is connected under the name when
/// they arrive, so that a process that has started again hears what was meant for its predecessor. They travel as
/// bytes, some in parts, as over a connection; or over sessions that break (<see cref="NetworkFaults.HasSessions"/>).
/// </summary>
public sealed class SimulatedNetwork : IRigNetwork
{
    private readonly SimulationLoop _loop;
    private readonly SimulationRandom _random;
    private readonly Dictionary<string, SiteSide> _sites = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Site, LinkDirections Direction), long> _bytes = [];
    private ServerEnd? _server;

    /// <summary>Creates a network without faults and without ends.</summary>
    public SimulatedNetwork(SimulationLoop loop)
    {
        ArgumentNullException.ThrowIfNull(loop);
        (_loop, _random) = (loop, loop.Random.Fork());
    }

    /// <summary>How bad it is; may be changed at any time, but for its reliability.</summary>
    public NetworkFaults Faults { get; set; } = NetworkFaults.None;

    /// <summary>Messages sent so far.</summary>
    public long Sent { get; private set; }

    /// <summary>Messages that did not arrive: lost, cut off, or without a receiver.</summary>
    public long Dropped { get; private set; }

    /// <summary>Messages that arrived twice.</summary>
    public long Duplicated { get; private set; }

    /// <summary>
    /// Bytes of results and of models that were sent over a site's link in a direction so far, whether or not they
    /// arrived.
    /// </summary>
    public long ContentBytes(string site, LinkDirections direction) =>
        _bytes.GetValueOrDefault((site, direction));

    // What the rig's checks see: messages as they are sent by the server, and as they arrive.
    internal Action<string, LinkMessage> ServerSends { get; set; } = static (_, _) => { };
    internal Action<string, LinkMessage> SiteReceives { get; set; } = static (_, _) => { };
    internal Action<string, LinkMessage> SiteSends { get; set; } = static (_, _) => { };
    internal Action<string, LinkMessage> ServerReceives { get; set; } = static (_, _) => { };

    /// <summary>A new end for the server. The one before it, if any, sends and hears nothing from now on.</summary>
    public IServerLink ConnectServer()
    {
        DisconnectServer();
        return _server = new ServerEnd(this);
    }

    /// <summary>Takes the server off the network.</summary>
    public void DisconnectServer()
    {
        _server = null;
        foreach (var site in _sites.Keys) Break(site);
    }

    /// <summary>A new end for a site. The one before it, if any, sends and hears nothing from now on.</summary>
    public ISiteLink ConnectSite(string site)
    {
        DisconnectSite(site);
        return Side(site).End = new SiteEnd(this, site);
    }

    /// <summary>Takes a site off the network.</summary>
    public void DisconnectSite(string site)
    {
        Side(site).End = null;
        Break(site);
    }

    /// <summary>Cuts a site's link; what is on its way is lost too. Cuts add up.</summary>
    public void Cut(string site, LinkDirections directions)
    {
        Side(site).Cut |= directions;
        if (directions != LinkDirections.None) Break(site);
        _loop.Trace("cut", site, (long)directions);
    }

    /// <summary>Mends a site's link.</summary>
    public void Heal(string site)
    {
        Side(site).Cut = LinkDirections.None;
        Connect(site);
        _loop.Trace("healed", site);
    }

    bool IRigNetwork.IsReliable => Faults.IsReliable;

    (long Sent, long Dropped, long Duplicated) IRigNetwork.Counts => (Sent, Dropped, Duplicated);

    void IRigNetwork.Watch(UploadWatch uploads)
    {
        (ServerSends, SiteReceives) = (uploads.OnServerSends, uploads.OnSiteReceives);
        (SiteSends, ServerReceives) = (uploads.OnSiteSends, uploads.OnServerReceives);
    }

    SynchronizationContext IRigNetwork.NewLoop() => _loop;

    IServerLink IRigNetwork.StartServer(SynchronizationContext loop, RuntimeLimits limits) => ConnectServer();

    void IRigNetwork.CrashServer() => DisconnectServer();

    void IRigNetwork.EndServer() => DisconnectServer();

    ISiteLink IRigNetwork.StartSite(string site, long incarnation, SynchronizationContext loop) => ConnectSite(site);

    void IRigNetwork.CrashSite(string site) => DisconnectSite(site);

    void IRigNetwork.EndFaults()
    {
        if (!Faults.IsReliable) Faults = NetworkFaults.None with { HasSessions = Faults.HasSessions };
    }

    Task IRigNetwork.FinishAsync() => Task.CompletedTask;

    private SiteSide Side(string site)
    {
        if (!_sites.TryGetValue(site, out var side)) _sites.Add(site, side = new SiteSide());
        return side;
    }

    // A session begins where both ends are there and nothing is cut.
    private void Connect(string site)
    {
        var side = Side(site);
        if (!Faults.HasSessions || side.IsConnecting) return;
        side.IsConnecting = true;
        _loop.After(_random.Between(Faults.MinDelay, Faults.MaxDelay), () =>
        {
            side.IsConnecting = false;
            if (side.Session is not null || side.Cut != LinkDirections.None) return;
            if (side.End is not { Change: { } tellSite } || _server is not { Change: { } tellServer }) return;
            side.Session = new Session(() => tellServer(site, LinkState.Lost), () => tellSite(LinkState.Lost));
            side.ToSite = side.ToServer = default;
            _loop.Trace("connected", site);
            tellServer(site, LinkState.Connected);
            tellSite(LinkState.Connected);
        });
    }

    // What is on its way is lost; the ends hear of it a little later, if they are still there.
    private void Break(string site)
    {
        var side = Side(site);
        if (side.Session is not { } session) return;
        side.Session = null;
        side.IsConnecting = true;
        var (server, end) = (_server, side.End);
        _loop.Trace("session lost", site);
        _loop.After(_random.Between(TimeSpan.Zero, TimeSpan.FromSeconds(1)), () =>
        {
            if (_server == server && server is not null) session.TellServer();
            if (side.End == end && end is not null) session.TellSite();
            side.IsConnecting = false;
            Connect(site);
        });
    }

    private void Carry(string site, LinkDirections direction, LinkMessage message, Action<LinkMessage> deliver)
    {
        var faults = Faults;
        var side = Side(site);
        var session = side.Session;
        var (head, bytes) = (message.Head, message.Bytes);
        Sent++;
        var content = head.IsBulk ? bytes.Length : 0;
        if (head.IsBulk) _bytes[(site, direction)] = ContentBytes(site, direction) + bytes.Length;
        if (faults.HasSessions && session is null)
        {
            Dropped++;
            return;
        }
        var copies = 1;
        if (_random.Chance(faults.Loss))
        {
            copies = 0;
            if (faults.HasSessions) Break(site);
        }
        else if (!faults.HasSessions && _random.Chance(faults.Duplication)) copies = 2;
        Duplicated += copies / 2;
        Dropped += copies == 0 ? 1 : 0;
        ref var lane = ref direction == LinkDirections.ToSite ? ref side.ToSite : ref side.ToServer;
        for (var copy = 0; copy < copies; copy++)
        {
            var arrival = _loop.Now + _random.Between(faults.MinDelay, faults.MaxDelay);
            if (!faults.HasSessions && _random.Chance(faults.Straggling))
                arrival += _random.Between(TimeSpan.Zero, faults.MaxStraggle);
            if (faults.BytesPerSecond > 0 && content > 0)
            {
                lane.Busy = (lane.Busy > _loop.Now ? lane.Busy : _loop.Now)
                    + TimeSpan.FromSeconds((double)content / faults.BytesPerSecond);
                arrival += lane.Busy - _loop.Now;
            }
            if (faults.IsReliable || faults.HasSessions)
                lane.Last = arrival = arrival > lane.Last ? arrival : lane.Last + TimeSpan.FromTicks(1);
            _loop.After(arrival - _loop.Now, () =>
            {
                if ((side.Cut & direction) != 0 || side.Session != session) Dropped++;
                else deliver(message);
            });
        }
    }

    // As frames of a connection bring it: in one part, or in several.
    private void Deliver(FrameHead head, ReadOnlySequence<byte> bytes, Action<LinkMessage> receive)
    {
        var parts = bytes.Length > 1 && _random.Chance(0.25) ? 1 + _random.NextInt32(4) : 1;
        long offset = 0;
        for (var left = parts; left > 0; left--)
        {
            var length = left == 1 ? bytes.Length - offset : Math.Min(bytes.Length - offset, 1 + bytes.Length / parts);
            if (length == 0 && offset > 0) return;
            receive(new LinkMessage(head with { Offset = offset }, bytes.Slice(offset, length)));
            offset += length;
        }
    }

    private sealed class SiteSide
    {
        public SiteEnd? End;
        public LinkDirections Cut;
        public Lane ToServer;
        public Lane ToSite;
        public Session? Session;
        public bool IsConnecting;
    }

    private sealed record Session(Action TellServer, Action TellSite);

    /// <summary>
    /// One direction of a link: until when it carries a large message, and when its last message arrives.
    /// </summary>
    private struct Lane
    {
        public TimeSpan Busy;
        public TimeSpan Last;
    }

    private sealed class ServerEnd(SimulatedNetwork network) : IServerLink
    {
        public Action<string, LinkMessage>? Receive { get; private set; }
        public Action<string, LinkState>? Change { get; private set; }
        public LinkPromise Promise => network.Faults.Promise;

        public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change)
        {
            (Receive, Change) = (receive, change);
            foreach (var site in network._sites.Keys) network.Connect(site);
        }

        public void Send(string site, LinkMessage message)
        {
            if (network._server != this) return;
            network.ServerSends(site, message);
            network.Carry(site, LinkDirections.ToSite, message, m =>
            {
                if (network.Side(site).End?.Receive is not { } receive)
                {
                    network.Dropped++;
                    return;
                }
                network._loop.Trace($"{m.Head.Kind}", site, m.Head.Epoch, m.Head.Number);
                network.SiteReceives(site, m);
                network.Deliver(m.Head, m.Bytes, receive);
            });
        }
    }

    private sealed class SiteEnd(SimulatedNetwork network, string site) : ISiteLink
    {
        public Action<LinkMessage>? Receive { get; private set; }
        public Action<LinkState>? Change { get; private set; }
        public LinkPromise Promise => network.Faults.Promise;

        public void Start(Action<LinkMessage> receive, Action<LinkState> change)
        {
            (Receive, Change) = (receive, change);
            network.Connect(site);
        }

        public void Send(LinkMessage message)
        {
            if (network.Side(site).End != this) return;
            network.SiteSends(site, message);
            network.Carry(site, LinkDirections.ToServer, message, m =>
            {
                if (network._server?.Receive is not { } receive)
                {
                    network.Dropped++;
                    return;
                }
                network._loop.Trace($"{m.Head.Kind}", site, 0, m.Head.Number);
                network.ServerReceives(site, m);
                network.Deliver(m.Head, m.Bytes, part => receive(site, part));
            });
        }
    }
}

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
/// they arrive, so that a process that has started again hears what was meant for its predecessor. They travel without
/// copies.
/// </summary>
public sealed class SimulatedNetwork
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
    /// Bytes of tensors that were sent over a site's link in a direction so far, whether or not they arrived.
    /// </summary>
    public long ContentBytes(string site, LinkDirections direction) =>
        _bytes.GetValueOrDefault((site, direction));

    // What the rig's checks see: messages as they are sent by the server, and as they arrive.
    internal Action<string, ServerMessage> ServerSends { get; set; } = static (_, _) => { };
    internal Action<string, ServerMessage> SiteReceives { get; set; } = static (_, _) => { };
    internal Action<SiteMessage> SiteSends { get; set; } = static _ => { };
    internal Action<SiteMessage> ServerReceives { get; set; } = static _ => { };

    /// <summary>A new end for the server. The one before it, if any, sends and hears nothing from now on.</summary>
    public IServerLink ConnectServer() => _server = new ServerEnd(this);

    /// <summary>Takes the server off the network.</summary>
    public void DisconnectServer() => _server = null;

    /// <summary>A new end for a site. The one before it, if any, sends and hears nothing from now on.</summary>
    public ISiteLink ConnectSite(string site) => Side(site).End = new SiteEnd(this, site);

    /// <summary>Takes a site off the network.</summary>
    public void DisconnectSite(string site) => Side(site).End = null;

    /// <summary>Cuts a site's link; what is on its way is lost too. Cuts add up.</summary>
    public void Cut(string site, LinkDirections directions)
    {
        Side(site).Cut |= directions;
        _loop.Trace("cut", site, (long)directions);
    }

    /// <summary>Mends a site's link.</summary>
    public void Heal(string site)
    {
        Side(site).Cut = LinkDirections.None;
        _loop.Trace("healed", site);
    }

    private SiteSide Side(string site)
    {
        if (!_sites.TryGetValue(site, out var side)) _sites.Add(site, side = new SiteSide());
        return side;
    }

    private void Carry(string site, LinkDirections direction, long bytes, Action deliver)
    {
        Sent++;
        _bytes[(site, direction)] = ContentBytes(site, direction) + bytes;
        var copies = 1;
        if (_random.Chance(Faults.Loss)) copies = 0;
        else if (_random.Chance(Faults.Duplication)) copies = 2;
        Duplicated += copies / 2;
        Dropped += copies == 0 ? 1 : 0;
        var side = Side(site);
        ref var lane = ref direction == LinkDirections.ToSite ? ref side.ToSite : ref side.ToServer;
        for (var copy = 0; copy < copies; copy++)
        {
            var arrival = _loop.Now + _random.Between(Faults.MinDelay, Faults.MaxDelay);
            if (_random.Chance(Faults.Straggling)) arrival += _random.Between(TimeSpan.Zero, Faults.MaxStraggle);
            if (Faults.BytesPerSecond > 0 && bytes > 0)
            {
                lane.Busy = (lane.Busy > _loop.Now ? lane.Busy : _loop.Now)
                    + TimeSpan.FromSeconds((double)bytes / Faults.BytesPerSecond);
                arrival += lane.Busy - _loop.Now;
            }
            if (Faults.IsReliable)
                lane.Last = arrival = arrival > lane.Last ? arrival : lane.Last + TimeSpan.FromTicks(1);
            _loop.After(arrival - _loop.Now, () =>
            {
                if ((Side(site).Cut & direction) != 0) Dropped++;
                else deliver();
            });
        }
    }

    private static long ContentOf(ServerMessage message) => message switch
    {
        TaskOffer offer => offer.Data.TensorBytes(),
        TensorsDelivery delivery => delivery.Tensors.Layout.ByteLength,
        _ => 0,
    };

    private sealed class SiteSide
    {
        public SiteEnd? End;
        public LinkDirections Cut;
        public Lane ToServer;
        public Lane ToSite;
    }

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
        public Action<SiteMessage>? Receive { get; private set; }
        public bool IsReliable => network.Faults.IsReliable;
        public void Start(Action<SiteMessage> receive) => Receive = receive;

        public void Send(string site, ServerMessage message)
        {
            if (network._server != this) return;
            network.ServerSends(site, message);
            network.Carry(site, LinkDirections.ToSite, ContentOf(message), () =>
            {
                if (network.Side(site).End?.Receive is not { } receive)
                {
                    network.Dropped++;
                    return;
                }
                network._loop.Trace(message.GetType().Name, site, message.Epoch, MessageNumbers.Of(message));
                network.SiteReceives(site, message);
                receive(message);
            });
        }
    }

    private sealed class SiteEnd(SimulatedNetwork network, string site) : ISiteLink
    {
        public Action<ServerMessage>? Receive { get; private set; }
        public bool IsReliable => network.Faults.IsReliable;
        public void Start(Action<ServerMessage> receive) => Receive = receive;

        public void Send(SiteMessage message)
        {
            if (network.Side(site).End != this) return;
            network.SiteSends(message);
            network.Carry(
                site, LinkDirections.ToServer, message is TaskResult result ? result.Result.TensorBytes() : 0, () =>
            {
                if (network._server?.Receive is not { } receive)
                {
                    network.Dropped++;
                    return;
                }
                network._loop.Trace(message.GetType().Name, message.Site, 0, MessageNumbers.Of(message));
                network.ServerReceives(message);
                receive(message);
            });
        }
    }
}

/// <summary>The number by which a message is told from others of its type, for the trace.</summary>
internal static class MessageNumbers
{
    public static long Of(ServerMessage message) => message switch
    {
        TaskOffer m => m.Token.Number,
        TensorsDelivery m => m.Token.Number,
        UploadPermit m => m.Token.Number,
        ResultReceipt m => m.Token.Number,
        TaskCancel m => m.Token.Number,
        ServerEvent m => m.Event.Sequence,
        ServerEventReceipt m => m.Sequence,
        ServerWelcome m => m.HelloNeeded ? 1 : 0,
        _ => 0,
    };

    public static long Of(SiteMessage message) => message switch
    {
        SiteHello m => m.Incarnation,
        SiteHeartbeat m => m.Incarnation,
        TaskReceived m => m.Token.Number,
        TensorsWanted m => m.Token.Number,
        TensorsReceived m => m.Token.Number,
        ResultReady m => m.Token.Number,
        TaskResult m => m.Token.Number,
        TaskStopped m => m.Token.Number,
        SiteEvent m => m.Event.Sequence,
        SiteEventReceipt m => m.Sequence,
        _ => 0,
    };
}

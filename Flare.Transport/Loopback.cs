using Flare.Runtime;

namespace Flare.Transport;

/// <summary>How the server and the sites of one process talk over a transport all the same.</summary>
public sealed class Loopback
{
    private readonly Func<(IFlareTransport Server, Func<string, string, IFlareConnector> Site,
        IDisposable? Owned)> _make;

    private Loopback(Func<(IFlareTransport, Func<string, string, IFlareConnector>, IDisposable?)> make) => _make = make;

    /// <summary>TCP on this machine.</summary>
    public static Loopback Tcp { get; } = new(() => (
        SocketTransport.PlainTcp("127.0.0.1", 0),
        (_, address) => SocketTransport.PlainTcp("127.0.0.1", new Uri(address).Port), null));

    /// <summary>TCP with TLS 1.3, on this machine; certificates of server and sites are made for the run.</summary>
    public static Loopback Tls { get; } = new(() =>
    {
        var authority = new LoopbackAuthority();
        return (
            SocketTransport.Tls("127.0.0.1", 0, authority.ServerEnd()),
            (site, address) => SocketTransport.Tls("127.0.0.1", new Uri(address).Port, authority.SiteEnd(site)),
            authority);
    });

    /// <summary>A Unix socket in the folder for temporary files.</summary>
    public static Loopback Unix { get; } = new(() =>
    {
        // The file is of the machine, where others run with the same seed.
#pragma warning disable RS0030
        var transport = SocketTransport.Unix(Path.Combine(Path.GetTempPath(), $"flare-{Guid.NewGuid():N}.sock"));
#pragma warning restore RS0030
        return (transport, (_, _) => transport, null);
    });

    internal IFederationLinks Make(LinkHost host) => new Links(_make(), host);

    /// <summary>Links over any transport, such as the rig's.</summary>
    internal static IFederationLinks Over(
        IFlareTransport server, Func<string, IFlareConnector> site, LinkHost host) =>
        new Links((server, (name, _) => site(name), null), host);

    private sealed class Links : IFederationLinks
    {
        private readonly LinkHost _host;
        private readonly Func<string, string, IFlareConnector> _connector;
        private readonly IDisposable? _owned;
        private readonly ServerHub _hub;
        private readonly List<SiteUplink> _sites = [];

        public Links(
            (IFlareTransport Server, Func<string, string, IFlareConnector> Site, IDisposable? Owned) parts,
            LinkHost host)
        {
            (_connector, _owned, _host) = (parts.Site, parts.Owned, host);
            _hub = new(parts.Server.Listen(), host);
        }

        public IServerLink ConnectServer(string job, SynchronizationContext jobLoop, RuntimeLimits limits) =>
            _hub.Open(job, jobLoop, limits);

        public ISiteLink ConnectSite(
            string job, string site, SynchronizationContext jobLoop, Action<FlareException> fail)
        {
            var uplink = new SiteUplink(_connector(site, _hub.Address), site, 1, _host);
            uplink.Start(fail);
            _sites.Add(uplink);
            return uplink.Open(job, jobLoop, fail);
        }

        public async ValueTask DisposeAsync()
        {
            // At once, not one after the other.
            var leaving = _sites.Select(s => s.DisposeAsync().AsTask()).ToArray();
            foreach (var site in leaving) await site;
            await _hub.DisposeAsync();
            _owned?.Dispose();
        }
    }
}

/// <summary>Transports under federations in one process.</summary>
public static class FederationTransport
{
    /// <summary>
    /// Runs the federation over a real transport, as between machines: the same model, to the bit.
    /// </summary>
    /// <param name="builder">The federation.</param>
    /// <param name="loopback">Which transport.</param>
    /// <param name="limits">What connections take at most; the defaults if left out.</param>
    /// <exception cref="FlareException">The limits contradict themselves.</exception>
    public static FederationBuilder UseTransport(
        this FederationBuilder builder, Loopback loopback, LinkLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(loopback);
        var host = LinkHost.Of(limits);
        return builder.UseLinks(
            its => loopback.Make(host with { Time = its.Time, Logger = its.Logger }));
    }
}

namespace Flare.Runtime;

/// <summary>The transport within one process: messages change hands on the job's loop, without copies.</summary>
public sealed class InProcessLink : IServerLink
{
    private readonly SynchronizationContext _loop;
    private readonly Dictionary<string, Action<LinkMessage>> _sites = new(StringComparer.Ordinal);
    private Action<string, LinkMessage>? _server;

    /// <summary>Creates the transport of one job.</summary>
    /// <param name="loop">The loop of the server and of all sites.</param>
    public InProcessLink(SynchronizationContext loop) => _loop = loop;

    /// <inheritdoc/>
    public LinkPromise Promise => LinkPromise.Always;

    /// <inheritdoc/>
    public bool SharesMemory => true;

    /// <inheritdoc/>
    public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change) => _server = receive;

    /// <inheritdoc/>
    public void Send(string site, LinkMessage message)
    {
        if (_sites.TryGetValue(site, out var receive))
            _loop.Post(static s => ((ToSite)s!).Run(), new ToSite(receive, message));
    }

    /// <summary>The end of a site.</summary>
    public ISiteLink ConnectSite(string site) => new SiteEnd(this, site);

    private sealed class SiteEnd(InProcessLink link, string site) : ISiteLink
    {
        public LinkPromise Promise => LinkPromise.Always;

        public bool SharesMemory => true;

        public void Start(Action<LinkMessage> receive, Action<LinkState> change) => link._sites[site] = receive;

        public void Send(LinkMessage message)
        {
            if (link._server is { } receive)
                link._loop.Post(static s => ((ToServer)s!).Run(), new ToServer(receive, site, message));
        }
    }

    private sealed class ToSite(Action<LinkMessage> receive, LinkMessage message)
    {
        public void Run() => receive(message);
    }

    private sealed class ToServer(Action<string, LinkMessage> receive, string site, LinkMessage message)
    {
        public void Run() => receive(site, message);
    }
}

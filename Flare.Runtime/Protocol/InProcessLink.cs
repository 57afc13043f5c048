namespace Flare.Runtime;

/// <summary>The transport within one process: messages change hands on the job's loop, without copies.</summary>
public sealed class InProcessLink : IServerLink
{
    private readonly SynchronizationContext _loop;
    private readonly Dictionary<string, Action<ServerMessage>> _sites = new(StringComparer.Ordinal);
    private Action<SiteMessage>? _server;

    /// <summary>Creates the transport of one job.</summary>
    /// <param name="loop">The loop of the server and of all sites.</param>
    public InProcessLink(SynchronizationContext loop) => _loop = loop;

    /// <inheritdoc/>
    public bool IsReliable => true;

    /// <inheritdoc/>
    public bool SharesMemory => true;

    /// <inheritdoc/>
    public void Start(Action<SiteMessage> receive) => _server = receive;

    /// <inheritdoc/>
    public void Send(string site, ServerMessage message)
    {
        if (_sites.TryGetValue(site, out var receive))
            _loop.Post(static s => ((Delivery<ServerMessage>)s!).Run(), new Delivery<ServerMessage>(receive, message));
    }

    /// <summary>The end of a site.</summary>
    public ISiteLink ConnectSite(string site) => new SiteEnd(this, site);

    private sealed class SiteEnd(InProcessLink link, string site) : ISiteLink
    {
        public bool IsReliable => true;

        public void Start(Action<ServerMessage> receive) => link._sites[site] = receive;

        public void Send(SiteMessage message)
        {
            if (link._server is { } receive)
                link._loop.Post(
                    static s => ((Delivery<SiteMessage>)s!).Run(), new Delivery<SiteMessage>(receive, message));
        }
    }

    private sealed class Delivery<T>(Action<T> receive, T message)
    {
        public void Run() => receive(message);
    }
}

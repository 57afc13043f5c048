using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>The connections of one server's sites, and the jobs that they are for.</summary>
internal sealed class ServerHub : IAsyncDisposable
{
    private readonly IFlareListener _listener;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ServerJobLink> _jobs = new(StringComparer.Ordinal);
    private readonly HashSet<ServerSession> _sessions = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _accepting;

    public ServerHub(IFlareListener listener, LinkHost host)
    {
        (_listener, Host) = (listener, host);
        _accepting = host.Start(() => ListenerLoop.RunAsync(
            listener, c => _ = new ServerSession(this, c).RunAsync(), Time, Logger, _stop.Token));
    }

    public LinkHost Host { get; }

    public LinkLimits Limits => Host.Limits;

    public TimeProvider Time => Host.Time;

    public ILogger Logger => Host.Logger;

    public string Address => _listener.Address;

    /// <summary>How many connections there are.</summary>
    public int Sessions
    {
        get { lock (_gate) return _sessions.Count; }
    }

    public IReadOnlyCollection<string> ConnectedSites
    {
        get
        {
            ServerJobLink[] jobs;
            lock (_gate) jobs = [.. _jobs.Values];
            return [.. jobs.SelectMany(j => j.Names).Distinct().Order(StringComparer.Ordinal)];
        }
    }

    /// <summary>Opens a job to its sites.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="loop">The job's loop.</param>
    /// <param name="limits">The job's.</param>
    /// <exception cref="InvalidOperationException">There is one of the id.</exception>
    public ServerJobLink Open(string job, SynchronizationContext loop, RuntimeLimits limits)
    {
        var link = new ServerJobLink(this, job, loop, limits);
        lock (_gate)
        {
            if (!_jobs.TryAdd(job, link))
                throw new InvalidOperationException($"This server runs a job '{job}' already; give each its own id.");
        }
        return link;
    }

    /// <summary>Ends what is still said about a job; its sites are told that it is not here any more.</summary>
    public void Close(ServerJobLink link)
    {
        lock (_gate) _jobs.Remove(link.Job);
        link.End();
    }

    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        await _listener.DisposeAsync();
        await _accepting;
        ServerSession[] sessions;
        lock (_gate) sessions = [.. _sessions];
        // At once, not one after the other.
        var closing = sessions.Select(s => s.CloseAsync("the server shuts down", Limits.CloseGrace)).ToArray();
        foreach (var session in closing) await session;
    }

    public ServerJobLink? Find(string job)
    {
        lock (_gate) return _jobs.GetValueOrDefault(job);
    }

    public void Add(ServerSession session)
    {
        lock (_gate) _sessions.Add(session);
    }

    public void Remove(ServerSession session)
    {
        lock (_gate) _sessions.Remove(session);
    }
}

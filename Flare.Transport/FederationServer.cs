using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// A server that sites of other machines connect to, in whatever process the application has. It runs any number of
/// jobs at once over one address.
/// </summary>
/// <example><code>
/// await using var server = FederationServer.Start(transport);
/// await using var plan = new ServerBuilder().AddSites("hospital-1", "hospital-2")
///     .UseController(new FedAvg { Rounds = 20 }).UseInitialModel(model).Build();
/// await foreach (var round in server.Run(plan).ReadRoundsAsync()) Console.WriteLine(round);
/// </code></example>
public sealed class FederationServer : IAsyncDisposable
{
    private readonly ServerHub _hub;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly List<ServedJob> _jobs = [];
    private readonly CancellationTokenSource _stop = new();
    private volatile bool _isStopping;
    private Task? _closing;

    private FederationServer(ServerHub hub, ILogger logger) => (_hub, _logger) = (hub, logger);

    /// <summary>Listens for sites.</summary>
    /// <param name="transport">Where and how.</param>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <param name="logging">Where to log; nowhere if left out.</param>
    /// <param name="time">The clock; the system's if left out.</param>
    /// <exception cref="FrameException">The address cannot be listened on.</exception>
    /// <exception cref="FlareException">The limits contradict themselves.</exception>
    public static FederationServer Start(
        IFlareTransport transport, LinkLimits? limits = null, ILoggerFactory? logging = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(transport);
        return Start(transport, LinkHost.Of(limits, logging, time));
    }

    /// <summary>Takes the sites that a listener hands out: <see cref="HostedListener"/> for connections of the
    /// application's own Kestrel.</summary>
    /// <param name="listener">The listener; the server's from here on, and disposed of with it.</param>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <param name="logging">Where to log; nowhere if left out.</param>
    /// <param name="time">The clock; the system's if left out.</param>
    /// <exception cref="FlareException">The limits contradict themselves.</exception>
    public static FederationServer Start(
        IFlareListener listener, LinkLimits? limits = null, ILoggerFactory? logging = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(listener);
        var host = LinkHost.Of(limits, logging, time);
        return new(new(listener, host), host.Logger);
    }

    internal static FederationServer Start(IFlareTransport transport, LinkHost host) =>
        new(new(transport.Listen(), host), host.Logger);

    /// <summary>
    /// Listens for sites as a startup kit says: over TLS at the port of its first address of <c>flare</c>, on all
    /// addresses of the machine, IPv6 and IPv4; where it names none, on its first Unix socket.
    /// </summary>
    /// <param name="identity">Who the server is; it stays the caller's.</param>
    /// <param name="options">How it listens; the defaults if left out.</param>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <exception cref="FrameException">The address cannot be listened on.</exception>
    /// <exception cref="FlareException">The kit is a site's, or the options contradict themselves.</exception>
    public static FederationServer Start(
        FlareIdentity identity, SocketOptions? options = null, LinkLimits? limits = null)
    {
        options ??= new();
        var source = IdentitySource.Of(identity, options.Logging);
        IdentityLog.WarnOfExpiry(
            options.Logging.CreateLogger("Flare.Transport"), identity, options.Time.GetUtcNow());
        return Start(source, options, limits);
    }

    /// <summary>
    /// Listens for sites as a startup kit's file says, whose certificate may be renewed and whose roster may change
    /// while jobs run: a site that the newest roster revokes is hung up on.
    /// </summary>
    /// <param name="identity">Who the server is, now and later; it stays the caller's.</param>
    /// <param name="options">How it listens; the defaults if left out.</param>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <exception cref="FrameException">The address cannot be listened on.</exception>
    /// <exception cref="FlareException">The kit is a site's, or the options contradict themselves.</exception>
    public static FederationServer Start(
        IdentitySource identity, SocketOptions? options = null, LinkLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(identity);
        options = identity.Logged(options);
        return Start(KitTransports.ForServer(identity, options), limits, options.Logging, options.Time);
    }

    /// <summary>Where it listens, with the port that the system chose.</summary>
    public string Address => _hub.Address;

    /// <summary>The sites that take part in a job over a connection now, each once.</summary>
    public IReadOnlyCollection<string> ConnectedSites => _hub.ConnectedSites;

    /// <summary>Runs a job. Sites may come before and after it starts.</summary>
    /// <param name="plan">The job; it stays the caller's, who disposes of it once the job has ended.</param>
    /// <param name="abort">Aborts the job; sites are told.</param>
    /// <exception cref="InvalidOperationException">This server runs a job of the id already, or the plan has made a
    /// server.</exception>
    /// <exception cref="ObjectDisposedException">The server stops, or has stopped.</exception>
    public ServedJob Run(ServerPlan plan, CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ObjectDisposedException.ThrowIf(_isStopping, this);
        var loop = plan.CreateLoop(e => Log.LoopFailed(_logger, plan.JobId, e));
        var link = _hub.Open(plan.JobId, loop, plan.Limits);
        try
        {
            var server = plan.CreateServer(loop, link);
            var ends = CancellationTokenSource.CreateLinkedTokenSource(abort, _stop.Token);
            var job = new ServedJob(plan, server, loop, ends, _hub.Time);
            lock (_gate) _jobs.Add(job);
            _ = RunAsync(job, link);
            return job;
        }
        catch
        {
            _hub.Close(link);
            throw;
        }
    }

    /// <summary>
    /// Stops: no job is begun, and those that run end as by <see cref="ServedJob.StopAsync"/>, all at once. Then the
    /// sites are hung up on.
    /// </summary>
    /// <param name="drain">How long the rounds at hand may take; not at all if left out.</param>
    /// <param name="reason">Why, for the sites' operators.</param>
    /// <exception cref="ArgumentOutOfRangeException">The drain is negative.</exception>
    public async Task StopAsync(TimeSpan drain = default, string reason = "")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(drain, TimeSpan.Zero);
        ArgumentNullException.ThrowIfNull(reason);
        _isStopping = true;
        foreach (var stop in Jobs().Select(j => j.StopAsync(drain, reason)).ToArray()) await stop;
        await DisposeAsync();
    }

    /// <summary>Aborts all jobs, tells the sites, and closes; a drain that goes on ends with it.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate) _closing ??= CloseAsync();
        await _closing;
    }

    private async Task CloseAsync()
    {
        _isStopping = true;
        _stop.Cancel();
        foreach (var job in Jobs()) await job.OverAsync();
        await _hub.DisposeAsync();
    }

    private async Task RunAsync(ServedJob job, ServerJobLink link)
    {
        var failure = await job.RunAsync();
        _hub.Close(link);
        lock (_gate) _jobs.Remove(job);
        job.Complete(failure); // whoever hears of it may run a job of the id anew
    }

    private ServedJob[] Jobs()
    {
        lock (_gate) return [.. _jobs];
    }
}

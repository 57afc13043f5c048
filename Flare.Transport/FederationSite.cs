using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// A site, in whatever process the application has: one outbound connection to the server, made again whenever it
/// breaks, for any number of jobs.
/// </summary>
/// <example><code>
/// await using var site = FederationSite.Connect(connector, "hospital-1");
/// await using var plan = new SiteBuilder("hospital-1").UseExecutor(() => new MyTrainer(data)).Build();
/// Console.WriteLine(await site.Join(plan).Ended);
/// </code></example>
public sealed partial class FederationSite : IAsyncDisposable
{
    private readonly SiteUplink _uplink;
    private readonly ILogger _logger;
    private readonly long _incarnation;
    private readonly TimeProvider _time;
    private readonly List<JoinedJob> _jobs = []; // in the order in which they were joined
    private long _joins;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private FrameException? _failure;

    private FederationSite(SiteUplink uplink, string name, long incarnation, TimeProvider time, ILogger logger) =>
        (_uplink, Name, _incarnation, _time, _logger) = (uplink, name, incarnation, time, logger);

    /// <summary>Starts connecting to the server, and stays connected until it is disposed of.</summary>
    /// <param name="connector">The way to the server.</param>
    /// <param name="name">The site's name; where the transport has certificates, the certificate's.</param>
    /// <param name="incarnation">How often this site has started, at least 1 and greater at every start, a counter on
    /// disk for instance, and at most 2^42; the clock's milliseconds if left out, which serve unless the clock is set
    /// back.</param>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <param name="logging">Where to log; nowhere if left out.</param>
    /// <param name="time">The clock; the system's if left out.</param>
    /// <exception cref="ArgumentException">The name cannot be a site's.</exception>
    /// <exception cref="FlareException">The limits contradict themselves.</exception>
    public static FederationSite Connect(
        IFlareConnector connector, string name, long? incarnation = null, LinkLimits? limits = null,
        ILoggerFactory? logging = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(connector);
        SiteName.Check(name, nameof(name));
        if (incarnation is { } given)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(given, 1, nameof(incarnation));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(given, 1L << 42, nameof(incarnation));
        }
        return Connect(connector, name, incarnation, LinkHost.Of(limits, logging, time));
    }

    internal static FederationSite Connect(IFlareConnector connector, string name, long? incarnation, LinkHost host)
    {
        var start = incarnation ?? host.Time.GetUtcNow().ToUnixTimeMilliseconds();
        var uplink = new SiteUplink(connector, name, start, host);
        var site = new FederationSite(uplink, name, start, host.Time, host.Logger);
        uplink.Start(site.Fail);
        return site;
    }

    /// <summary>
    /// Connects as a startup kit says: to its addresses, one after the other, by the name of its certificate.
    /// </summary>
    /// <param name="identity">Who the site is; it stays the caller's.</param>
    /// <param name="incarnation">As for the other overload.</param>
    /// <param name="options">How it connects; the defaults if left out.</param>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <exception cref="FlareException">The kit is a server's, or the options contradict themselves.</exception>
    public static FederationSite Connect(
        FlareIdentity identity, long? incarnation = null, SocketOptions? options = null, LinkLimits? limits = null)
    {
        options ??= new();
        var source = IdentitySource.Of(identity, options.Logging);
        IdentityLog.WarnOfExpiry(
            options.Logging.CreateLogger("Flare.Transport"), identity, options.Time.GetUtcNow());
        return Connect(source, incarnation, options, limits);
    }

    /// <summary>
    /// Connects as a startup kit's file says, whose certificate may be renewed and whose roster may change while jobs
    /// run: each connection has the newest.
    /// </summary>
    /// <param name="identity">Who the site is, now and later; it stays the caller's.</param>
    /// <param name="incarnation">As for the first overload.</param>
    /// <param name="options">How it connects; the defaults if left out.</param>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <exception cref="FlareException">The kit is a server's, or the options contradict themselves.</exception>
    public static FederationSite Connect(
        IdentitySource identity, long? incarnation = null, SocketOptions? options = null, LinkLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(identity);
        options = identity.Logged(options);
        return Connect(
            KitTransports.ForSite(identity, options), identity.Current.Name, incarnation, limits, options.Logging,
            options.Time);
    }

    /// <summary>The site's name.</summary>
    public string Name { get; }

    /// <summary>
    /// Ends once the site has stopped. Fails, whether the site takes part in a job or not, where it does not connect
    /// any more since to try again would help nothing: the server refuses it, or is not who it should be
    /// (<see cref="FrameException"/>). Jobs that it joins fail with the same; let it be disposed of, and connect anew
    /// once that is mended.
    /// </summary>
    public Task Ended => _ended.Task;

    /// <summary>Takes part in a job, as soon as the server has it.</summary>
    /// <param name="plan">The site's part; it stays the caller's, who disposes of it once the job has ended.</param>
    /// <exception cref="ArgumentException">The plan is another site's.</exception>
    /// <exception cref="InvalidOperationException">The site takes part in the job already, or the plan has made a site
    /// already.</exception>
    /// <exception cref="ObjectDisposedException">The site has stopped.</exception>
    public JoinedJob Join(SitePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        if (plan.Name != Name)
            throw new ArgumentException($"The plan is for {plan.Name}, and this is {Name}.", nameof(plan));
        lock (_gate) return JoinOne(plan);
    }

    private JoinedJob JoinOne(SitePlan plan)
    {
        ObjectDisposedException.ThrowIf(_isStopped, this);
        var loop = plan.CreateLoop(e => Log.LoopFailed(_logger, plan.JobId, e));
        var job = new JoinedJob(plan.JobId);
        if (_jobs.Exists(j => j.JobId == plan.JobId && !j.Ended.IsCompleted))
        {
            throw new InvalidOperationException(
                $"{Name} takes part in job '{plan.JobId}' already: wait for its end, or leave it.");
        }
        _jobs.Add(job);
        var link = _uplink.Open(plan.JobId, loop, job.Fail);
        try
        {
            job.Take(plan.CreateSite(loop, link, NextIncarnation()), loop);
            Halts(job); // before it begins
            job.Start();
        }
        catch
        {
            _uplink.Close(link);
            lock (_gate) _jobs.Remove(job);
            throw;
        }
        if (Volatile.Read(ref _failure) is { } failure) job.Fail(failure);
        _ = ForgetAsync(job, link);
        return job;
    }

    // Who has left a job and joins it again is another start of the site to its server, which else would wait for what
    // the one before had begun; and still one before the next start of the process, which counts on by as little as 1.
    private long NextIncarnation() => (_incarnation << 20) + Interlocked.Increment(ref _joins);

    private JoinedJob[] Jobs
    {
        get { lock (_gate) return [.. _jobs]; }
    }

    private async Task ForgetAsync(JoinedJob job, SiteJobLink link)
    {
        await job.OverAsync();
        try
        {
            await job.LeaveAsync();
        }
        finally
        {
            _uplink.Close(link);
            lock (_gate) _jobs.Remove(job);
        }
    }

    private void Fail(FrameException error)
    {
        Volatile.Write(ref _failure, error);
        foreach (var job in Jobs) job.Fail(error);
        _ended.TrySetException(error);
        _ = _ended.Task.Exception; // the log has it, for whoever does not ask
    }
}

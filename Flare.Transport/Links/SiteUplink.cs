using System.Buffers;
using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// A site's one connection to its server: made again whenever it breaks, with pauses that grow, for as long as that may
/// help.
/// </summary>
internal sealed class SiteUplink : IAsyncDisposable
{
    private readonly IFlareConnector _connector;
    private readonly Lock _gate = new();
    private readonly List<SiteJobLink> _jobs = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Random _jitter;
    private volatile bool _isLeaving;
    private SiteSession? _session;
    private uint _nextChannel = 1;
    private Task _running = Task.CompletedTask;

    public SiteUplink(
        IFlareConnector connector, string site, long incarnation, LinkHost host)
    {
        (_connector, Site, Process, Incarnation, Host) = (connector, site, host.NewProcess(), incarnation, host);
        Up = host.Limits.Frames.SendLimit ?? new(host.Time);
        Down = host.Limits.Frames.ReceiveLimit ?? new(host.Time);
        _jitter = new Random(Process.GetHashCode());
    }

    public LinkHost Host { get; }

    public LinkLimits Limits => Host.Limits;

    public TimeProvider Time => Host.Time;

    public ILogger Logger => Host.Logger;

    public string Site { get; }

    /// <summary>Tells this process from others that say that they are the site.</summary>
    public Guid Process { get; }

    public long Incarnation { get; }

    /// <summary>What streams may send and bring, of all connections together.</summary>
    public BandwidthLimit Up { get; }

    /// <inheritdoc cref="Up"/>
    public BandwidthLimit Down { get; }

    /// <summary>
    /// A pause, shortened or lengthened: sites that lost one server do not all come back in one instant.
    /// </summary>
    public TimeSpan Scatter(TimeSpan pause)
    {
        lock (_jitter) return pause * (0.5 + _jitter.NextDouble());
    }

    /// <summary>The pause after another in vain.</summary>
    public TimeSpan Longer(TimeSpan pause) => pause * 2 < Limits.LongestPause ? pause * 2 : Limits.LongestPause;

    /// <summary>Starts connecting.</summary>
    /// <param name="fail">Called once, from any thread, when to try again helps nothing.</param>
    public void Start(Action<FrameException> fail) => _running = Host.Start(() => StayConnectedAsync(fail));

    /// <summary>A job that the site takes part in.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="loop">The loop of the site's part in it.</param>
    /// <param name="fail">Called once, from any thread, when the server refuses the site for good.</param>
    public SiteJobLink Open(string job, SynchronizationContext loop, Action<FrameException> fail)
    {
        SiteJobLink link;
        SiteSession? session;
        lock (_gate)
        {
            link = new(this, job, loop, _nextChannel++, fail);
            _jobs.Add(link);
            session = _session;
        }
        session?.Attach(link);
        return link;
    }

    /// <summary>The site has no more part in a job.</summary>
    public void Close(SiteJobLink link)
    {
        SiteSession? session;
        lock (_gate)
        {
            _jobs.Remove(link);
            session = _session;
        }
        session?.Detach(link);
        link.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        _isLeaving = true;
        SiteSession? session;
        lock (_gate) session = _session;
        if (session is not null) await session.CloseAsync("the site leaves", Limits.CloseGrace);
        _stop.Cancel();
        await _running;
    }

    private async Task StayConnectedAsync(Action<FrameException> fail)
    {
        var pause = Limits.FirstPause;
        while (!_stop.IsCancellationRequested)
        {
            string reason;
            var began = Time.GetTimestamp();
            var wasGood = false;
            try
            {
                var pipe = await _connector.ConnectAsync(_stop.Token);
                (var end, wasGood) = await RunSessionAsync(pipe);
                if (_isLeaving) return;
                if (end.Kind is ConnectionEndKind.ProtocolError)
                {
                    throw new FrameException(
                        ErrorIds.Connection, $"The connection ended: {end.Reason}.", isTransient: false, end.Error);
                }
                if (end is { Kind: ConnectionEndKind.Failed, Error: { } error })
                    Log.ConnectionFailed(Logger, Site, error);
                reason = end.ToString();
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (FrameException e) when (!e.IsTransient)
            {
                Log.GivesUp(Logger, Site, e.Message);
                fail(e);
                return;
            }
            catch (FrameException e)
            {
                reason = e.Message;
            }
            catch (Exception e) // a connector's of the application: it may be better the next time
            {
                Log.Unexpected(Logger, e);
                reason = e.Message;
            }
            // A good one that broke, however often: the next is tried soon.
            if (wasGood || Time.GetElapsedTime(began) > Limits.LongestPause) pause = Limits.FirstPause;
            var wait = Scatter(pause);
            Log.WillRetry(Logger, Site, wait, reason);
            pause = Longer(pause);
            try
            {
                await Task.Delay(wait, Time, _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    // Good is one on which the server took the site into a job, and which the network ended: that it ended may be
    // neither end's doing. One that an end has ended may have its reason in what was said, and is not hurried.
    private async Task<(ConnectionEnd End, bool WasGood)> RunSessionAsync(FlareConnection pipe)
    {
        await using (pipe)
        {
            var session = new SiteSession(this, pipe);
            using var registration = _stop.Token.Register(session.Abort);
            var running = session.RunAsync();
            SiteJobLink[] jobs;
            if (await session.IsReadyAsync())
            {
                lock (_gate)
                {
                    _session = session;
                    jobs = [.. _jobs];
                }
                foreach (var job in jobs) session.Attach(job);
            }
            var end = await running;
            lock (_gate) _session = null;
            session.LoseAll();
            return (end, session.HasJoined && end.IsTransient);
        }
    }
}

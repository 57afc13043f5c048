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
    private readonly LinkLimits _limits;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly string _site;
    private readonly Guid _process;
    private readonly long _incarnation;
    private readonly Lock _gate = new();
    private readonly List<JobLink> _jobs = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Random _jitter;
    private Session? _session;
    private uint _nextChannel = 1;
    private Task _running = Task.CompletedTask;

    public SiteUplink(
        IFlareConnector connector, string site, Guid process, long incarnation, LinkLimits limits, TimeProvider time,
        ILogger logger)
    {
        (_connector, _site, _process, _incarnation) = (connector, site, process, incarnation);
        (_limits, _time, _logger) = (limits, time, logger);
        // Sites that lost one server do not all come back in one instant.
        _jitter = new Random(process.GetHashCode());
    }

    /// <summary>Starts connecting.</summary>
    /// <param name="fail">Called once, from any thread, when to try again helps nothing.</param>
    public void Start(Action<FrameException> fail) => _running = Task.Run(() => StayConnectedAsync(fail));

    /// <summary>A job that the site takes part in.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="loop">The loop of the site's part in it.</param>
    /// <param name="fail">Called once, from any thread, when the server refuses the site for good.</param>
    public JobLink Open(string job, SynchronizationContext loop, Action<FrameException> fail)
    {
        JobLink link;
        Session? session;
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
    public void Close(JobLink link)
    {
        Session? session;
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
        Session? session;
        lock (_gate) session = _session;
        if (session is not null) await session.CloseAsync("the site leaves", _limits.CloseGrace);
        await _stop.CancelAsync();
        await _running;
    }

    private async Task StayConnectedAsync(Action<FrameException> fail)
    {
        var pause = _limits.FirstPause;
        while (!_stop.IsCancellationRequested)
        {
            string reason;
            var began = _time.GetTimestamp();
            try
            {
                var pipe = await _connector.ConnectAsync(_stop.Token);
                var end = await RunSessionAsync(pipe);
                if (_stop.IsCancellationRequested || end.Kind == ConnectionEndKind.Closed) return; // this end's will
                if (end.Kind is ConnectionEndKind.ProtocolError)
                {
                    throw new FrameException(
                        ErrorIds.Connection, $"The connection ended: {end.Reason}.", isTransient: false, end.Error);
                }
                if (end is { Kind: ConnectionEndKind.Failed, Error: { } error })
                    Log.ConnectionFailed(_logger, _site, error);
                reason = end.ToString();
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (FrameException e) when (!e.IsTransient)
            {
                Log.GivesUp(_logger, _site, e.Message);
                fail(e);
                return;
            }
            catch (FrameException e)
            {
                reason = e.Message;
            }
            catch (Exception e) // a connector's of the application: it may be better the next time
            {
                Log.Unexpected(_logger, e);
                reason = e.Message;
            }
            // One that lasted is a good one that broke: the next is tried soon.
            if (_time.GetElapsedTime(began) > _limits.LongestPause) pause = _limits.FirstPause;
            var wait = pause * (0.5 + _jitter.NextDouble());
            Log.WillRetry(_logger, _site, wait, reason);
            pause = pause * 2 < _limits.LongestPause ? pause * 2 : _limits.LongestPause;
            try
            {
                await Task.Delay(wait, _time, _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task<ConnectionEnd> RunSessionAsync(FlareConnection pipe)
    {
        await using (pipe)
        {
            var session = new Session(this, pipe);
            using var registration = _stop.Token.Register(session.Abort);
            var running = session.RunAsync();
            JobLink[] jobs;
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
            return end;
        }
    }

    /// <summary>One connection.</summary>
    private sealed class Session : IFrameReceiver, IAsyncDisposable
    {
        private readonly SiteUplink _site;
        private readonly FrameConnection _connection;
        private readonly Dictionary<uint, (JobLink Job, LinkChannel? Channel)> _channels = [];
        private readonly Lazy<SemaphoreSlim> _streams;

        public Session(SiteUplink site, FlareConnection pipe)
        {
            _site = site;
            var frames = site._limits.Frames;
            frames = frames with { PaceSending = frames.PaceSending ?? !pipe.BoundsUnsent };
            _connection = new(pipe, isInitiator: true, this, frames, site._time);
            _streams = new(() => new(_connection.MaxStreams));
        }

        public Task<ConnectionEnd> RunAsync() => _connection.RunAsync();

        public async Task<bool> IsReadyAsync()
        {
            await Task.WhenAny(_connection.Ready, _connection.Ended);
            return _connection.Ready.IsCompletedSuccessfully;
        }

        public ValueTask DisposeAsync() => _connection.DisposeAsync();

        public Task<ConnectionEnd> CloseAsync(string reason, TimeSpan grace) =>
            _connection.CloseAsync(reason, grace);

        public void Abort() => _connection.Abort("the site stops");

        public void Attach(JobLink job)
        {
            lock (_channels)
            {
                if (!_channels.TryAdd(job.Channel, (job, null))) return;
            }
            Say(job);
        }

        private void Say(JobLink job) => _connection.Send(Control.Channel, Control.SayAttach(
            job.Channel, _site._site, job.Job, _site._process, _site._incarnation));

        public void Detach(JobLink job)
        {
            (JobLink, LinkChannel? Channel) removed;
            lock (_channels)
            {
                if (!_channels.Remove(job.Channel, out removed)) return;
            }
            removed.Channel?.Dispose();
            _connection.Send(Control.Channel, Control.SayDetach(job.Channel));
        }

        public void LoseAll()
        {
            (JobLink Job, LinkChannel? Channel)[] all;
            lock (_channels)
            {
                all = [.. _channels.Values];
                _channels.Clear();
            }
            foreach (var (job, channel) in all)
                if (channel is not null) job.Lose(channel);
        }

        public void OnMessage(uint channel, in ReadOnlySequence<byte> message)
        {
            if (channel == Control.Channel) OnControl(Control.Read(message));
            else Find(channel).Channel?.OnMessage(message);
        }

        public StreamAnswer OnStream(in StreamOffer offer) => Find(offer.Channel).Channel is { } channel
            ? channel.OnStream(offer) : StreamAnswer.Refuse("no job has this channel");

        private (JobLink? Job, LinkChannel? Channel) Find(uint channel)
        {
            lock (_channels) return _channels.GetValueOrDefault(channel);
        }

        private void OnControl(FlareMap map)
        {
            var channel = Control.ChannelOf(map);
            if (Find(channel).Job is not { } job) return;
            switch (map["say"].AsText())
            {
                case Control.Attached:
                    var link = new LinkChannel(
                        _connection, channel, job.Job, "the server", job, job.Partials, _streams.Value, _site._logger);
                    lock (_channels) _channels[channel] = (job, link);
                    link.TellPartials();
                    job.Connect(link);
                    break;
                case Control.Refused:
                    OnRefused(job, Readable.Shown(map["reason"].AsText()), map["comeBack"].AsBoolean());
                    break;
                case Control.Partial:
                    Find(channel).Channel?.OnPartial(Control.StartOf(map));
                    break;
            }
        }

        private void OnRefused(JobLink job, string reason, bool comeBack)
        {
            if (!comeBack)
            {
                Log.GivesUp(_site._logger, _site._site, reason);
                job.Refuse(reason);
                return;
            }
            var wait = job.NextPause();
            Log.WillRetry(_site._logger, _site._site, wait, reason);
            _ = SayLaterAsync(job, wait);
        }

        private async Task SayLaterAsync(JobLink job, TimeSpan wait)
        {
            await Task.Delay(wait, _site._time);
            lock (_channels)
            {
                if (!_channels.TryGetValue(job.Channel, out var now) || now.Job != job || now.Channel is not null)
                    return;
            }
            Say(job);
        }
    }

    /// <summary>The site's end of one job's link.</summary>
    internal sealed class JobLink(
        SiteUplink site, string job, SynchronizationContext loop, uint channel, Action<FrameException> fail)
        : LinkChannel.Owner, ISiteLink, IDisposable
    {
        private readonly Lock _gate = new();
        private readonly HashSet<(int Epoch, long Number)> _wanted = [];
        private Action<LinkMessage>? _receive;
        private Action<LinkState>? _change;
        private LinkChannel? _channel;
        private TimeSpan _pause = site._limits.FirstPause;

        public string Job => job;

        public uint Channel => channel;

        public Partials Partials { get; } = new(site._time, site._limits.PartialsKept);

        public void Dispose() => Partials.Dispose();

        public LinkPromise Promise => LinkPromise.Session;

        public override bool HearsServer => true;

        public void Start(Action<LinkMessage> receive, Action<LinkState> change)
        {
            lock (_gate)
            {
                (_receive, _change) = (receive, change);
                if (_channel is not null) Tell(LinkState.Connected);
            }
        }

        public void Send(LinkMessage message)
        {
            LinkChannel? now;
            lock (_gate)
            {
                if (message.Head.Kind == FrameKind.TensorsWanted)
                    _wanted.Add((message.Head.Epoch, message.Head.Number));
                now = _channel;
            }
            now?.Send(message);
        }

        public void Connect(LinkChannel now)
        {
            lock (_gate)
            {
                (_channel, _pause) = (now, site._limits.FirstPause);
                Tell(LinkState.Connected);
            }
        }

        public void Lose(LinkChannel lost)
        {
            lost.Dispose();
            lock (_gate)
            {
                if (_channel != lost) return;
                _channel = null;
                _wanted.Clear();
                Tell(LinkState.Lost);
            }
        }

        public TimeSpan NextPause()
        {
            lock (_gate)
            {
                var pause = _pause * (0.5 + site._jitter.NextDouble());
                _pause = _pause * 2 < site._limits.LongestPause ? _pause * 2 : site._limits.LongestPause;
                return pause;
            }
        }

        public void Refuse(string reason) => fail(new FrameException(
            ErrorIds.SiteRefused, $"The server does not let {site._site} take part in job '{job}': {reason}.",
            isTransient: false));

        public override string? RefusalOf(FrameHead head)
        {
            if (head.Length > site._limits.MaxModelBytes)
            {
                return $"a message of {head.Length} bytes is longer than {nameof(LinkLimits.MaxModelBytes)} allows "
                    + $"here, {site._limits.MaxModelBytes}";
            }
            if (head.Kind != FrameKind.TensorsDelivery) return null;
            lock (_gate)
                return _wanted.Contains((head.Epoch, head.Number)) ? null : "tensors that this site has not asked for";
        }

        public override void Deliver(LinkChannel from, LinkMessage message)
        {
            // Posted under the lock: what came before a connection's end is heard before it, and nothing of it after.
            lock (_gate)
            {
                if (_channel == from) loop.Post(_ => _receive?.Invoke(message), null);
            }
        }

        private void Tell(LinkState state) => loop.Post(_ => _change?.Invoke(state), null);
    }
}

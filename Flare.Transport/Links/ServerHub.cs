using System.Buffers;
using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>The connections of one server's sites, and the jobs that they are for.</summary>
internal sealed class ServerHub : IAsyncDisposable
{
    private readonly IFlareListener _listener;
    private readonly LinkLimits _limits;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, JobLink> _jobs = new(StringComparer.Ordinal);
    private readonly HashSet<Session> _sessions = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _accepting;

    public ServerHub(IFlareListener listener, LinkLimits limits, TimeProvider time, ILogger logger)
    {
        (_listener, _limits, _time, _logger) = (listener, limits, time, logger);
        _accepting = Task.Run(AcceptAllAsync);
    }

    public string Address => _listener.Address;

    public IReadOnlyCollection<string> ConnectedSites
    {
        get
        {
            JobLink[] jobs;
            lock (_gate) jobs = [.. _jobs.Values];
            return [.. jobs.SelectMany(j => j.Names).Distinct().Order(StringComparer.Ordinal)];
        }
    }

    /// <summary>Opens a job to its sites.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="loop">The job's loop.</param>
    /// <exception cref="InvalidOperationException">There is one of the id.</exception>
    /// <param name="limits">The job's.</param>
    public JobLink Open(string job, SynchronizationContext loop, RuntimeLimits limits)
    {
        var link = new JobLink(this, job, loop, limits);
        lock (_gate)
        {
            if (!_jobs.TryAdd(job, link))
                throw new InvalidOperationException($"This server runs a job '{job}' already; give each its own id.");
        }
        return link;
    }

    /// <summary>Ends what is still said about a job; its sites are told that it is not here any more.</summary>
    public void Close(JobLink link)
    {
        lock (_gate) _jobs.Remove(link.Job);
        link.End();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _listener.DisposeAsync();
        await _accepting;
        Session[] sessions;
        lock (_gate) sessions = [.. _sessions];
        await Task.WhenAll(sessions.Select(s => s.CloseAsync("the server shuts down", _limits.CloseGrace)));
    }

    private async Task AcceptAllAsync()
    {
        while (true)
        {
            FlareConnection? connection;
            try
            {
                connection = await _listener.AcceptAsync(_stop.Token);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) // a listener of the application's: one failure does not keep all sites out
            {
                Log.Unexpected(_logger, e);
                await Task.Delay(TimeSpan.FromSeconds(1), _time);
                continue;
            }
            if (connection is null) return;
            _ = new Session(this, connection).RunAsync();
        }
    }

    private JobLink? Find(string job)
    {
        lock (_gate) return _jobs.GetValueOrDefault(job);
    }

    /// <summary>One connection of a site, and what it takes part in over it.</summary>
    internal sealed class Session : IFrameReceiver, IAsyncDisposable
    {
        private readonly ServerHub _hub;
        private readonly FlareConnection _pipe;
        private readonly FrameConnection _connection;
        private readonly Dictionary<uint, Attachment> _channels = [];
        private readonly Lazy<SemaphoreSlim> _streams;
        private string _name;

        public Session(ServerHub hub, FlareConnection pipe)
        {
            (_hub, _pipe, _name) = (hub, pipe, pipe.PeerName ?? "a site");
            var frames = hub._limits.Frames;
            frames = frames with { PaceSending = frames.PaceSending ?? !pipe.BoundsUnsent };
            _connection = new(pipe, isInitiator: false, this, frames, hub._time);
            _streams = new(() => new(_connection.MaxStreams));
        }

        public FrameConnection Connection => _connection;

        public SemaphoreSlim Streams => _streams.Value;

        public Unheard Unheard { get; } = new();

        public async Task RunAsync()
        {
            lock (_hub._gate) _hub._sessions.Add(this);
            var end = await _connection.RunAsync();
            lock (_hub._gate) _hub._sessions.Remove(this);
            Attachment[] attached;
            lock (_channels)
            {
                attached = [.. _channels.Values];
                _channels.Clear();
            }
            foreach (var attachment in attached) attachment.Job.Lose(attachment);
            await _pipe.DisposeAsync();
            if (end.Error is not null && end.Kind == ConnectionEndKind.Failed)
                Log.ConnectionFailed(_hub._logger, _name, end.Error);
            else Log.ConnectionEnded(_hub._logger, _name, end.ToString());
        }

        public Task<ConnectionEnd> CloseAsync(string reason, TimeSpan grace) =>
            _connection.CloseAsync(reason, grace);

        public ValueTask DisposeAsync() => _connection.DisposeAsync();

        public void OnMessage(uint channel, in ReadOnlySequence<byte> message)
        {
            if (channel == Control.Channel) OnControl(Control.Read(message));
            else Find(channel)?.Channel.OnMessage(message);
        }

        public StreamAnswer OnStream(in StreamOffer offer) => Find(offer.Channel) is { } attachment
            ? attachment.Channel.OnStream(offer) : StreamAnswer.Refuse("no job has this channel");

        private Attachment? Find(uint channel)
        {
            lock (_channels) return _channels.GetValueOrDefault(channel);
        }

        private void OnControl(FlareMap map)
        {
            var channel = Control.ChannelOf(map);
            switch (map["say"].AsText())
            {
                case Control.Attach: OnAttach(channel, map); break;
                case Control.Detach: OnDetach(channel); break;
                case Control.Partial: Find(channel)?.Channel.OnPartial(Control.StartOf(map)); break;
            }
        }

        private void OnAttach(uint channel, FlareMap map)
        {
            var site = map["site"].AsText();
            var job = map["job"].AsText();
            var process = map["process"].AsBytes();
            if (process.Length != 16 || map["incarnation"].AsInteger() < 1)
                throw new FlareException(
                    ErrorIds.MalformedMessage, "A site's process has 16 bytes, and starts count from 1.");
            if (_pipe.PeerName is { } proven && proven != site)
            {
                Refuse(
                    channel, site, job, $"its certificate is that of {proven}, and it says that it is another", false);
                return;
            }
            if (Find(channel) is not null)
                throw new FlareException(ErrorIds.MalformedMessage, $"Channel {channel} is in use.");
            if (_hub.Find(job) is not { IsStarted: true } link)
            {
                Refuse(channel, site, job, $"there is no job '{Readable.Shown(job)}' at this server now", true);
                return;
            }
            _name = site;
            var attachment = new Attachment(
                this, link, site, new Guid(process.Span), map["incarnation"].AsInteger(), channel);
            if (link.Refuses(attachment) is { } refusal)
            {
                Refuse(channel, site, job, refusal, false);
                return;
            }
            lock (_channels) _channels.Add(channel, attachment);
            // Before anything of the job can be said on the channel.
            _connection.Send(Control.Channel, Control.SayAttached(channel));
            if (!link.TryConnect(attachment))
            {
                lock (_channels) _channels.Remove(channel);
                Refuse(channel, site, job, $"job '{Readable.Shown(job)}' has just ended", true);
                return;
            }
            attachment.Channel.TellPartials();
            Log.Attached(_hub._logger, site, job, _pipe.PeerAddress);
        }

        private void Refuse(uint channel, string site, string job, string reason, bool comeBack)
        {
            Log.AttachRefused(_hub._logger, Readable.Shown(site), Readable.Shown(job), reason);
            _connection.Send(Control.Channel, Control.SayRefused(channel, reason, comeBack));
        }

        private void OnDetach(uint channel)
        {
            Attachment? attachment;
            lock (_channels) _channels.Remove(channel, out attachment);
            attachment?.Job.Lose(attachment);
        }

        /// <summary>A job has no more use for this connection, which then has none at all perhaps.</summary>
        public void Release(Attachment attachment, string reason, bool closes)
        {
            lock (_channels)
            {
                _channels.Remove(attachment.Channel.Id);
                if (_channels.Count > 0 || !closes) return;
            }
            _ = _connection.CloseAsync(reason, TimeSpan.FromSeconds(1));
        }
    }

    /// <summary>A site's part in a job, over one connection.</summary>
    internal sealed class Attachment : LinkChannel.Owner
    {
        public Attachment(
            Session session, JobLink job, string site, Guid process, long incarnation, uint channel)
        {
            (Session, Job, Site, Process, Incarnation) = (session, job, site, process, incarnation);
            Channel = new(session.Connection, channel, job.Job, site, this, job.Partials, session.Streams, job.Logger);
        }

        public Session Session { get; }
        public JobLink Job { get; }
        public string Site { get; }
        public Guid Process { get; }
        public long Incarnation { get; }
        public LinkChannel Channel { get; }

        public override bool HearsServer => false;

        public override string? RefusalOf(FrameHead head) => Job.RefusalOf(Site, head);

        public override void Deliver(LinkChannel from, LinkMessage message) => Job.Deliver(this, message);
    }

    /// <summary>The server's end of one job's link.</summary>
    internal sealed class JobLink(ServerHub hub, string job, SynchronizationContext loop, RuntimeLimits limits)
        : IServerLink
    {
        private readonly Lock _gate = new();
        private readonly Dictionary<string, Attachment> _sites = new(StringComparer.Ordinal);
        private readonly HashSet<(string Site, int Epoch, long Number)> _permits = [];
        private Action<string, LinkMessage>? _receive;
        private Action<string, LinkState>? _change;
        private bool _isOver;

        public string Job => job;

        public ILogger Logger => hub._logger;

        public Partials Partials { get; } = new(hub._time, hub._limits.PartialsKept);

        public LinkPromise Promise => LinkPromise.Session;

        public string[] Names
        {
            get { lock (_gate) return [.. _sites.Keys]; }
        }

        /// <summary>Whether somebody hears what sites say.</summary>
        public bool IsStarted
        {
            get { lock (_gate) return _receive is not null; }
        }

        public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change)
        {
            lock (_gate) (_receive, _change) = (receive, change);
        }

        public void Send(string site, LinkMessage message)
        {
            Attachment? attachment;
            lock (_gate)
            {
                var head = message.Head;
                var assignment = (site, head.Epoch, head.Number);
                attachment = _sites.GetValueOrDefault(site);
                if (head.Kind == FrameKind.UploadPermit && attachment is not null) _permits.Add(assignment);
                else if (head.Kind is FrameKind.ResultReceipt or FrameKind.TaskCancel) _permits.Remove(assignment);
            }
            attachment?.Channel.Send(message);
        }

        /// <summary>Whether another process is the site already: the later start is the site.</summary>
        public string? Refuses(Attachment attachment)
        {
            lock (_gate)
            {
                if (!_sites.TryGetValue(attachment.Site, out var other) || other.Process == attachment.Process
                    || attachment.Incarnation > other.Incarnation) return null;
                return $"another process is {attachment.Site} already, and has started later (its start "
                    + $"{other.Incarnation}, this one's {attachment.Incarnation}): one process each, please";
            }
        }

        /// <returns>False if the job is over.</returns>
        public bool TryConnect(Attachment attachment)
        {
            Attachment? before;
            lock (_gate)
            {
                if (_isOver) return false;
                if (_sites.Remove(attachment.Site, out before)) TellLost(attachment.Site);
                _sites.Add(attachment.Site, attachment);
                Tell(attachment.Site, LinkState.Connected);
            }
            before?.Channel.Dispose();
            before?.Session.Release(before, "another connection of the same site has taken its place", closes: true);
            return true;
        }

        public void Lose(Attachment attachment)
        {
            attachment.Channel.Dispose();
            lock (_gate)
            {
                if (_sites.GetValueOrDefault(attachment.Site) != attachment) return;
                _sites.Remove(attachment.Site);
                TellLost(attachment.Site);
            }
        }

        // Authentic sites may send nonsense, too: nothing is made for what nobody has permitted. A permit is for one
        // stream.
        public string? RefusalOf(string site, FrameHead head)
        {
            if (head.Kind != FrameKind.TaskResult)
            {
                return head.Length <= hub._limits.MaxMessageBytes ? null
                    : $"its {head.Length} bytes are above {nameof(LinkLimits)}.{nameof(LinkLimits.MaxMessageBytes)}, "
                        + $"{hub._limits.MaxMessageBytes}";
            }
            var most = Math.Min(hub._limits.MaxResultBytes, limits.MaxMessageBytes);
            if (head.Length > most)
            {
                return $"its {head.Length} bytes are above what is taken here, {most} "
                    + $"({nameof(LinkLimits)}.{nameof(LinkLimits.MaxResultBytes)} and "
                    + $"{nameof(RuntimeLimits)}.{nameof(RuntimeLimits.MaxMessageBytes)})";
            }
            // What is not small on the site's own count may still be so in bytes.
            if (head.Length <= Math.Max(limits.SmallResultBytes, 1 << 16) + (1 << 16)) return null;
            lock (_gate)
            {
                return _permits.Remove((site, head.Epoch, head.Number))
                    ? null : "nobody has permitted it, or it is on its way already";
            }
        }

        public void Deliver(Attachment from, LinkMessage message)
        {
            var unheard = from.Session.Unheard;
            var bytes = message.Bytes.Length;
            if (unheard.Add(bytes) > hub._limits.MaxUnheardBytes)
            {
                throw new FlareException(
                    ErrorIds.Connection, $"{from.Site} says more than its job can hear: above "
                    + $"{nameof(LinkLimits.MaxUnheardBytes)}, {hub._limits.MaxUnheardBytes} bytes, wait.");
            }
            // Posted under the lock: what came before a connection's end is heard before it, and nothing of it after.
            lock (_gate)
            {
                if (_sites.GetValueOrDefault(from.Site) != from)
                {
                    unheard.Add(-bytes);
                    return;
                }
                loop.Post(_ =>
                {
                    unheard.Add(-bytes);
                    _receive?.Invoke(from.Site, message);
                }, null);
            }
        }

        public void End()
        {
            Attachment[] sites;
            lock (_gate)
            {
                _isOver = true;
                sites = [.. _sites.Values];
                _sites.Clear();
                _permits.Clear();
            }
            foreach (var attachment in sites)
            {
                attachment.Channel.Dispose();
                attachment.Session.Release(attachment, $"job '{job}' is over", closes: false);
            }
            Partials.Dispose();
        }

        private void TellLost(string site)
        {
            _permits.RemoveWhere(p => p.Site == site); // given again in the next session
            Tell(site, LinkState.Lost);
        }

        private void Tell(string site, LinkState state) => loop.Post(_ => _change?.Invoke(site, state), null);
    }
}

/// <summary>Bytes of messages of a connection that wait for a job's loop.</summary>
internal sealed class Unheard
{
    private long _bytes;

    public long Add(long bytes) => Interlocked.Add(ref _bytes, bytes);
}

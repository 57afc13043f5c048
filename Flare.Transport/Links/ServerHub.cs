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
    public JobLink Open(string job, SynchronizationContext loop)
    {
        var link = new JobLink(this, job, loop);
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
            catch (OperationCanceledException)
            {
                return;
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
        private string _name;

        public Session(ServerHub hub, FlareConnection pipe)
        {
            (_hub, _pipe, _name) = (hub, pipe, pipe.PeerName ?? "a site");
            var frames = hub._limits.Frames;
            frames = frames with { PaceSending = frames.PaceSending ?? !pipe.BoundsUnsent };
            _connection = new(pipe, isInitiator: false, this, frames, hub._time);
        }

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
                this, link, site, new Guid(process.Span), map["incarnation"].AsInteger(), _connection, channel);
            if (link.Refuses(attachment) is { } refusal)
            {
                Refuse(channel, site, job, refusal, false);
                return;
            }
            lock (_channels) _channels.Add(channel, attachment);
            // Before anything of the job can be said on the channel.
            _connection.Send(Control.Channel, Control.SayAttached(channel));
            attachment.Channel.TellPartials();
            link.Connect(attachment);
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

        /// <summary>Another connection of the same site has taken its place.</summary>
        public void Replace(Attachment attachment)
        {
            lock (_channels)
            {
                _channels.Remove(attachment.Channel.Id);
                if (_channels.Count > 0) return;
            }
            _ = _connection.CloseAsync(
                "another connection of the same site has taken its place", TimeSpan.FromSeconds(1));
        }
    }

    /// <summary>A site's part in a job, over one connection.</summary>
    internal sealed class Attachment : LinkChannel.Owner
    {
        public Attachment(
            Session session, JobLink job, string site, Guid process, long incarnation, FrameConnection connection,
            uint channel)
        {
            (Session, Job, Site, Process, Incarnation) = (session, job, site, process, incarnation);
            Channel = new(connection, channel, job.Job, this, job.PartialsOf(site), job.Logger);
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
    internal sealed class JobLink(ServerHub hub, string job, SynchronizationContext loop) : IServerLink
    {
        private readonly Lock _gate = new();
        private readonly Dictionary<string, Attachment> _sites = new(StringComparer.Ordinal);
        private readonly Dictionary<string, Partials> _partials = new(StringComparer.Ordinal);
        private readonly HashSet<(string Site, int Epoch, long Number)> _permits = [];
        private Action<string, LinkMessage>? _receive;
        private Action<string, LinkState>? _change;

        public string Job => job;

        public ILogger Logger => hub._logger;

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
                if (head.Kind == FrameKind.UploadPermit) _permits.Add(assignment);
                else if (head.Kind is FrameKind.ResultReceipt or FrameKind.TaskCancel) _permits.Remove(assignment);
                attachment = _sites.GetValueOrDefault(site);
            }
            attachment?.Channel.Send(message);
        }

        public Partials PartialsOf(string site)
        {
            lock (_gate)
            {
                if (!_partials.TryGetValue(site, out var partials))
                    _partials.Add(site, partials = new(hub._time, hub._limits.PartialsKept));
                return partials;
            }
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

        public void Connect(Attachment attachment)
        {
            Attachment? before;
            lock (_gate)
            {
                if (_sites.Remove(attachment.Site, out before)) Tell(attachment.Site, LinkState.Lost);
                _sites.Add(attachment.Site, attachment);
                Tell(attachment.Site, LinkState.Connected);
            }
            before?.Channel.Dispose();
            before?.Session.Replace(before);
        }

        public void Lose(Attachment attachment)
        {
            attachment.Channel.Dispose();
            lock (_gate)
            {
                if (_sites.GetValueOrDefault(attachment.Site) != attachment) return;
                _sites.Remove(attachment.Site);
                Tell(attachment.Site, LinkState.Lost);
            }
        }

        // Authentic sites may send nonsense, too: nothing is made for what nobody has permitted.
        public string? RefusalOf(string site, FrameHead head)
        {
            if (head.Kind != FrameKind.TaskResult && head.Length > hub._limits.UnpermittedBytes)
                return $"a message of kind {head.Kind} of {head.Length} bytes";
            if (head.Length > hub._limits.MaxResultBytes)
            {
                return $"a result of {head.Length} bytes is longer than {nameof(LinkLimits.MaxResultBytes)} allows "
                    + $"here, {hub._limits.MaxResultBytes}";
            }
            if (head.Length <= hub._limits.UnpermittedBytes) return null;
            lock (_gate)
            {
                return _permits.Contains((site, head.Epoch, head.Number))
                    ? null : $"a result of {head.Length} bytes for which {site} has no permit";
            }
        }

        public void Deliver(Attachment from, LinkMessage message)
        {
            // Posted under the lock: what came before a connection's end is heard before it, and nothing of it after.
            lock (_gate)
            {
                if (_sites.GetValueOrDefault(from.Site) == from)
                    loop.Post(_ => _receive?.Invoke(from.Site, message), null);
            }
        }

        public void End()
        {
            Attachment[] sites;
            lock (_gate)
            {
                sites = [.. _sites.Values];
                _sites.Clear();
                _permits.Clear();
            }
            foreach (var attachment in sites)
            {
                attachment.Channel.Dispose();
                attachment.Session.Replace(attachment);
            }
        }

        private void Tell(string site, LinkState state) => loop.Post(_ => _change?.Invoke(site, state), null);
    }
}

using System.Buffers;
using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>One connection of a site, and what it takes part in over it.</summary>
internal sealed class ServerSession : IFrameReceiver, IAsyncDisposable
{
    private readonly ServerHub _hub;
    private readonly FlareConnection _pipe;
    private readonly FrameConnection _connection;
    private readonly Dictionary<uint, ServerChannel> _channels = [];
    private readonly Lazy<StreamTurns> _streams;
    private string _name;

    public ServerSession(ServerHub hub, FlareConnection pipe)
    {
        (_hub, _pipe, _name) = (hub, pipe, pipe.PeerName ?? "a site");
        var frames = hub.Limits.Frames;
        frames = frames with { PaceSending = frames.PaceSending ?? !pipe.BoundsUnsent };
        _connection = new(pipe, isInitiator: false, this, frames, hub.Time);
        _streams = new(() => new(_connection.MaxStreams));
    }

    public FrameConnection Connection => _connection;

    public StreamTurns Streams => _streams.Value;

    public LinkHost Host => _hub.Host;

    public Unheard Unheard { get; } = new();

    public async Task RunAsync()
    {
        _hub.Add(this);
        ConnectionEnd end;
        var running = _connection.RunAsync();
        using (_pipe.Peer?.Watch(Refuse)) end = await running;
        _hub.Remove(this);
        ServerChannel[] attached;
        lock (_channels)
        {
            attached = [.. _channels.Values];
            _channels.Clear();
        }
        foreach (var attachment in attached) attachment.Job.Lose(attachment);
        await _pipe.DisposeAsync();
        if (end.Error is not null && end.Kind == ConnectionEndKind.Failed)
            Log.ConnectionFailed(_hub.Logger, _name, end.Error);
        else if (end.Kind is ConnectionEndKind.ProtocolError or ConnectionEndKind.Refused)
            Log.ConnectionRefused(_hub.Logger, _name, _pipe.PeerAddress, end.Reason);
        else Log.ConnectionEnded(_hub.Logger, _name, end.ToString());
    }

    private void Refuse(string refusal) => _connection.Refuse($"the site's certificate is refused: {refusal}");

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

    private ServerChannel? Find(uint channel)
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
            case Control.Told: Find(channel)?.Channel.OnTold(); break;
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
        if (SiteName.Fault(site) is { } fault)
        {
            Refuse(
                channel, site, job, $"'{Words.Of(site)}' cannot be the name of a site: {Words.Of(fault, 300)}; start "
                + "it by another", false);
            return;
        }
        if (_pipe.PeerName is { } proven && proven != site)
        {
            var shown = Words.Of(site);
            Refuse(
                channel, site, job, $"its certificate is that of {proven}: start the process that is to be {shown} "
                + $"with the kit of {shown}", false);
            return;
        }
        if (Find(channel) is not null)
            throw new FlareException(ErrorIds.MalformedMessage, $"Channel {channel} is in use.");
        if (_hub.Find(job) is not { IsStarted: true } link)
        {
            Refuse(
                channel, site, job, $"there is no job '{Words.Of(job)}' at this server now; check its id, or wait "
                + "until it starts", true);
            return;
        }
        _name = site;
        var attachment = new ServerChannel(
            this, link, site, new Guid(process.Span), map["incarnation"].AsInteger(), channel);
        if (link.Refuses(attachment) is { } refusal)
        {
            Refuse(channel, site, job, refusal, false);
            return;
        }
        lock (_channels) _channels.Add(channel, attachment);
        if (!link.TryConnect(attachment))
        {
            lock (_channels) _channels.Remove(channel);
            Refuse(channel, site, job, $"job '{Words.Of(job)}' has just ended", true);
            return;
        }
        Log.Attached(_hub.Logger, site, job, _pipe.PeerAddress);
    }

    /// <summary>Agrees to a channel; before anything of the job is said on it.</summary>
    public void SayAttached(uint channel) => _connection.Send(Control.Channel, Control.SayAttached(channel));

    private void Refuse(uint channel, string site, string job, string reason, bool comeBack)
    {
        Log.AttachRefused(_hub.Logger, Words.Of(site), Words.Of(job), reason);
        _connection.Send(Control.Channel, Control.SayRefused(channel, reason, comeBack));
    }

    private void OnDetach(uint channel)
    {
        ServerChannel? attachment;
        lock (_channels) _channels.Remove(channel, out attachment);
        attachment?.Job.Lose(attachment);
    }

    /// <summary>The channel's job is over here; the site may ask for it again.</summary>
    public void Refuse(ServerChannel attachment, string reason)
    {
        lock (_channels) _channels.Remove(attachment.Channel.Id);
        _connection.Send(Control.Channel, Control.SayRefused(attachment.Channel.Id, reason, comeBack: true));
    }

    /// <summary>Another connection has taken the place of this one, which then may have no use at all.</summary>
    public void Replace(ServerChannel attachment)
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

/// <summary>Bytes of messages of a connection that wait for a job's loop.</summary>
internal sealed class Unheard
{
    private long _bytes;

    public long Add(long bytes) => Interlocked.Add(ref _bytes, bytes);
}

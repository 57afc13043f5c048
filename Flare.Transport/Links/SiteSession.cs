using System.Buffers;
using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>One connection.</summary>
internal sealed class SiteSession : IFrameReceiver, IAsyncDisposable
{
    private readonly SiteUplink _site;
    private readonly Peer? _peer;
    private readonly FrameConnection _connection;
    private readonly Dictionary<uint, (SiteJobLink Job, LinkChannel? Channel)> _channels = [];
    private readonly Lazy<StreamTurns> _streams;

    public SiteSession(SiteUplink site, FlareConnection pipe)
    {
        (_site, _peer) = (site, pipe.Peer);
        var frames = site.Limits.Frames;
        frames = frames with
        {
            PaceSending = frames.PaceSending ?? !pipe.BoundsUnsent, SendLimit = site.Up, ReceiveLimit = site.Down,
        };
        // What may come in a moment: more would come at once, and then nothing for long.
        if (site.Down.BytesPerSecond is { } rate)
            frames = frames with { StreamWindow = (int)Math.Clamp(rate / 4, 1 << 16, frames.StreamWindow) };
        _connection = new(pipe, isInitiator: true, this, frames, site.Time);
        _streams = new(() => new(_connection.MaxStreams));
    }

    /// <summary>Whether the server has taken the site into a job over it.</summary>
    public bool HasJoined { get; private set; }

    public async Task<ConnectionEnd> RunAsync()
    {
        var running = _connection.RunAsync();
        using (_peer?.Watch(Refuse)) return await running;
    }

    private void Refuse(string refusal) => _connection.Refuse($"the server's certificate is refused: {refusal}");

    public async Task<bool> IsReadyAsync()
    {
        try
        {
            await _connection.Ready;
            return true;
        }
        catch (FrameException)
        {
            return false; // it has ended before, and its end says why
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    public Task<ConnectionEnd> CloseAsync(string reason, TimeSpan grace) =>
        _connection.CloseAsync(reason, grace);

    public void Abort() => _connection.Abort("the site stops");

    public void Attach(SiteJobLink job)
    {
        lock (_channels)
        {
            if (!_channels.TryAdd(job.Channel, (job, null))) return;
        }
        Say(job);
    }

    private void Say(SiteJobLink job) => _connection.Send(Control.Channel, Control.SayAttach(
        job.Channel, _site.Site, job.Job, _site.Process, _site.Incarnation));

    public void Detach(SiteJobLink job)
    {
        (SiteJobLink, LinkChannel? Channel) removed;
        lock (_channels)
        {
            if (!_channels.Remove(job.Channel, out removed)) return;
        }
        removed.Channel?.Dispose();
        _connection.Send(Control.Channel, Control.SayDetach(job.Channel));
    }

    public void LoseAll()
    {
        (SiteJobLink Job, LinkChannel? Channel)[] all;
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

    private (SiteJobLink? Job, LinkChannel? Channel) Find(uint channel)
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
                HasJoined = true;
                var link = new LinkChannel(
                    _connection, channel, job.Job, "the server", job, job.Partials, _streams.Value,
                    _site.Host);
                lock (_channels) _channels[channel] = (job, link);
                link.TellPartials();
                job.Connect(link);
                break;
            case Control.Refused:
                OnRefused(job, Words.Of(map["reason"].AsText(), 500), map["comeBack"].AsBoolean());
                break;
            case Control.Partial:
                Find(channel).Channel?.OnPartial(Control.StartOf(map));
                break;
            case Control.Told:
                Find(channel).Channel?.OnTold();
                break;
        }
    }

    private void OnRefused(SiteJobLink job, string reason, bool comeBack)
    {
        LinkChannel? channel;
        lock (_channels)
        {
            channel = _channels.GetValueOrDefault(job.Channel).Channel;
            _channels[job.Channel] = (job, null);
        }
        if (channel is not null) job.Lose(channel); // its job has ended at the server
        if (!comeBack)
        {
            Log.GivesUp(_site.Logger, _site.Site, reason);
            job.Refuse(reason);
            return;
        }
        var wait = job.NextPause();
        Log.WaitsForJob(_site.Logger, _site.Site, job.Job, reason, wait);
        _ = SayLaterAsync(job, wait);
    }

    private async Task SayLaterAsync(SiteJobLink job, TimeSpan wait)
    {
        await Task.Delay(wait, _site.Time);
        lock (_channels)
        {
            if (!_channels.TryGetValue(job.Channel, out var now) || now.Job != job || now.Channel is not null)
                return;
        }
        Say(job);
    }
}

using Flare.Runtime;

namespace Flare.Transport;

/// <summary>The site's end of one job's link.</summary>
internal sealed class SiteJobLink(
    SiteUplink site, string job, SynchronizationContext loop, uint channel, Action<FrameException> fail)
    : LinkChannel.Owner, ISiteLink, IDisposable
{
    private readonly Lock _gate = new();
    private readonly HashSet<(int Epoch, long Number)> _wanted = [];
    private Action<LinkMessage>? _receive;
    private Action<LinkState>? _change;
    private LinkChannel? _channel;
    private TimeSpan _pause = site.Limits.FirstPause;

    public string Job => job;

    public uint Channel => channel;

    public Partials Partials { get; } = new(site.Time, site.Limits.PartialsKept);

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
            (_channel, _pause) = (now, site.Limits.FirstPause);
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
            var pause = site.Scatter(_pause);
            _pause = site.Longer(_pause);
            return pause;
        }
    }

    public void Refuse(string reason) => fail(new FrameException(
        ErrorIds.SiteRefused, $"The server does not let {site.Site} take part in job '{job}': {reason}.",
        isTransient: false));

    public override string? RefusalOf(FrameHead head)
    {
        var (most, name) = head.Kind == FrameKind.TensorsDelivery
            ? (site.Limits.MaxModelBytes, nameof(LinkLimits.MaxModelBytes))
            : (site.Limits.MaxMessageBytes, nameof(LinkLimits.MaxMessageBytes));
        if (head.Length > most) return $"its {head.Length} bytes are above {nameof(LinkLimits)}.{name}, {most}";
        if (head.Kind != FrameKind.TensorsDelivery) return null;
        lock (_gate)
        {
            return _wanted.Remove((head.Epoch, head.Number)) ? null : OnItsWay;
        }
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

using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>The server's end of one job's link.</summary>
internal sealed class ServerJobLink(ServerHub hub, string job, SynchronizationContext loop, RuntimeLimits limits)
    : IServerLink
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ServerChannel> _sites = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Site, int Epoch, long Number), long> _permits = [];
    private readonly HashSet<(string Site, int Epoch, long Number)> _arriving = [];
    private Action<string, LinkMessage>? _receive;
    private Action<string, LinkState>? _change;
    private bool _isOver;

    public string Job => job;

    public ILogger Logger => hub.Logger;

    public Partials Partials { get; } = new(hub.Time, hub.Limits.PartialsKept);

    public LinkPromise Promise => LinkPromise.Session;

    /// <summary>Whether it holds nothing: no site, no permit, no beginning.</summary>
    public bool IsEmpty
    {
        get { lock (_gate) return _sites.Count == 0 && _permits.Count + _arriving.Count == 0 && Partials.Count == 0; }
    }

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
        ServerChannel? attachment;
        lock (_gate)
        {
            var head = message.Head;
            var assignment = (site, head.Epoch, head.Number);
            attachment = _sites.GetValueOrDefault(site);
            if (head.Kind == FrameKind.UploadPermit && attachment is not null)
                _permits[assignment] = message.PermittedBytes;
            else if (head.Kind is FrameKind.ResultReceipt or FrameKind.TaskCancel)
            {
                _permits.Remove(assignment);
                _arriving.Remove(assignment);
            }
        }
        attachment?.Channel.Send(message);
    }

    /// <summary>Whether another process is the site already: the later start is the site.</summary>
    public string? Refuses(ServerChannel attachment)
    {
        lock (_gate)
        {
            if (!_sites.TryGetValue(attachment.Site, out var other) || other.Process == attachment.Process
                || attachment.Incarnation > other.Incarnation) return null;
            var both = other.Incarnation == attachment.Incarnation ? $"with the same start {other.Incarnation}"
                : $"and has started later (its start {other.Incarnation}, this one's {attachment.Incarnation})";
            return $"another process is {attachment.Site} already, {both}: stop one of them, or, where it was started "
                + "again, give it a higher start";
        }
    }

    /// <returns>False if the job is over.</returns>
    public bool TryConnect(ServerChannel attachment)
    {
        ServerChannel? before;
        lock (_gate)
        {
            if (_isOver) return false;
            if (_sites.Remove(attachment.Site, out before)) TellLost(attachment.Site);
            _sites.Add(attachment.Site, attachment);
            attachment.Session.SayAttached(attachment.Channel.Id);
            attachment.Channel.TellPartials();
            Tell(attachment.Site, LinkState.Connected);
        }
        before?.Channel.Dispose();
        before?.Session.Replace(before);
        return true;
    }

    public void Lose(ServerChannel attachment)
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
            return head.Length <= hub.Limits.MaxMessageBytes ? null
                : $"its {head.Length} bytes are above {nameof(LinkLimits)}.{nameof(LinkLimits.MaxMessageBytes)}, "
                    + $"{hub.Limits.MaxMessageBytes}";
        }
        var most = Math.Min(hub.Limits.MaxResultBytes, limits.MaxMessageBytes);
        if (head.Length > most)
        {
            return $"its {head.Length} bytes are above what is taken here, {most} "
                + $"({nameof(LinkLimits)}.{nameof(LinkLimits.MaxResultBytes)} and "
                + $"{nameof(RuntimeLimits)}.{nameof(RuntimeLimits.MaxMessageBytes)})";
        }
        if (!NeedsPermit(head)) return null;
        lock (_gate)
        {
            var assignment = (site, head.Epoch, head.Number);
            // A site that said hello twice was permitted twice.
            if (_arriving.Contains(assignment)) return LinkChannel.Owner.OnItsWay;
            if (!_permits.Remove(assignment, out var permitted)) return "nobody has permitted it";
            if (head.Length > permitted)
                return $"its {head.Length} bytes are above the {permitted} that its site has asked for";
            _arriving.Add(assignment);
            return null;
        }
    }

    // What is not small on the site's own count may still be so in bytes.
    private bool NeedsPermit(FrameHead head) =>
        head.Kind == FrameKind.TaskResult && head.Length > Math.Max(limits.SmallResultBytes, 1 << 16) + (1 << 16);

    public void Deliver(ServerChannel from, LinkMessage message)
    {
        // What was permitted is bounded by the permits.
        var head = message.Head;
        var bytes = NeedsPermit(head) ? 0 : head.Length;
        var unheard = from.Session.Unheard;
        if (unheard.Add(bytes) > hub.Limits.MaxUnheardBytes)
        {
            unheard.Add(-bytes);
            from.Channel.Connection.Abort(
                $"{from.Site} says more than its job can hear: above {nameof(LinkLimits)}."
                + $"{nameof(LinkLimits.MaxUnheardBytes)}, {hub.Limits.MaxUnheardBytes} bytes, would wait");
            return;
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
        ServerChannel[] sites;
        lock (_gate)
        {
            _isOver = true;
            sites = [.. _sites.Values];
            _sites.Clear();
            _permits.Clear();
            _arriving.Clear();
        }
        foreach (var attachment in sites)
        {
            attachment.Channel.Dispose();
            attachment.Session.Refuse(attachment, $"job '{job}' is over at this server");
        }
        Partials.Dispose();
    }

    private void TellLost(string site)
    {
        foreach (var permit in _permits.Keys)
            if (permit.Site == site) _permits.Remove(permit); // given again in the next session
        _arriving.RemoveWhere(a => a.Site == site);
        Tell(site, LinkState.Lost);
    }

    private void Tell(string site, LinkState state) => loop.Post(_ => _change?.Invoke(site, state), null);
}

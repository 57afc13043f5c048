namespace Flare.Runtime;

public sealed partial class JobServer
{
    private readonly Queue<Heard> _early = new();
    private readonly Dictionary<string, MessageInbox> _earlyInboxes = new(StringComparer.Ordinal);
    private bool _isReceiving;
    private LoopTimer? _sweep;

    private void BeginReceiving()
    {
        _sites.Inherit();
        _isReceiving = true;
        _earlyInboxes.Clear();
        while (_early.TryDequeue(out var message)) Receive(message);
        if (_life.LosesMessages) Sweep();
    }

    private void Receive(string site, LinkMessage message)
    {
        if (_life.IsDead) return;
        try
        {
            if (message.Record is MalformedMessage malformed) throw malformed.Error;
            if (message is { Record: not null, Arrived: { } arrived } && !Takes(site, arrived)) return;
            if (!_isReceiving) ReceiveEarly(site, message);
            else if (message.Record is SiteMessage shared)
                Receive(new Heard(site, message.Incarnation, message.Epoch, shared));
            else Open(site, message);
        }
        catch (FlareException e) when (e.ErrorId == ErrorIds.MalformedBytes)
        {
            Log.MalformedMessage(_life.Logger, PlainText.Of(site, 200), e.Message);
            if (message.Arrived is { Kind: FrameKind.TaskResult } head
                && _sites.Find(site) is { } session && session.Incarnation == head.Incarnation)
            {
                _tasks.OnMalformed(session, TokenOf(head), e);
            }
        }
    }

    // Read where it arrived, whose limits may be others: too long is too long all the same.
    private bool Takes(string site, in FrameHead head)
    {
        var isResult = head.Kind == FrameKind.TaskResult;
        if (head.Length <= (isResult ? _options.Limits.MaxMessageBytes : MessageInbox.MostSmall)) return true;
        Log.MalformedMessage(
            _life.Logger, PlainText.Of(site, 200), $"A message of kind {head.Kind} has {head.Length} bytes.");
        if (isResult && _isReceiving && _sites.Hear(site, head.Incarnation) is { } session)
            _tasks.TakesResult(session, TokenOf(head), head with { Offset = 0 }); // it says no, and why
        return false;
    }

    // The journal is being opened. Where messages are said again there is no need to keep any; where a session lives
    // on, hellos are: a welcome brings the rest.
    private void ReceiveEarly(string site, LinkMessage message)
    {
        if (_life.LosesMessages) return;
        if (message.Record is not SiteMessage said)
        {
            if (message.Head.Length > MessageInbox.MostSmall) return;
            if (!_life.LosesNothing && message.Head.Kind != FrameKind.Hello) return;
            if (!_earlyInboxes.TryGetValue(site, out var inbox))
                _earlyInboxes.Add(site, inbox = new MessageInbox(_options.JobId, fromServer: false));
            if (inbox.Receive(message) is not SiteMessage whole) return;
            said = whole;
        }
        _early.Enqueue(new Heard(site, message.Incarnation, message.Epoch, said));
    }

    // From bytes of anybody's making: what may be large waits for its place before a byte of it is kept.
    private void Open(string site, LinkMessage message)
    {
        var head = message.Head;
        var session = _sites.Find(site);
        if (head.Kind == FrameKind.Hello)
        {
            if (head.Length > MessageInbox.MostSmall) return;
            var inbox = session?.Inbox ?? new MessageInbox(_options.JobId, fromServer: false);
            if (inbox.Receive(message) is SiteMessage hello)
                Receive(new Heard(site, head.Incarnation, head.Epoch, hello));
            return;
        }
        session = _sites.Hear(site, head.Incarnation);
        if (session is null) return;
        if (head.Kind == FrameKind.TaskResult ? !_tasks.TakesResult(session, TokenOf(head), head)
            : head.Length > MessageInbox.MostSmall) return;
        if (session.Inbox.Receive(message) is SiteMessage said)
            Receive(session, new Heard(site, head.Incarnation, head.Epoch, said));
    }

    private TaskToken TokenOf(in FrameHead head) => new(_options.JobId, head.Epoch, head.Round, head.Number);

    private void Receive(in Heard heard)
    {
        if (heard.Message is SiteHello) Welcome(heard);
        else if (_sites.Hear(heard.Site, heard.Incarnation) is { } session) Receive(session, heard);
    }

    private void Receive(SiteSession session, in Heard heard)
    {
        switch (heard.Message)
        {
            case TaskReceived received: session.Find(received.Token)?.Take(); break;
            case TensorsWanted wanted: _tasks.OnWanted(session, wanted.Token, wanted.Sha256); break;
            case TensorsReceived arrived: _tasks.OnReceived(session, arrived.Token, arrived.Sha256); break;
            case ResultReady ready: _tasks.OnReady(session, ready.Token, ready.Bytes); break;
            case TaskResult result: _tasks.OnResult(session, result.Token, result.Result, result.State); break;
            case TaskStopped stopped: _tasks.OnStopped(session, stopped.Token); break;
            case SiteEvent e: _events.Receive(session, heard.Epoch, e.Event); break;
            case SiteEventReceipt receipt: _events.Confirm(session, heard.Epoch, receipt.Sequence); break;
            case SitePresence presence: OnPresence(session, presence); break;
            case JobEndReceived: _sites.ConfirmEnd(session); break;
        }
    }

    private void Welcome(in Heard hello)
    {
        if (_sites.Welcome(hello, out var isNew, out var isFresh) is not { } session) return;
        // What was fired before the site was there, or what the last session lost: where nothing is repeated, this is
        // its one chance.
        if (isFresh || !_life.LosesMessages) _events.Repeat(session);
        if (_sites.IsEnding)
        {
            _sites.SayEnd(session);
            return;
        }
        if (isFresh) _tasks.OnRestarted(session);
        else if (!_life.LosesMessages) _tasks.OnResumed(session);
        if (isNew) _tasks.OnNewcomer(session);
    }

    // A link with sessions says which site is there. One whose session is lost keeps its tasks for its lease.
    private void Change(string site, LinkState state)
    {
        if (_life.IsDead || _sites.Find(site) is not { } session) return;
        session.Inbox.Clear();
        session.IsCutOff = state == LinkState.Lost;
        var loss = ++session.Losses;
        if (!session.IsCutOff) return; // its hello follows
        if (session.EndConfirmed || session.IsAway) return; // it has said that it goes
        Log.SiteCutOff(_life.Logger, site, _options.Limits.SiteLease.TotalSeconds);
        _tasks.OnCutOff(session);
        _life.After(_options.Limits.SiteLease, () =>
        {
            if (!session.IsCutOff || session.Losses != loss || !session.Connected) return;
            _sites.Lose(session);
            _tasks.OnLost(session);
        });
    }

    /// <summary>
    /// On a link that loses messages: says again what has not been answered, and finds the sites that are lost.
    /// </summary>
    private void Sweep()
    {
        if (_life.IsDead) return;
        foreach (var session in _sites.All)
        {
            if (!session.Connected) continue;
            _sites.RepeatEnd(session);
            if (_sites.IsSilent(session))
            {
                _sites.Lose(session);
                _tasks.OnLost(session);
                continue;
            }
            _tasks.Repeat(session);
            _events.Repeat(session);
        }
        _sweep = _life.After(_options.Limits.RetryInterval, Sweep);
    }
}

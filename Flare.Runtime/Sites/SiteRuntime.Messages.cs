namespace Flare.Runtime;

public sealed partial class SiteRuntime
{
    private void Receive(LinkMessage message)
    {
        if (_stopped || message.Epoch < _epoch) return; // a straggler of a server that is no more
        try
        {
            if (Open(message) is { } said) Receive(message.Incarnation, message.Epoch, said);
        }
        catch (FlareException e) when (e.ErrorId == ErrorIds.MalformedBytes)
        {
            Log.MalformedMessage(_side.Scoped, FLContext.Server, e.Message);
            if (message.Arrived is { Kind: FrameKind.TensorsDelivery } head) RefuseTensors(head, e);
        }
    }

    // Nobody sends them a second time, but on a link that loses messages: the tasks that wait for them answer so.
    private void RefuseTensors(in FrameHead head, FlareException error)
    {
        if (_options.Link.Promise == LinkPromise.None || head.Epoch != _epoch || _ending
            || head.Incarnation != _options.Incarnation) return;
        foreach (var sha256 in _tensors.AskedFor(head.Number))
            foreach (var task in _tensors.Refuse(
                sha256, $"The tensors that the server sent for the hash {sha256} cannot be read: {error.Message}"))
                Enqueue(task);
    }

    // From bytes of anybody's making: only what was asked for may be large.
    private ServerMessage? Open(LinkMessage message)
    {
        if (message.Record is MalformedMessage malformed) throw malformed.Error;
        if (message.Record is ServerMessage shared)
        {
            var longest = shared is TensorsDelivery ? _options.Limits.MaxMessageBytes : MessageInbox.MostSmall;
            return message.Arrived is { } arrived && arrived.Length > longest
                ? throw WireFormat.Malformed(
                    $"a message of kind {arrived.Kind} has {arrived.Length} bytes, and {longest} is the most")
                : shared;
        }
        var head = message.Head;
        if (head.Incarnation != _options.Incarnation && head.Epoch == _epoch) return null;
        if (head.Kind == FrameKind.TensorsDelivery ? !_tensors.AreAwaited : head.Length > MessageInbox.MostSmall)
            return null;
        if (head.Length > _options.Limits.MaxMessageBytes)
            return head.Offset > 0 ? null
                : throw WireFormat.Malformed(
                    $"a message of kind {head.Kind} has {head.Length} bytes, and {_options.Limits.MaxMessageBytes} "
                        + "is the most");
        return _inbox.Receive(message) as ServerMessage;
    }

    private void Receive(long incarnation, int epoch, ServerMessage message)
    {
        var isForThisStart = incarnation == _options.Incarnation;
        if (_ending)
        {
            // For this site the job is over, whoever offers tasks: a straggler, or a server that resumes a job that
            // failed. The first confirmation was lost.
            if (message is JobEnd && isForThisStart && _ended.Task.IsCompleted) Say(new JobEndReceived());
            // A site that has failed does not keep a round waiting.
            if (message is TaskOffer late && isForThisStart && _ended.Task.IsFaulted) Say(new TaskStopped(late.Token));
            return;
        }
        if (epoch > _epoch) EnterEpoch(epoch);
        if (!isForThisStart) return; // what the server says to this one, it says again once it knows it
        switch (message)
        {
            case ServerWelcome { HelloNeeded: true }: SayHello(); break;
            case ServerWelcome welcome: OnWelcome(welcome); break;
            case ServerRefusal refusal when refusal.Process == Guid.Empty || refusal.Process == _process:
                _ = DetachAsync(EndAsync(refusal.Reason, isRefused: true));
                break;
            case TaskOffer offer: Take(offer); break;
            case TensorsDelivery delivery: _ = DetachAsync(ReceiveAsync(delivery)); break;
            case UploadPermit permit: Upload(permit.Token); break;
            case ResultReceipt receipt: Settle(receipt); break;
            case TaskCancel cancel: Cancel(cancel); break;
            case ServerEvent e: ReceiveEvent(e.Event); break;
            case ServerEventReceipt receipt:
                foreach (var e in _events.Confirm(receipt.Sequence)) Say(new SiteEvent(e));
                break;
            case JobEnd end: _ = DetachAsync(EndAsync(end.Reason)); break;
        }
    }

    // A server that has started again knows nothing of the tasks that its predecessor gave out.
    private void EnterEpoch(int epoch)
    {
        var restarted = _epoch != 0;
        _epoch = epoch;
        if (!restarted) return; // the first contact: events that were sent before it keep their numbers
        _welcomed = false;
        _inbox.Clear();
        _events.Restart();
        _tensors.Restart();
        foreach (var task in _tasks.Values) Stop(task);
        _tasks.Clear();
        _held.Clear();
        _cancelled.Clear();
        SayHello();
    }

    private void OnWelcome(ServerWelcome welcome)
    {
        var isFirst = !_welcomed;
        _welcomed = true;
        if (welcome.Terms is { } terms) RequireApproval(terms);
        if (isFirst && IsPaused) SayPresence();
        if (isFirst && _options.Link.Promise == LinkPromise.Session) SayAgain();
    }

    // A link with sessions: what the last one may have lost is said again in the next, after the hello.
    private void Change(LinkState state)
    {
        if (_stopped) return;
        _inbox.Clear();
        _welcomed = false;
        if (state == LinkState.Lost)
        {
            if (!_ending) Log.ServerCutOff(_side.Scoped, Name);
        }
        else if (!_ending) SayHello();
        else if (_ended.Task.IsCompleted) Say(new JobEndReceived());
    }

    private void SayHello() => Say(new SiteHello(_process, new HelloTerms(
        _options.JobId, _options.Seed, FlareProtocol.Version, _options.LayoutFingerprint, _options.PolicyFingerprint)));

    private ScopedLogger LoggerFor(SiteTask task) => _side.Scoped.With(task: task.Name, round: task.Token.Round);

    private bool IsLarge(Shareable result) => result.ContentBytes() > _options.Limits.SmallResultBytes;

    private void Say(SiteMessage message) => Say(Envelope(message));

    private LinkMessage Envelope(SiteMessage message) => new(_options.Incarnation, _epoch, message);

    private void Say(LinkMessage envelope)
    {
        if (_stopped) return;
        if (!_options.Link.SharesMemory) envelope.Encode();
        _options.Link.Send(envelope);
    }

    /// <summary>Why a message cannot be sent over this link; null where it can.</summary>
    private FlareException? ObstacleTo(LinkMessage message)
    {
        if (_options.Link.SharesMemory) return null;
        try
        {
            message.Encode();
            return null;
        }
        catch (FlareException e)
        {
            return e;
        }
    }
}

namespace Flare.Runtime;

public sealed partial class JobServer
{
    private readonly Queue<SiteMessage> _early = new();
    private bool _isReceiving;
    private int _late;
    private int _duplicates;

    private void Receive(SiteMessage message)
    {
        if (_dead) return;
        if (!_isReceiving)
        {
            // The journal is being opened. On a reliable link nothing comes twice: it is kept.
            if (_options.Link.IsReliable) _early.Enqueue(message);
            return;
        }
        if (message is SiteHello hello)
        {
            Welcome(hello);
            return;
        }
        if (!_sessions.TryGetValue(message.Site, out var session) || message.Incarnation > session.Incarnation)
        {
            Say(message.Site, new ServerWelcome(Epoch, HelloNeeded: true));
            return;
        }
        if (message.Incarnation < session.Incarnation) return; // a straggler of a site that has started again since
        session.LastHeard = _options.Time.GetTimestamp();
        session.Connected = true;
        switch (message)
        {
            case TaskReceived received: Find(session, received.Token)?.Take(); break;
            case ResultReady ready: OnReady(session, ready); break;
            case TaskResult result: OnResult(session, result); break;
            case TaskStopped stopped: OnStopped(session, stopped.Token); break;
            case SiteEvent e: OnEvent(session, e); break;
            case SiteEventReceipt receipt when receipt.Epoch == Epoch: session.Events.Confirm(receipt.Sequence); break;
            case JobEndReceived when _ending:
                session.EndConfirmed = true;
                CheckDrained();
                break;
        }
    }

    private void BeginReceiving()
    {
        if (!_options.Link.IsReliable && Epoch > 1)
            foreach (var session in _sessions.Values) session.IsInherited = true;
        _isReceiving = true;
        while (_early.TryDequeue(out var message)) Receive(message);
    }

    private void Welcome(SiteHello hello)
    {
        var known = _sessions.TryGetValue(hello.Site, out var session);
        session ??= AddSite(hello.Site);
        if (hello.Incarnation < session.Incarnation) return; // a straggler of a site that has started again since
        var fresh = hello.Incarnation > session.Incarnation;
        session.LastHeard = _options.Time.GetTimestamp();
        session.Connected = true;
        if (fresh)
        {
            session.Incarnation = hello.Incarnation;
            session.EventsSeen = 0;
            session.Events.Restart();
            Log.SiteJoined(_options.Logger, hello.Site, hello.Incarnation);
        }
        Say(hello.Site, new ServerWelcome(Epoch));
        // What was fired before the site was there; a reliable link repeats nothing, so this is its one chance.
        if (fresh) foreach (var e in session.Events.Pending) Say(hello.Site, new ServerEvent(Epoch, session.Incarnation, e));
        if (_ending)
        {
            Say(hello.Site, new JobEnd(Epoch, session.Incarnation, "the job is over"));
            return;
        }
        if (fresh)
        {
            foreach (var assignment in session.Open.Values.ToArray())
            {
                // What the earlier incarnation held is lost; the permit it may have held is not.
                if (!assignment.ResultArrived) _gate.Release(assignment);
                assignment.Drop();
                Repeat(assignment);
            }
        }
        if (!known) OnNewcomer(session);
    }

    private static Assignment? Find(SiteSession session, TaskToken token) =>
        session.Open.TryGetValue(token.Number, out var assignment) && assignment.Token == token ? assignment : null;

    private void OnReady(SiteSession session, ResultReady ready)
    {
        var assignment = Find(session, ready.Token);
        if (assignment is null || assignment.IsFinal || assignment.ResultArrived)
        {
            Refuse(session, ready.Token, assignment);
            return;
        }
        assignment.Take();
        _gate.Request(assignment);
    }

    private void OnResult(SiteSession session, TaskResult result)
    {
        var assignment = Find(session, result.Token);
        if (_options.Faults != PlantedFaults.None && (assignment is null || assignment.IsFinal || assignment.ResultArrived)) AdmitUnchecked(session, result);
        if (assignment is null || assignment.IsFinal || assignment.ResultArrived)
        {
            Refuse(session, result.Token, assignment);
            return;
        }
        assignment.Take();
        assignment.Bytes = result.Result.TensorBytes();
        if (result.Result.ContentBytes() > _options.Limits.SmallResultBytes && !_gate.TryTake(assignment))
        {
            // Sent on a permit that was taken back since, or of an incarnation before: it is asked for again when there is room.
            _gate.Request(assignment);
            return;
        }
        assignment.ResultArrived = true;
        assignment.Message = null; // the task's data may be this site's own, made by filters: it is not kept with the round's report
        _ = Detach(AdmitAsync(assignment, result.Result));
    }

    // What the checks would let through if they were missing; see PlantedFaults.
    private void AdmitUnchecked(SiteSession session, TaskResult result)
    {
        var isDuplicate = session.TryGetAnswer(result.Token, Epoch, out var refusal) && refusal is null;
        var isLetThrough = _options.Faults.HasFlag(isDuplicate ? PlantedFaults.NoDuplicateCheck : PlantedFaults.StaleRoundAccepted);
        if (!isLetThrough || result.Result.ReturnCode != ReturnCode.Ok || _running.LastOrDefault(r => r.Task.Name == result.Result.TaskName) is not { } run) return;
        var contribution = new Contribution(session.Name, result.Token, run.Task, result.Result, static _ => { });
        run.Deliver(new Assignment(run, session.Name, result.Token, 0) { Contribution = contribution });
    }

    /// <summary>A result that is not wanted: it came late, again, or for an earlier start of the server. It is counted and never used.</summary>
    private void Refuse(SiteSession session, TaskToken token, Assignment? assignment)
    {
        if (assignment is { ResultArrived: true })
        {
            _duplicates++; // it is being looked at; its receipt is on the way
        }
        else if (session.TryGetAnswer(token, Epoch, out var refusal))
        {
            _duplicates++;
            Say(session.Name, new ResultReceipt(Epoch, token, refusal)); // the first receipt was lost
        }
        else
        {
            _late++;
            if (assignment is not null) Close(session, assignment);
            refusal = token.Epoch != Epoch ? "the task is of an earlier start of the server" : "the task has ended";
            if (token.Epoch == Epoch && !_options.Link.IsReliable) session.RememberAnswer(token.Number, refusal); // its repetitions are no further late results
            Say(session.Name, new ResultReceipt(Epoch, token, refusal));
        }
    }

    private void OnStopped(SiteSession session, TaskToken token)
    {
        if (Find(session, token) is not { } assignment) return;
        if (!assignment.IsFinal) EndAssignment(assignment, SiteStatus.Failed, "the site stopped the task", null);
        Close(session, assignment);
    }

    private void OnEvent(SiteSession session, SiteEvent e)
    {
        // Numbers of an earlier epoch mean other events. A reliable link has only one, and may deliver before the site has heard of it.
        if (e.Epoch != Epoch && !_options.Link.IsReliable) return;
        if (e.Event.Sequence == session.EventsSeen + 1)
        {
            session.EventsSeen = e.Event.Sequence;
            _engine.AnnounceFederated(e.Event.EventType, e.Event.Data, e.Event.Sequence, session.Name);
            if (e.Event.EventType == EventTypes.FatalSystemError) Stop(session.Name, e.Event.Data.Error?.Message ?? "no reason given");
        }
        if (!_options.Link.IsReliable) Say(session.Name, new ServerEventReceipt(Epoch, session.Incarnation, session.EventsSeen));
    }

    private void SendEvent(string type, Shareable data)
    {
        foreach (var session in _sessions.Values)
        {
            if (!session.Events.HasRoom)
            {
                Log.EventDropped(_options.Logger, session.Name, type, _options.Limits.MaxPendingEvents);
                continue;
            }
            var e = session.Events.Add(type, data);
            if (session.Connected) Say(session.Name, new ServerEvent(Epoch, session.Incarnation, e));
        }
    }

    /// <summary>On a link that loses messages: says again what has not been answered, and finds the sites that are lost.</summary>
    private void Sweep()
    {
        if (_dead) return;
        foreach (var session in _sessions.Values)
        {
            if (!session.Connected) continue;
            if (_ending && session.IsAwaited) Say(session.Name, new JobEnd(Epoch, session.Incarnation, "the job is over"));
            if (_options.Time.GetElapsedTime(session.LastHeard) > _options.Limits.SiteLease)
            {
                Lose(session);
                continue;
            }
            foreach (var assignment in session.Open.Values.ToArray())
                if (assignment.Repetition.Tick(isLarge: IsOffered(assignment) && assignment.Message!.ContentBytes() > _options.Limits.SmallResultBytes)) Repeat(assignment);
            foreach (var e in session.Events.Pending) Say(session.Name, new ServerEvent(Epoch, session.Incarnation, e));
        }
        _sweep = After(_options.Limits.RetryInterval, Sweep);
    }

    private void Lose(SiteSession session)
    {
        (session.Connected, session.IsInherited) = (false, false);
        Log.SiteLost(_options.Logger, session.Name, _options.Limits.SiteLease.TotalSeconds);
        foreach (var assignment in session.Open.Values.ToArray())
        {
            if (assignment.IsFinal) Close(session, assignment);
            else if (!assignment.ResultArrived)
                EndAssignment(assignment, SiteStatus.Lost, $"the site was not heard of for {_options.Limits.SiteLease}; check its process and its network", null);
        }
        CheckDrained();
    }
}

namespace Flare.Runtime;

public sealed partial class SiteRuntime
{
    private long _beats;

    /// <summary>
    /// On a link that loses messages: says again what has not been answered, and shows that the site is alive.
    /// </summary>
    private void Beat()
    {
        if (_stopped || _ended.Task.IsCompleted) return;
        _heartbeat?.Dispose();
        _heartbeat = new LoopTimer(_options.Loop, _options.Time, _options.Limits.RetryInterval, Beat);
        if (_beats++ == 0) return;

        if (!_welcomed) SayHello();
        foreach (var task in _tasks.Values)
            if (task.State == SiteTaskState.Ready
                || (task.State == SiteTaskState.Sent && task.Repetition.Tick(IsLarge(task.Result!)))) Repeat(task);
        _tensors.Repeat();
        foreach (var e in _events.Pending) Say(new SiteEvent(Name, _options.Incarnation, _epoch, e));
        var beatsPerHeartbeat = Math.Max(1, _options.Limits.HeartbeatInterval / _options.Limits.RetryInterval);
        if (_beats % (long)beatsPerHeartbeat == 0) Say(new SiteHeartbeat(Name, _options.Incarnation));
        Forget();
    }

    private void Repeat(SiteTask task)
    {
        switch (task.State)
        {
            case SiteTaskState.Fetching or SiteTaskState.Queued
                or SiteTaskState.Running: Say(new TaskReceived(Name, _options.Incarnation, task.Token)); break;
            case SiteTaskState.Ready: Say(
                new ResultReady(Name, _options.Incarnation, task.Token, task.Result!.ContentBytes())); break;
            case SiteTaskState.Sent: Say(
                new TaskResult(Name, _options.Incarnation, task.Token, task.Result!, task.StateChange)); break;
            case SiteTaskState.Done: Say(new TaskStopped(Name, _options.Incarnation, task.Token)); break;
        }
    }

    private void SendEvent(string type, Shareable data)
    {
        if (!_policy.MayFireEvents && type != EventTypes.SitePanic)
        {
            Log.EventKeptBack(_engine.Scoped, Name, type);
            return;
        }
        if (!_events.HasRoom && type != EventTypes.SitePanic)
        {
            DropEvent(type);
            return;
        }
        var e = _events.Add(type, data);
        Say(new SiteEvent(Name, _options.Incarnation, _epoch, e));
    }

    private void DropEvent(string type) => _drops.Note(_engine.Scoped, Name, type);

    private void ReceiveEvent(FederatedEvent e)
    {
        if (_events.TrySee(e)) _engine.AnnounceFederated(e.EventType, e.Data, e.Sequence, FLContext.Server);
        Say(new SiteEventReceipt(Name, _options.Incarnation, _epoch, _events.Seen));
    }

    /// <summary>
    /// Forgets settled tasks that no repetition can ask for any more: on a link that repeats, those far behind the
    /// newest.
    /// </summary>
    private void Forget()
    {
        var keep = _options.Link.IsReliable ? 0 : 32;
        if (_tasks.Count <= keep * 2) return;
        if (keep == 0)
        {
            foreach (var (number, task) in _tasks)
            {
                if (task.State != SiteTaskState.Done) continue;
                task.Dispose();
                _tasks.Remove(number); // which a walk over a dictionary stands
            }
            return;
        }
        foreach (var number in _tasks.Where(t => t.Value.State == SiteTaskState.Done).Select(t => t.Key).Order()
            .SkipLast(keep).ToArray())
        {
            _tasks[number].Dispose();
            _tasks.Remove(number);
        }
    }
}

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
        foreach (var e in _events.Again()) Say(new SiteEvent(e));
        var beatsPerHeartbeat = Math.Max(1, _options.Limits.HeartbeatInterval / _options.Limits.RetryInterval);
        if (_beats % (long)beatsPerHeartbeat == 0)
        {
            // Where one was lost that a pause has begun or ended, the next one says it.
            if (_hasPaused && _welcomed) SayPresence();
            else Say(new SiteHeartbeat());
        }
        Forget();
    }

    private void Repeat(SiteTask task)
    {
        switch (task.State)
        {
            case SiteTaskState.Fetching or SiteTaskState.Queued
                or SiteTaskState.Running: Say(new TaskReceived(task.Token)); break;
            case SiteTaskState.Ready: Say(new ResultReady(task.Token, BytesOf(task))); break;
            case SiteTaskState.Sent: Say(task.Envelope!); break;
            case SiteTaskState.Done: Say(new TaskStopped(task.Token)); break;
        }
    }

    // What the link will carry; where it carries nothing, what lies in memory.
    private long BytesOf(SiteTask task) =>
        _options.Link.SharesMemory ? task.Result!.ContentBytes() : task.Envelope!.Bytes.Length;

    /// <summary>A session has begun: says what is unanswered, once.</summary>
    private void SayAgain()
    {
        foreach (var task in _tasks.Values)
        {
            // The place that a large result had is others' by now.
            if (task.State == SiteTaskState.Sent && IsLarge(task.Result!)) task.State = SiteTaskState.Ready;
            if (task.State is SiteTaskState.Ready or SiteTaskState.Sent) Repeat(task);
        }
        _tensors.AskAgain();
        foreach (var e in _events.Again()) Say(new SiteEvent(e));
    }

    private void SendEvent(string type, Shareable data)
    {
        if (!_policy.MayFireEvents && type != EventTypes.SitePanic)
        {
            Log.EventKeptBack(_side.Scoped, Name, type);
            return;
        }
        if (!_events.HasRoom && type != EventTypes.SitePanic)
        {
            DropEvent(type);
            return;
        }
        if (ObstacleTo(Envelope(new SiteEvent(new FederatedEvent(1, type, data)))) is { } obstacle)
        {
            Log.EventUnsendable(_side.Scoped, type, obstacle.Message);
            return;
        }
        if (_events.Add(type, data) is { } e) Say(new SiteEvent(e));
    }

    private void DropEvent(string type) => _drops.Note(_side.Scoped, Name, type);

    private void ReceiveEvent(FederatedEvent e)
    {
        if (_events.TrySee(e))
            _side.Events.AnnounceFederated(e.EventType, new FLContext(_side, FLContext.Server), e.Data, e.Sequence);
        Say(new SiteEventReceipt(_events.Seen));
    }

    /// <summary>
    /// Forgets settled tasks that no repetition can ask for any more: on a link that repeats, those far behind the
    /// newest.
    /// </summary>
    private void Forget()
    {
        var keep = _options.Link.Promise == LinkPromise.Always ? 0 : 32;
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

namespace Flare.Runtime;

public sealed partial class SiteRuntime
{
    private bool _started;
    private Task? _leaving;
    private Task? _endOfRun;
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<LoopTimer> _drainTimers = [];

    /// <summary>
    /// Leaves the job in order: no task is begun any more; one that runs may end, and have its answer taken, within
    /// the drain, and is told to stop then. Once it has stopped, or was abandoned
    /// (<see cref="RuntimeLimits.AbortGrace"/>), the run ends as it does at the end of a job:
    /// <see cref="EventTypes.AboutToEndRun"/>, the executors' <see cref="Executor.EndRunAsync"/>,
    /// <see cref="EventTypes.EndRun"/>, each once. The server hears that the site has left, and keeps what it did not
    /// end for it, for <see cref="RuntimeLimits.SiteLease"/>, should it come back. <see cref="Ended"/> is canceled
    /// then, unless the job was over before. From any thread, again and again; a shorter drain than the first call's
    /// ends that one's.
    /// </summary>
    /// <param name="drain">How long a task that runs may go on; not at all if left out.</param>
    /// <param name="reason">Why, in the operator's words, for the server's.</param>
    /// <exception cref="ArgumentOutOfRangeException">The drain is negative.</exception>
    public Task LeaveAsync(TimeSpan drain = default, string reason = "")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(drain, TimeSpan.Zero);
        ArgumentNullException.ThrowIfNull(reason);
        reason = PlainText.Of(reason, MostReason);
        if (SynchronizationContext.Current == _options.Loop) return Leave();
        var left = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _options.Loop.Post(_ => _ = LeaveOnLoopAsync(), null);
        return left.Task;

        Task Leave()
        {
            Shorten(drain);
            return _leaving ??= LeaveOnceAsync(reason);
        }

        async Task LeaveOnLoopAsync()
        {
            try
            {
                await Leave();
                left.TrySetResult();
            }
            catch (Exception e) // for whoever waits, and not the loop's
            {
                left.TrySetException(e);
            }
        }
    }

    /// <summary>Whether nothing of the run is left to end, from whatever thread.</summary>
    internal bool HasRunEnded => Volatile.Read(ref _endOfRun) is { IsCompleted: true };

    /// <inheritdoc cref="LeaveAsync"/>
    public async ValueTask DisposeAsync() => await LeaveAsync(TimeSpan.Zero);

    /// <summary>
    /// Stops at once, as a crash would: executors that run are told to stop, nothing more is sent, and no run is
    /// ended. Call it on the loop.
    /// </summary>
    public void Crash()
    {
        Halt();
        foreach (var task in _tasks.Values) Stop(task);
        _ = DetachAsync(_state.CloseAsync());
        _ended.TrySetCanceled();
    }

    private async Task LeaveOnceAsync(string reason)
    {
        try
        {
            if (_started && !_stopped) await LeaveInOrderAsync(reason);
        }
        finally
        {
            Halt();
            _ended.TrySetCanceled();
        }
    }

    private async Task LeaveInOrderAsync(string reason)
    {
        using (Pause(reason.Length > 0 ? $"it leaves: {reason}" : "it leaves"))
        {
            _ = DrainAsync();
            await _drained.Task;
            var isOver = _ending;
            _ending = true;
            foreach (var task in _tasks.Values) Stop(task);
            await DetachAsync(EndRunAsync());
            if (!isOver) Say(new SitePresence(PresenceKind.Left, reason));
        }
    }

    // The task at hand may end, unless the time for it is over first.
    private async Task DrainAsync()
    {
        await _work;
        _drained.TrySetResult();
    }

    private void Shorten(TimeSpan drain)
    {
        if (drain == TimeSpan.Zero || _ending)
        {
            _drained.TrySetResult();
            return;
        }
        _drainTimers.Add(new LoopTimer(_options.Loop, _options.Time, drain, () => _drained.TrySetResult()));
    }

    private void Halt()
    {
        _stopped = true;
        _tensors.Clear();
        StopAsking();
        _heartbeat?.Dispose();
        foreach (var timer in _drainTimers) timer.Dispose();
    }

    // However many ends there are, a run ends once, and all of them wait for it.
    private Task EndRunAsync() => _endOfRun ??= EndRunOnceAsync();

    private async Task EndRunOnceAsync()
    {
        StopAsking();
        await _work; // until the executor has stopped or was abandoned: its end must not run beside its last task
        await _worker.EndRunAsync(_options.Limits.AbortGrace, _options);
        await _state.CloseAsync();
    }
}

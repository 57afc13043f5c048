namespace Flare.Runtime;

public sealed partial class SiteRuntime
{
    private bool _started;
    private Task? _leaving;
    private Task? _endOfRun;

    /// <summary>
    /// Leaves the job in order: no task is begun any more, a task that runs is told to stop, and once it has stopped,
    /// or was abandoned (<see cref="RuntimeLimits.AbortGrace"/>), the run ends as it does at the end of a job:
    /// <see cref="EventTypes.AboutToEndRun"/>, the executors' <see cref="Executor.EndRunAsync"/>,
    /// <see cref="EventTypes.EndRun"/>, each once. <see cref="Ended"/> is canceled then, unless the job was over before.
    /// From any thread, again and again.
    /// </summary>
    public Task LeaveAsync()
    {
        if (SynchronizationContext.Current == _options.Loop) return _leaving ??= LeaveOnceAsync();
        var left = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _options.Loop.Post(_ => _ = LeaveOnLoopAsync(), null);
        return left.Task;

        async Task LeaveOnLoopAsync()
        {
            await (_leaving ??= LeaveOnceAsync());
            left.SetResult();
        }
    }

    /// <summary>Whether nothing of the run is left to end, from whatever thread.</summary>
    internal bool HasRunEnded => Volatile.Read(ref _endOfRun) is { IsCompleted: true };

    /// <inheritdoc cref="LeaveAsync"/>
    public async ValueTask DisposeAsync() => await LeaveAsync();

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

    private async Task LeaveOnceAsync()
    {
        if (_started && !_stopped)
        {
            _ending = true;
            foreach (var task in _tasks.Values) Stop(task);
            await DetachAsync(EndRunAsync());
        }
        Halt();
        _ended.TrySetCanceled();
    }

    private void Halt()
    {
        _stopped = true;
        _tensors.Clear();
        _heartbeat?.Dispose();
    }

    // However many ends there are, a run ends once, and all of them wait for it.
    private Task EndRunAsync() => _endOfRun ??= EndRunOnceAsync();

    private async Task EndRunOnceAsync()
    {
        await _work; // until the executor has stopped or was abandoned: its end must not run beside its last task
        await _worker.EndRunAsync(_options.Limits.AbortGrace, _options);
        await _state.CloseAsync();
    }
}

namespace Flare.Testing;

/// <summary>The clock of a <see cref="SimulationLoop"/>.</summary>
internal sealed class SimulatedTime(SimulationLoop loop) : TimeProvider
{
    private static readonly DateTimeOffset Start = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;
    public override DateTimeOffset GetUtcNow() => Start + loop.Now;
    public override long GetTimestamp() => loop.Now.Ticks;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new SimulatedTimer(loop, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }
}

/// <summary>A timer of the virtual clock. Its callback runs on the loop.</summary>
internal sealed class SimulatedTimer(SimulationLoop loop, TimerCallback callback, object? state) : ITimer
{
    private const long Stopped = -1;

    private long _due = Stopped;
    private TimeSpan _period;

    /// <summary>Whether an entry of the loop's queue is still meant.</summary>
    public bool IsDue(long due) => _due == due;

    public bool Change(TimeSpan dueTime, TimeSpan period)
    {
        _period = period;
        if (dueTime == Timeout.InfiniteTimeSpan) _due = Stopped;
        else Arm(dueTime);
        return true;
    }

    public void Fire()
    {
        _due = Stopped;
        if (_period > TimeSpan.Zero) Arm(_period);
        callback(state);
    }

    public void Dispose() => _due = Stopped;

    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    private void Arm(TimeSpan delay)
    {
        _due = (loop.Now + delay).Ticks;
        loop.Arm(this, _due);
    }
}

namespace Flare.Tests.Federations;

/// <summary>
/// A clock that stands still until it is told to advance. A test first awaits the timer that it means to make ring.
/// </summary>
internal sealed class ManualTime : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<Alarm> _alarms = [];
    private readonly List<(TimeSpan Due, TaskCompletionSource Seen)> _awaited = [];
    private TimeSpan _now;

    /// <summary>What the wall clock shows beside; it may step back, as real ones do.</summary>
    public Func<TimeSpan, DateTimeOffset> WallClock { get; init; } = now => DateTimeOffset.UnixEpoch + now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp()
    {
        lock (_gate) return _now.Ticks;
    }

    public override DateTimeOffset GetUtcNow()
    {
        lock (_gate) return WallClock(_now);
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        lock (_gate)
        {
            var alarm = new Alarm(this, callback, state, dueTime, _now);
            if (dueTime != Timeout.InfiniteTimeSpan) _alarms.Add(alarm);
            foreach (var (_, seen) in _awaited.Where(a => a.Due == dueTime)) seen.TrySetResult();
            return alarm;
        }
    }

    /// <summary>Completes when a timer of this length runs.</summary>
    public Task TimerAsync(TimeSpan due)
    {
        lock (_gate)
        {
            if (_alarms.Any(a => a.Due == due)) return Task.CompletedTask;
            var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _awaited.Add((due, seen));
            return seen.Task.WaitAsync(Patience.Long);
        }
    }

    /// <summary>Lets time pass; timers ring in the order of their times.</summary>
    public void Advance(TimeSpan by)
    {
        TimeSpan end;
        lock (_gate) end = _now + by;
        while (true)
        {
            Alarm? next;
            lock (_gate)
            {
                next = _alarms.Where(a => a.At <= end).MinBy(a => a.At);
                _now = next is null ? end : next.At > _now ? next.At : _now;
                if (next is not null) _alarms.Remove(next);
            }
            if (next is null) return;
            next.Ring();
        }
    }

    private sealed class Alarm(ManualTime time, TimerCallback callback, object? state, TimeSpan due, TimeSpan now) :
        ITimer
    {
        public TimeSpan Due => due;
        public TimeSpan At => now + due;
        public void Ring() => callback(state);
        public bool Change(TimeSpan dueTime, TimeSpan period) => throw new NotSupportedException();

        public void Dispose()
        {
            lock (time._gate) time._alarms.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return default;
        }
    }
}

/// <summary>How long tests wait for what must happen; only a broken test waits so long.</summary>
internal static class Patience
{
    public static readonly TimeSpan Long = TimeSpan.FromSeconds(30);
}

namespace Flare.Tests.Transport;

/// <summary>A clock that a test sets; its timers ring as it is set, in the order of their times.</summary>
internal sealed class SteppedTime(DateTimeOffset start) : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<Timer> _timers = [];
    private DateTimeOffset _now = start;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long GetTimestamp() => GetUtcNow().Ticks;

    public override DateTimeOffset GetUtcNow()
    {
        lock (_gate) return _now;
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Lets time pass until a moment; one that is past changes nothing.</summary>
    public void Set(DateTimeOffset moment)
    {
        while (true)
        {
            Timer? next;
            lock (_gate)
            {
                next = _timers.Where(t => t.Due <= moment).MinBy(t => t.Due);
                var now = next?.Due ?? moment;
                if (now > _now) _now = now;
                next?.Rings();
            }
            if (next is null) return;
            next.Ring();
        }
    }

    private sealed class Timer(SteppedTime time, Action ring) : ITimer
    {
        private readonly Lock _ringing = new();
        private TimeSpan _period;
        private bool _isOver;

        public DateTimeOffset? Due { get; private set; }

        // As the system's: one that is disposed of, and waited for, does not ring.
        public void Ring()
        {
            lock (_ringing)
            {
                if (!_isOver) ring();
            }
        }

        public void Rings()
        {
            if (_period > TimeSpan.Zero) Due += _period;
            else time._timers.Remove(this);
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (time._gate)
            {
                time._timers.Remove(this);
                if (dueTime == Timeout.InfiniteTimeSpan) return true;
                (Due, _period) = (time._now + dueTime, period);
                time._timers.Add(this);
                return true;
            }
        }

        public void Dispose()
        {
            lock (time._gate) time._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            lock (_ringing) _isOver = true;
            return default;
        }
    }
}

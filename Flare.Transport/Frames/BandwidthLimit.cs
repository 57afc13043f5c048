namespace Flare.Transport;

/// <summary>
/// Bounds how many bytes of streams, which carry models and results, pass in a second: a token bucket, which any number
/// of connections may share. Messages, heartbeats and whatever else is small pass it, so that a link that is slow on
/// purpose is not taken for a dead one. It may be set anew at any time, from any thread.
/// </summary>
/// <param name="time">The clock; the system's if left out.</param>
public sealed class BandwidthLimit(TimeProvider? time = null)
{
    /// <summary>The least that may be set, 16 KiB a second: a stream that trickles more slowly is ended by its
    /// receiver (<see cref="FrameOptions.LeastStreamBytes"/>).</summary>
    public const long Least = 16 * 1024;

    private const double SecondsAhead = 0.25;
    private const int LeastChunk = 4 * 1024;

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly Lock _gate = new();
    private long? _rate;
    private double _tokens;
    private long _at;

    /// <summary>Bytes a second; null, for no bound, unless set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is below <see cref="Least"/>.</exception>
    public long? BytesPerSecond
    {
        get { lock (_gate) return _rate; }
        set
        {
            if (value is { } rate) ArgumentOutOfRangeException.ThrowIfLessThan(rate, Least, nameof(value));
            lock (_gate)
            {
                Fill();
                // What was taken on another bound is owed on this one; without any there was none.
                if (_rate is null) (_tokens, _at) = (0, _time.GetTimestamp());
                _rate = value;
            }
            Changed?.Invoke();
        }
    }

    /// <summary>It was set anew: whoever waits looks again.</summary>
    internal event Action? Changed;

    /// <summary>How many bytes to send at once at most: little enough that streams flow evenly.</summary>
    internal int Chunk(int most)
    {
        lock (_gate) return _rate is { } rate ? (int)Math.Clamp(rate / 8, LeastChunk, most) : most;
    }

    /// <summary>How long to wait before anything more may pass; zero where it may now.</summary>
    internal TimeSpan Wait()
    {
        lock (_gate)
        {
            Fill();
            if (_rate is not { } rate || _tokens >= 0) return TimeSpan.Zero;
            return TimeSpan.FromSeconds(-_tokens / rate) + TimeSpan.FromTicks(1);
        }
    }

    /// <summary>So many bytes pass; more than there is room for is owed.</summary>
    internal void Take(long bytes)
    {
        lock (_gate)
        {
            Fill();
            if (_rate is not null) _tokens -= bytes;
        }
    }

    private void Fill()
    {
        if (_rate is not { } rate) return;
        var now = _time.GetTimestamp();
        _tokens = Math.Min(_tokens + _time.GetElapsedTime(_at, now).TotalSeconds * rate, rate * SecondsAhead);
        _at = now;
    }
}

using System.Buffers;
using System.IO.Pipelines;

namespace Flare.Testing;

/// <summary>
/// One direction of a simulated connection: two pipes, and what carries bytes from one to the other, piece by piece.
/// </summary>
internal sealed class SimulatedLane
{
    private readonly SimulationLoop _loop;
    private readonly SimulationRandom _random;
    private readonly SimulatedConnection _connection;
    private readonly string _name;
    private readonly Pipe _sent;
    private readonly Pipe _arrived;
    private TaskCompletionSource? _sleeping;
    private long _passed;
    private int _single;
    private bool _isDark;
    private bool _isBroken, _isTorn;

    public SimulatedLane(SimulatedConnection connection, string name, SimulationLoop loop, SimulationRandom random)
    {
        (_connection, _name, _loop, _random) = (connection, name, loop, random);
        var room = 1024 << random.NextInt32(8);
        _sent = new(new(null, PipeScheduler.Inline, PipeScheduler.Inline, room, room / 2));
        // No room: a piece is taken by itself before the next one comes.
        _arrived = new(new(null, PipeScheduler.Inline, PipeScheduler.Inline, 1, 1));
        if (random.Chance(0.5)) _single = random.Chance(connection.Faults.SingleBytes * 10) ? 100 : 0;
    }

    public PipeWriter Writer => _sent.Writer;

    public PipeReader Reader => _arrived.Reader;

    /// <summary>After how many bytes it takes the connection with it; null for never.</summary>
    public long? CutAfter { get; set; }

    public bool HasEnded { get; private set; }

    /// <summary>Whether nothing passes, and nobody hears of it.</summary>
    public void SetDark(bool isDark)
    {
        _isDark = isDark;
        _sleeping?.TrySetResult();
    }

    public void Break()
    {
        _isBroken = true;
        _sleeping?.TrySetResult();
        _sent.Reader.CancelPendingRead();
        _arrived.Writer.CancelPendingFlush();
    }

    public async Task PumpAsync()
    {
        while (await PassAsync()) { }
        var isReset = (_isBroken && _random.Chance(0.5)) || _isTorn;
        if (_isBroken) await Task.Delay(_random.Between(TimeSpan.Zero, TimeSpan.FromMilliseconds(20)), _loop.Time);
        var error = isReset ? new IOException("The simulated connection was reset.") : null;
        await _arrived.Writer.CompleteAsync(error);
        await _sent.Reader.CompleteAsync(error);
        HasEnded = true;
        _connection.OnLaneEnded();
    }

    // One piece; false at the end.
    private async Task<bool> PassAsync()
    {
        ReadResult read;
        try
        {
            read = await _sent.Reader.ReadAsync();
        }
        catch (IOException) // this end has broken off in the midst of something
        {
            _isTorn = true;
            return false;
        }
        var left = read.Buffer;
        while (_isDark && !_isBroken) await SleepAsync(Timeout.InfiniteTimeSpan);
        if (_isBroken || (left.IsEmpty && read.IsCompleted)) return false;
        var count = Math.Min(Draw(left.Length), CutAfter - _passed ?? long.MaxValue);
        var piece = left.Slice(0, count);
        foreach (var part in piece) _arrived.Writer.Write(part.Span);
        _loop.Trace("bytes", _name, count, count > 0 ? piece.FirstSpan[0] : -1);
        _sent.Reader.AdvanceTo(piece.End, count == 0 ? left.End : piece.End);
        _passed += count;
        _connection.Carried(count);
        if (Delay(count) is { Ticks: > 0 } delay) await SleepAsync(delay);
        if (_isBroken) return false;
        var flushed = await _arrived.Writer.FlushAsync();
        if (_passed == CutAfter) _connection.Cut(_name);
        // Where the other end has hung up, what is sent comes back.
        return !flushed.IsCompleted && !_isBroken;
    }

    private long Draw(long available)
    {
        if (_single == 0 && _random.Chance(_connection.Faults.SingleBytes)) _single = 1 + _random.NextInt32(300);
        if (_single > 0)
        {
            _single--;
            return Math.Min(1, available);
        }
        // As likely short as long.
        return Math.Min(available, 1 + _random.NextInt32(1 << (4 + _random.NextInt32(14))));
    }

    private TimeSpan Delay(long count)
    {
        var faults = _connection.Faults;
        if (_random.Chance(faults.Stalls))
        {
            _loop.Trace("stalls", _name);
            return _random.Between(TimeSpan.Zero, faults.MaxStall);
        }
        var delay = _random.Chance(_single > 0 ? 0.02 : 0.5)
            ? _random.Between(TimeSpan.Zero, faults.MaxDelay) : TimeSpan.Zero;
        return faults.BytesPerSecond > 0
            ? delay + TimeSpan.FromSeconds((double)count / faults.BytesPerSecond) : delay;
    }

    // Until a break, or a change of the light.
    private async Task SleepAsync(TimeSpan time)
    {
        _sleeping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using (_loop.Time.CreateTimer(
            static s => ((TaskCompletionSource)s!).TrySetResult(), _sleeping, time, Timeout.InfiniteTimeSpan))
            await _sleeping.Task;
        _sleeping = null;
    }
}

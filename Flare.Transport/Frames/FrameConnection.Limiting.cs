using System.Buffers.Binary;

namespace Flare.Transport;

public sealed partial class FrameConnection
{
    // Credit that this end owes its peer: streams that arrive are held back by it, and nothing else is.
    private readonly Queue<(uint Id, IncomingStream Stream, int Bytes, int Charge)> _owed = new();
    private ITimer? _limitTimer;
    private long _limitAt = long.MaxValue;

    // Called under the lock. Whether streams may send now; if not, a timer looks again.
    private bool MaySend()
    {
        if (_options.SendLimit is not { } limit) return true;
        var wait = limit.Wait();
        if (wait > TimeSpan.Zero) LookAgain(wait);
        return wait == TimeSpan.Zero;
    }

    private void Owe(uint id, IncomingStream stream, int bytes, int charge)
    {
        lock (_gate)
        {
            if (_end is not null) return;
            _owed.Enqueue((id, stream, bytes, charge));
            Pay();
        }
        Write();
    }

    // Called under the lock.
    private void Pay()
    {
        while (_owed.TryPeek(out var next))
        {
            if (!next.Stream.IsOver && _options.ReceiveLimit is { } limit)
            {
                if (limit.Wait() is { Ticks: > 0 } wait)
                {
                    LookAgain(wait);
                    return;
                }
                limit.Take(next.Charge);
            }
            _owed.Dequeue();
            if (next.Stream.IsOver) continue;
            if (!HasRoom(4)) return;
            BinaryPrimitives.WriteInt32LittleEndian(_queue.Add(FrameType.Credit, next.Id, 4), next.Bytes);
        }
    }

    // Called under the lock. One timer for both directions: what is due first.
    private void LookAgain(TimeSpan wait)
    {
        _limitTimer ??= _time.CreateTimer(
            static c => ((FrameConnection)c!).OnLimit(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        var at = _time.GetTimestamp() + (long)(wait.TotalSeconds * _time.TimestampFrequency);
        if (_limitAt <= at) return;
        _limitAt = at;
        _limitTimer.Change(wait, Timeout.InfiniteTimeSpan);
    }

    private void OnLimit()
    {
        lock (_gate)
        {
            _limitAt = long.MaxValue;
            if (_end is not null) return;
            Pay();
        }
        Write();
    }

    private void WatchLimits(bool begins)
    {
        foreach (var limit in (BandwidthLimit?[])[_options.SendLimit, _options.ReceiveLimit])
        {
            if (limit is null) continue;
            if (begins) limit.Changed += OnLimit;
            else limit.Changed -= OnLimit;
        }
    }
}

namespace Flare.Transport;

/// <summary>
/// Bounds what streams have on their way where the system's send buffer cannot be bounded: every chunk is followed by
/// a ping, whose answer says that all before it was read. The bound grows while answers come soon, and shrinks while
/// they take longer than the least round trip and the delay that is allowed, as TCP Vegas does (Brakmo and Peterson,
/// 1995). Its owner locks it.
/// </summary>
internal sealed class Pace(TimeProvider time, TimeSpan delay, int chunkBytes)
{
    private readonly Queue<(long Total, long At)> _pings = new();
    private long _sent;
    private long _heard;
    private double _bound = 2.0 * chunkBytes;
    private TimeSpan _least = TimeSpan.MaxValue;

    /// <summary>Whether another chunk may go now.</summary>
    public bool HasRoom => _sent - _heard < _bound;

    /// <summary>A chunk was sent.</summary>
    /// <returns>What the ping after it is to bring.</returns>
    public long Sent(int bytes)
    {
        _sent += bytes;
        _pings.Enqueue((_sent, time.GetTimestamp()));
        return _sent;
    }

    /// <summary>A ping's answer has come; of others than a chunk's it is nothing to do with this.</summary>
    public void Heard(long total)
    {
        if (!_pings.TryPeek(out var ping) || ping.Total != total) return;
        _pings.Dequeue();
        var took = time.GetElapsedTime(ping.At);
        if (took < _least) _least = took;
        var bytes = total - _heard;
        _heard = total;
        // By a chunk a round trip up, by an eighth down.
        if (took > _least + delay) _bound = Math.Max(chunkBytes, _bound - bytes / 8.0);
        else _bound += (double)chunkBytes * bytes / _bound;
    }
}

using System.Numerics;
using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>
/// Federated events that found no room, and the log of it: at the first, the second, the fourth and so on, so that a
/// hundred thousand of them do not fill the log. From any thread.
/// </summary>
internal sealed class EventDrops(int limit)
{
    private long _count;

    public void Note(ILogger logger, string peer, string type)
    {
        var count = Interlocked.Increment(ref _count);
        if (BitOperations.IsPow2(count)) Log.EventDropped(logger, peer, type, limit, count);
    }
}

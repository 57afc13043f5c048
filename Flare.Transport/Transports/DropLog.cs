using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// Lines about connections that were dropped: so many in a while, then their number, so that nobody who has proven
/// nothing can fill a log.
/// </summary>
internal sealed class DropLog(ILogger logger, TimeProvider time, string address)
{
    private const int MostLines = 20;
    private static readonly TimeSpan While = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private long _began;
    private int _said, _unsaid;

    public void Dropped(string from, string reason)
    {
        lock (_gate)
        {
            var now = time.GetTimestamp();
            if (time.GetElapsedTime(_began, now) >= While)
            {
                SayRest();
                (_began, _said) = (now, 0);
            }
            if (_said == MostLines)
            {
                _unsaid++;
                return;
            }
            _said++;
        }
        Log.DroppedUnproven(logger, from, reason);
    }

    /// <summary>Says how many there were that no line names.</summary>
    public void SayRest()
    {
        lock (_gate)
        {
            if (_unsaid > 0) Log.DroppedMore(logger, address, _unsaid);
            _unsaid = 0;
        }
    }
}

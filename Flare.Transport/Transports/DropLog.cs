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
        if (MaySay()) Log.DroppedUnproven(logger, from, reason);
    }

    /// <summary>One was dropped by an error at this end.</summary>
    public void Failed(string from, Exception error)
    {
        if (MaySay()) Log.ProofFailed(logger, from, error);
    }

    private bool MaySay()
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
                return false;
            }
            _said++;
            return true;
        }
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

namespace Flare.Runtime;

/// <summary>A timer whose callback runs on the loop. A clock's own callbacks may come from any thread.</summary>
internal sealed class LoopTimer : IDisposable
{
    // What a timer of .NET can wait, some 49 days; a longer time, TimeSpan.MaxValue say, means not to.
    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    private readonly ITimer _timer;
    private bool _stopped;

    public LoopTimer(SynchronizationContext loop, TimeProvider time, TimeSpan due, Action callback) =>
        _timer = time.CreateTimer(
            static state =>
            {
                var (self, loop, callback) = ((LoopTimer, SynchronizationContext, Action))state!;
                // Stopping and the tick may cross: the flag is looked at on the loop, where it is set.
                loop.Post(_ => { if (!self._stopped) callback(); }, null);
            },
            (this, loop, callback),
            due <= Longest ? due : Timeout.InfiniteTimeSpan,
            Timeout.InfiniteTimeSpan);

    public void Dispose()
    {
        _stopped = true;
        _timer.Dispose();
    }
}

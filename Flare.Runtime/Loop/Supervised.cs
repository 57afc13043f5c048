using System.Runtime.ExceptionServices;

namespace Flare.Runtime;

/// <summary>
/// Runs a stranger's code: told to stop, it has a grace in which to end; after that it is abandoned, and what becomes
/// of it is nobody's business any more.
/// </summary>
internal static class Supervised
{
    /// <summary>
    /// Completes when the work has ended, with its exception if it threw, or when it has not ended within the grace
    /// after it was told to.
    /// </summary>
    /// <param name="loop">The loop that all of this happens on.</param>
    /// <param name="time">The clock.</param>
    /// <param name="work">Starts the work.</param>
    /// <param name="grace">How long it has after the token was cancelled.</param>
    /// <param name="mayAbandon">Asked at the end of the grace: where it says no, another grace begins.</param>
    /// <param name="stop">Tells it to stop; cancelled on the loop.</param>
    /// <returns>Whether the work has ended; false where it was abandoned.</returns>
    public static async Task<bool> RunAsync(
        SynchronizationContext loop, TimeProvider time, Func<Task> work, TimeSpan grace, Func<bool> mayAbandon,
        CancellationToken stop)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        ExceptionDispatchInfo? failure = null;
        var isOver = false;
        LoopTimer? patience = null;
        _ = WatchAsync();
        using (stop.Register(Wait)) await done.Task;
        patience?.Dispose();
        if (isOver) failure?.Throw();
        return isOver;

        void Wait()
        {
            if (!isOver) patience = new LoopTimer(loop, time, grace, GiveUp);
        }

        void GiveUp()
        {
            if (mayAbandon()) done.TrySetResult();
            else Wait();
        }

        async Task WatchAsync()
        {
            try
            {
                await work();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e); // the caller's, unless it has gone on without the work
            }
            isOver = true;
            done.TrySetResult();
        }
    }
}

namespace Flare;

/// <summary>
/// The one door through which heavy work (training, folding, encryption, file I/O) leaves a job's loop. Awaited on the
/// loop, it continues there. The deterministic rig replaces it, so that nothing escapes its seeded scheduler.
/// </summary>
public abstract class ComputeScheduler
{
    /// <summary>The thread pool, with as much parallelism as the machine has cores.</summary>
    public static ComputeScheduler ThreadPool { get; } = new ThreadPoolScheduler(Environment.ProcessorCount);

    /// <summary>How many parts of <see cref="ForEachPart"/> run at once; at least 1.</summary>
    public abstract int MaxParallelism { get; }

    /// <summary>Runs work off the loop. The work must not touch the loop's state.</summary>
    /// <param name="work">What to run; its exceptions are the task's.</param>
    public abstract Task<T> RunAsync<T>(Func<ValueTask<T>> work);

    /// <summary>Runs synchronous work off the loop.</summary>
    public Task<T> RunAsync<T>(Func<T> work) => RunAsync(() => ValueTask.FromResult(work()));

    /// <summary>Runs synchronous work off the loop.</summary>
    public Task RunAsync(Action work) => RunAsync(() =>
    {
        work();
        return ValueTask.FromResult(true);
    });

    /// <summary>
    /// Runs the parts of one piece of arithmetic side by side and returns when all are done. Call it from within work,
    /// not from the loop: it blocks. What the parts compute must not depend on which runs where.
    /// </summary>
    /// <param name="parts">Number of parts; the body is called once with each index from 0.</param>
    /// <param name="body">The work of a part. An exception ends the call once all parts have ended.</param>
    public abstract void ForEachPart(int parts, Action<int> body);
}

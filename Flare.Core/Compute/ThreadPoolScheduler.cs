using System.Runtime.ExceptionServices;

namespace Flare;

/// <summary>The production scheduler: .NET's thread pool.</summary>
internal sealed class ThreadPoolScheduler : ComputeScheduler
{
    private readonly ParallelOptions _options;

    public ThreadPoolScheduler(int parallelism)
    {
        (MaxParallelism, _options) = (parallelism, new() { MaxDegreeOfParallelism = parallelism });
        ReserveThreads(parallelism);
    }

    public override int MaxParallelism { get; }

    /// <summary>
    /// Lets the pool have threads for the loops beside those that compute. It starts a thread beyond its minimum, which
    /// is the number of cores, only after half a second or so: by default executors could take them all, and an abort
    /// took more than a second to reach them.
    /// </summary>
    /// <param name="busy">How many threads may compute at once.</param>
    public static void ReserveThreads(int busy)
    {
        System.Threading.ThreadPool.GetMinThreads(out var workers, out var ports);
        if (workers < busy + 2) System.Threading.ThreadPool.SetMinThreads(busy + 2, ports);
    }

    // This class is the seam itself: the one place in Core where work enters the thread pool.
#pragma warning disable RS0030
    public override Task<T> RunAsync<T>(Func<ValueTask<T>> work) => Task.Run(() => work().AsTask());

    private void RunSideBySide(int parts, Action<int> body)
    {
        try
        {
            Parallel.For(0, parts, _options, body);
        }
        catch (AggregateException e)
        {
            // Callers see what a part threw, as they do where parts run one after another.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    public override void ForEachPart(int parts, Action<int> body)
    {
        if (parts <= 1 || MaxParallelism == 1)
            for (var i = 0; i < parts; i++) body(i);
        else
            RunSideBySide(parts, body);
    }
#pragma warning restore RS0030
}

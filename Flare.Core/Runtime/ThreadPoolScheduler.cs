namespace Flare.Runtime;

/// <summary>The production scheduler: .NET's thread pool.</summary>
internal sealed class ThreadPoolScheduler(int parallelism) : ComputeScheduler
{
    private readonly ParallelOptions _options = new() { MaxDegreeOfParallelism = parallelism };

    public override int MaxParallelism => parallelism;

    // This class is the seam itself: the one place in Core where work enters the thread pool.
#pragma warning disable RS0030
    public override Task<T> RunAsync<T>(Func<ValueTask<T>> work) => Task.Run(() => work().AsTask());

    public override void ForEachPart(int parts, Action<int> body)
    {
        if (parts <= 1 || parallelism == 1)
            for (var i = 0; i < parts; i++) body(i);
        else
            Parallel.For(0, parts, _options, body);
    }
#pragma warning restore RS0030
}

using Flare.Runtime;

namespace Flare.Testing;

/// <summary>
/// Runs heavy work on the loop, after a virtual delay: as far as anybody there can tell, on another thread that is
/// sometimes slow.
/// </summary>
internal sealed class SimulatedCompute : ComputeScheduler
{
    private readonly SimulationLoop _loop;
    private readonly SimulationRandom _random;

    public SimulatedCompute(SimulationLoop loop)
    {
        _loop = loop;
        _random = loop.Random.Fork();
        MaxParallelism = 1 + _random.NextInt32(4);
    }

    public override int MaxParallelism { get; }

    public override Task<T> RunAsync<T>(Func<ValueTask<T>> work)
    {
        // Not on the loop of the job that calls, where there is one of its own.
        Task<T>? running = null;
        SimulatedJobLoop.Enter(_loop, () => running = RunHereAsync(work));
        return running!;
    }

    private async Task<T> RunHereAsync<T>(Func<ValueTask<T>> work)
    {
        await Task.Delay(
            TimeSpan.FromMilliseconds(_random.Chance(0.05) ? _random.NextInt32(400) : _random.NextDouble() * 3),
            _loop.Time);
        return await work();
    }

    public override void ForEachPart(int parts, Action<int> body)
    {
        // Any order will do: what a part computes must not depend on it.
        var order = Enumerable.Range(0, parts).ToArray();
        for (var i = parts - 1; i > 0; i--)
        {
            var other = _random.NextInt32(i + 1);
            (order[i], order[other]) = (order[other], order[i]);
        }
        foreach (var part in order) body(part);
    }
}

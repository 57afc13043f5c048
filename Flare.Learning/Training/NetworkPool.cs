using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Flare.Learning;

/// <summary>
/// Networks by the method that makes them. A network's memory is a multiple of its model's; only those that compute
/// need it, not every site of a simulation. Whoever rents one loads weights and a seed: nothing of its last use
/// remains.
/// </summary>
internal static class NetworkPool
{
    private static readonly ConditionalWeakTable<Func<long, Sequential>, ConcurrentBag<Sequential>> Pools = [];

    public static Rented Rent(Func<long, Sequential> model)
    {
        var pool = Pools.GetValue(model, static _ => []);
        return new(pool, pool.TryTake(out var network) ? network : model(0));
    }

    public readonly struct Rented(ConcurrentBag<Sequential> pool, Sequential network) : IDisposable
    {
        public Sequential Network { get; } = network;

        public void Dispose() => pool.Add(Network);
    }
}

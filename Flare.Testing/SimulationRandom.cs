namespace Flare.Testing;

/// <summary>
/// Random numbers from a seed (<see cref="SplitMix64"/>). Frozen, so that a seed that failed once fails for ever; and
/// kept apart from <see cref="Random"/>, whose sequence is .NET's to change.
/// </summary>
public sealed class SimulationRandom
{
    private ulong _state;

    /// <summary>Starts a sequence.</summary>
    /// <param name="seed">Any number.</param>
    public SimulationRandom(ulong seed) => _state = seed;

    internal ulong State => _state;

    /// <summary>The next 64 bits.</summary>
    public ulong NextUInt64() => SplitMix64.Next(ref _state);

    /// <summary>A number from 0 to below the bound, which is at least 1.</summary>
    public int NextInt32(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bound, 1);
        return (int)Math.BigMul(NextUInt64(), (ulong)bound, out _);
    }

    /// <summary>A number in [0, 1).</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>True with a probability from 0 to 1.</summary>
    public bool Chance(double probability) => NextDouble() < probability;

    /// <summary>A time from the shortest to the longest, each as likely.</summary>
    public TimeSpan Between(TimeSpan shortest, TimeSpan longest) => shortest + (longest - shortest) * NextDouble();

    /// <summary>A sequence of its own, so that who draws how often here does not show there.</summary>
    public SimulationRandom Fork() => new(NextUInt64());
}

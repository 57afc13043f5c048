namespace Flare;

/// <summary>
/// Derives independent seeds from one: <see cref="Fnv1a"/> over the parts, finished by <see cref="SplitMix64.Mix"/>.
/// Frozen: a run is named by its seed.
/// </summary>
public static class Seeds
{
    /// <summary>A seed for a purpose.</summary>
    /// <param name="seed">The job's seed.</param>
    /// <param name="identity">The site, or <c>server</c>.</param>
    /// <param name="task">The task's name, or empty.</param>
    /// <param name="round">The round.</param>
    /// <param name="purpose">Tells several uses apart.</param>
    public static ulong Derive(ulong seed, string identity, string task = "", int round = 0, string purpose = "")
    {
        ArgumentNullException.ThrowIfNull(identity);
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(purpose);
        var hash = new Fnv1a();
        hash.Add(seed);
        hash.Add(identity);
        hash.Add(task);
        hash.Add((ulong)round);
        hash.Add(purpose);
        return SplitMix64.Mix(hash.Value);
    }
}

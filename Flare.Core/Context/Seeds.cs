namespace Flare;

/// <summary>Derives independent seeds from one: FNV-1a over the parts, finished by SplitMix64's mixer. Frozen: a run is named by its seed.</summary>
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
        var hash = Add(14695981039346656037UL, seed);
        hash = Add(Add(hash, identity), task);
        hash = Add(Add(hash, (ulong)round), purpose);
        hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9UL;
        hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBUL;
        return hash ^ (hash >> 31);
    }

    private static ulong Add(ulong hash, string text)
    {
        foreach (var c in text) hash = (hash ^ c) * 1099511628211UL;
        return (hash ^ 0x1F) * 1099511628211UL; // ends the part: "ab","c" is not "a","bc"
    }

    private static ulong Add(ulong hash, ulong number)
    {
        for (var i = 0; i < 64; i += 8) hash = (hash ^ (byte)(number >> i)) * 1099511628211UL;
        return hash;
    }
}

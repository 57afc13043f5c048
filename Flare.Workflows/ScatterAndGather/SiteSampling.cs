namespace Flare.Workflows;

/// <summary>Draws a round's sites.</summary>
internal static class SiteSampling
{
    /// <summary>Some of the sites, each subset equally likely, the same for the same seed and round; in the order of <paramref name="sites"/>.</summary>
    public static IReadOnlyList<string> Choose(IReadOnlyList<string> sites, int? count, ulong seed, int round)
    {
        if (count is null || count >= sites.Count) return [.. sites];
        // Selection sampling (Knuth, The Art of Computer Programming 2, algorithm S): each site is kept with the odds of those still needed.
        var chosen = new List<string>(count.Value);
        for (var i = 0; i < sites.Count && chosen.Count < count; i++)
        {
            var draw = Seeds.Derive(seed, "server", "sample", round, sites[i]);
            // 128-bit multiplication maps the draw to [0, remaining) with a bias below 2^-50.
            if (Math.BigMul(draw, (ulong)(sites.Count - i), out _) < (ulong)(count.Value - chosen.Count)) chosen.Add(sites[i]);
        }
        return chosen;
    }
}

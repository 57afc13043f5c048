namespace Flare.Workflows;

/// <summary>
/// Some of the sites, each subset equally likely, the same for the same seed and round; in the sites' order.
/// </summary>
internal sealed class UniformSampling(int count) : SiteSampling
{
    public override IReadOnlyList<string> Choose(ControllerContext context, int round) =>
        Choose(context.Sites, count, context.Seed, round);

    public override int MostOf(int sites) => Math.Min(sites, count);

    public override IEnumerable<string> Validate(int sites)
    {
        if (count < 1) yield return $"{nameof(ScatterAndGather.SitesPerRound)} is {count}; it must be at least 1";
        if (count > sites)
            yield return $"{nameof(ScatterAndGather.SitesPerRound)} is {count}, and there are {sites} sites";
    }

    internal static IReadOnlyList<string> Choose(IReadOnlyList<string> sites, int count, ulong seed, int round)
    {
        if (count >= sites.Count) return [.. sites];
        // Selection sampling (Knuth, The Art of Computer Programming 2, algorithm S): each site is kept with the odds
        // of those still needed.
        var chosen = new List<string>(count);
        for (var i = 0; i < sites.Count && chosen.Count < count; i++)
        {
            var draw = Seeds.Derive(seed, "server", "sample", round, sites[i]);
            // 128-bit multiplication maps the draw to [0, remaining) with a bias below 2^-50.
            if (Math.BigMul(draw, (ulong)(sites.Count - i), out _) < (ulong)(count - chosen.Count))
                chosen.Add(sites[i]);
        }
        return chosen;
    }
}

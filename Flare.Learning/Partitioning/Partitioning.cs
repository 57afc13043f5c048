namespace Flare.Learning;

/// <summary>
/// Ways to deal a data set out to sites, to simulate a federation. Each gives every sample to exactly one site, leaves
/// no site empty, and deals the same for the same seed. The shards are views.
/// </summary>
public static partial class Partitioning
{
    /// <summary>
    /// Deals samples out at random in equal numbers (they differ by at most one): every site sees the same
    /// distribution.
    /// </summary>
    /// <param name="data">The data.</param>
    /// <param name="sites">Number of sites.</param>
    /// <param name="seed">Decides which samples go where.</param>
    /// <exception cref="ArgumentException">There are fewer samples than sites.</exception>
    public static IReadOnlyList<Dataset> SplitIid(this Dataset data, int sites, long seed)
    {
        Require(data, sites);
        return Cut(
            data, Shuffled(data, new SeededRandom(unchecked((ulong)seed), stream: 0x11D)),
            EqualSizes(data.Count, sites));
    }

    /// <summary>
    /// Gives each site a few shards of samples sorted by label, so that it sees few classes: McMahan et al. 2017,
    /// "Communication- Efficient Learning of Deep Networks from Decentralized Data", where sites get two shards.
    /// </summary>
    /// <param name="data">The data.</param>
    /// <param name="sites">Number of sites.</param>
    /// <param name="shardsPerSite">Shards a site gets, about the number of classes that it sees.</param>
    /// <param name="seed">Decides which shards go where.</param>
    /// <exception cref="ArgumentException">There are fewer samples than shards.</exception>
    public static IReadOnlyList<Dataset> SplitByLabel(this Dataset data, int sites, int shardsPerSite, long seed)
    {
        Require(data, sites);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(shardsPerSite);
        var shards = checked(sites * shardsPerSite);
        if (shards > data.Count)
            throw new ArgumentException(
                $"{sites} sites with {shardsPerSite} shards each make {shards} shards; there are only {data.Count} "
                    + "samples. Take fewer sites or shards.", nameof(shardsPerSite));
        var random = new SeededRandom(unchecked((ulong)seed), stream: 0x1ABE1);
        // Shuffled first, then sorted stably: within a class the order is random.
        var sorted = Shuffled(data, random).OrderBy(data.Label).ToArray();
        var sizes = EqualSizes(data.Count, shards);
        var starts = new int[shards];
        for (var i = 1; i < shards; i++) starts[i] = starts[i - 1] + sizes[i - 1];
        var order = new int[shards];
        for (var i = 0; i < shards; i++) order[i] = i;
        random.Shuffle(order);
        var result = new Dataset[sites];
        for (var site = 0; site < sites; site++)
        {
            var samples = new List<int>();
            foreach (var shard in order.AsSpan(site * shardsPerSite, shardsPerSite))
                samples.AddRange(sorted.AsSpan(starts[shard], sizes[shard]));
            result[site] = data.Subset([.. samples]);
        }
        return result;
    }

    /// <summary>
    /// Deals samples out at random in numbers that fall as a power law: site i of n gets a share in proportion to (i +
    /// 1)^-exponent.
    /// </summary>
    /// <param name="data">The data.</param>
    /// <param name="sites">Number of sites.</param>
    /// <param name="exponent">0 gives equal shares; 1 gives the first site as much as sites 2, 4 and 8 twice over. At
    /// least 0.</param>
    /// <param name="seed">Decides which samples go where.</param>
    public static IReadOnlyList<Dataset> SplitBySize(this Dataset data, int sites, double exponent, long seed)
    {
        Require(data, sites);
        if (!(exponent >= 0 && double.IsFinite(exponent)))
            throw new ArgumentOutOfRangeException(
                nameof(exponent), exponent, "A finite exponent of at least 0 is expected.");
        var weights = new double[sites];
        for (var i = 0; i < sites; i++) weights[i] = Elementary.Pow(i + 1, -exponent);
        return data.SplitBySize(weights, seed);
    }

    /// <summary>Deals samples out at random in numbers in proportion to weights, at least one each.</summary>
    /// <param name="data">The data.</param>
    /// <param name="weights">One weight a site, at least 0, not all 0.</param>
    /// <param name="seed">Decides which samples go where.</param>
    public static IReadOnlyList<Dataset> SplitBySize(this Dataset data, ReadOnlySpan<double> weights, long seed)
    {
        Require(data, weights.Length);
        return Cut(
            data, Shuffled(data, new SeededRandom(unchecked((ulong)seed), stream: 0x512E)), Sizes(data.Count, weights));
    }

    private static void Require(Dataset data, int sites)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sites);
        if (data.Count < sites)
            throw new ArgumentException(
                $"{data.Count} samples cannot be dealt out to {sites} sites: one would be empty. Take fewer sites.",
                nameof(sites));
    }

    private static int[] Shuffled(Dataset data, SeededRandom random)
    {
        var samples = new int[data.Count];
        for (var i = 0; i < samples.Length; i++) samples[i] = i;
        random.Shuffle(samples);
        return samples;
    }

    private static Dataset[] Cut(Dataset data, int[] samples, int[] sizes)
    {
        var result = new Dataset[sizes.Length];
        var start = 0;
        for (var i = 0; i < sizes.Length; i++)
        {
            result[i] = data.Subset(samples.AsSpan(start, sizes[i]));
            start += sizes[i];
        }
        return result;
    }

    private static int[] EqualSizes(int total, int parts)
    {
        var sizes = new int[parts];
        for (var i = 0; i < parts; i++) sizes[i] = total / parts + (i < total % parts ? 1 : 0);
        return sizes;
    }

    // One each, the rest in proportion, rounded down on the running total so that the sizes add up.
    private static int[] Sizes(int total, ReadOnlySpan<double> weights)
    {
        var sum = 0.0;
        foreach (var weight in weights)
            sum += weight >= 0 && double.IsFinite(weight) ? weight
                : throw new ArgumentException(
                    Invariant($"The weight {weight} is not a finite number of at least 0."), nameof(weights));
        if (!(sum > 0)) throw new ArgumentException("All weights are 0; give at least one site some.", nameof(weights));
        var sizes = new int[weights.Length];
        int rest = total - weights.Length, given = 0;
        var running = 0.0;
        for (var i = 0; i < sizes.Length; i++)
        {
            running += weights[i];
            var upTo = i == sizes.Length - 1 ? rest : Math.Min(rest, (int)(rest * (running / sum)));
            sizes[i] = 1 + upTo - given;
            given = upTo;
        }
        return sizes;
    }
}

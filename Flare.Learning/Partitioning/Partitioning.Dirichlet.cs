using System.Runtime.InteropServices;

namespace Flare.Learning;

public static partial class Partitioning
{
    /// <summary>
    /// Samples that each site gets at least in <see cref="SplitDirichlet"/>, where there are enough; as in NVIDIA
    /// FLARE.
    /// </summary>
    public const int DirichletMinimum = 10;

    private const int Redraws = 100;

    /// <summary>
    /// Deals each class out in proportions drawn from a Dirichlet distribution, so that sites differ in their mix of
    /// classes and in size: Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution", in the way of
    /// NVIDIA FLARE's examples (a site that has its share already gets no more of the next class).
    /// <para>Every site gets <see cref="DirichletMinimum"/> samples, or an even share where there are fewer: the draw
    /// is repeated up to 100 times for that; after that the poorest sites are filled up from the richest.</para>
    /// </summary>
    /// <param name="data">The data.</param>
    /// <param name="sites">Number of sites.</param>
    /// <param name="alpha">Above 0. The smaller, the more sites differ: 0.1 is a strong skew, 1 a moderate one, 100
    /// almost none.</param>
    /// <param name="seed">Decides which samples go where.</param>
    /// <exception cref="ArgumentException">There are fewer samples than sites.</exception>
    public static IReadOnlyList<Dataset> SplitDirichlet(this Dataset data, int sites, double alpha, long seed)
    {
        Require(data, sites);
        if (!(alpha > 0 && double.IsFinite(alpha)))
            throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "A finite alpha above 0 is expected.");
        var random = new SeededRandom(unchecked((ulong)seed), stream: 0xD112);
        var minimum = Math.Min(DirichletMinimum, data.Count / sites);
        var byClass = Enumerable.Range(0, data.Count).ToLookup(data.Label);
        int[][] classes = [.. Enumerable.Range(0, data.Classes).Select(label => byClass[label].ToArray())];
        var shards = Draw(classes, data.Count, sites, alpha, random);
        for (var i = 0; i < Redraws && shards.Any(shard => shard.Count < minimum); i++)
            shards = Draw(classes, data.Count, sites, alpha, random);
        FillUp(shards, minimum);
        foreach (var shard in shards) random.Shuffle(CollectionsMarshal.AsSpan(shard));
        return [.. shards.Select(shard => data.Subset([.. shard]))];
    }

    private static List<int>[] Draw(int[][] classes, int count, int sites, double alpha, SeededRandom random)
    {
        var shards = new List<int>[sites];
        for (var i = 0; i < sites; i++) shards[i] = [];
        foreach (var samples in classes)
        {
            random.Shuffle(samples);
            var shares = Shares(shards, alpha, (double)count / sites, random);
            var (start, running) = (0, 0.0);
            for (var site = 0; site < sites; site++)
            {
                running += shares[site];
                var end = site == sites - 1 ? samples.Length
                    : Math.Min(samples.Length, (int)(running * samples.Length));
                shards[site].AddRange(samples.AsSpan(start, end - start));
                start = end;
            }
        }
        return shards;
    }

    // A Dirichlet draw is a normalised row of gamma variates; as logarithms, since for a small alpha all may underflow.
    private static double[] Shares(List<int>[] shards, double alpha, double fairShare, SeededRandom random)
    {
        var shares = new double[shards.Length];
        var largest = double.NegativeInfinity;
        for (var i = 0; i < shares.Length; i++)
        {
            shares[i] = random.NextLogGamma(alpha);
            if (shards[i].Count >= fairShare) shares[i] = double.NegativeInfinity;
            largest = Math.Max(largest, shares[i]);
        }
        var sum = 0.0;
        for (var i = 0; i < shares.Length; i++) sum += shares[i] = Elementary.Exp(shares[i] - largest);
        for (var i = 0; i < shares.Length; i++) shares[i] /= sum;
        return shares;
    }

    private static void FillUp(List<int>[] shards, int minimum)
    {
        while (true)
        {
            var poorest = shards.MinBy(shard => shard.Count)!;
            if (poorest.Count >= minimum) return;
            var richest = shards.MaxBy(shard => shard.Count)!;
            poorest.Add(richest[^1]);
            richest.RemoveAt(richest.Count - 1);
        }
    }
}

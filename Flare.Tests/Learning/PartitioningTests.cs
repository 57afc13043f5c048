using Flare.Learning;

namespace Flare.Tests.Learning;

public class PartitioningTests
{
    // Each sample's one feature is its own number, so that it can be followed.
    private static readonly Dataset Numbered = new(
        [1], [.. Enumerable.Range(0, 1000).Select(i => (float)i)],
        [.. Enumerable.Range(0, 1000).Select(i => i * 7 % 10)], 10);

    private static IEnumerable<TestCaseData> Splits()
    {
        yield return Case("iid", (data, seed) => data.SplitIid(7, seed));
        yield return Case("by label", (data, seed) => data.SplitByLabel(7, 2, seed));
        yield return Case("by power law", (data, seed) => data.SplitBySize(7, 1.5, seed));
        yield return Case("by weights", (data, seed) => data.SplitBySize([0, 1, 2, 0, 5, 1e-9, 3], seed));
        foreach (var alpha in new[] { 1e-6, 0.01, 0.1, 0.5, 1, 100, 1e6 })
            yield return Case($"Dirichlet {alpha}", (data, seed) => data.SplitDirichlet(7, alpha, seed));

        static TestCaseData Case(string name, Func<Dataset, long, IReadOnlyList<Dataset>> split) =>
            new TestCaseData(split).SetArgDisplayNames(name);
    }

    [TestCaseSource(nameof(Splits))]
    public void Every_sample_goes_to_exactly_one_site_and_no_site_is_empty(
        Func<Dataset, long, IReadOnlyList<Dataset>> split)
    {
        for (var seed = 0; seed < 20; seed++)
        {
            var shards = split(Numbered, seed);
            Assert.That(shards, Has.Count.EqualTo(7));
            Assert.That(shards.Select(s => s.Count), Has.All.Positive);
            Assert.That(shards.SelectMany(Numbers).Order(), Is.EqualTo(Enumerable.Range(0, 1000)));
            foreach (var shard in shards)
                for (var i = 0; i < shard.Count; i++)
                    Assert.That(shard.Label(i), Is.EqualTo((int)shard.Features(i)[0] * 7 % 10));
        }
    }

    [TestCaseSource(nameof(Splits))]
    public void The_seed_decides(Func<Dataset, long, IReadOnlyList<Dataset>> split)
    {
        var first = split(Numbered, 7).SelectMany(Numbers).ToArray();
        Assert.That(split(Numbered, 7).SelectMany(Numbers), Is.EqualTo(first));
        Assert.That(split(Numbered, 8).SelectMany(Numbers), Is.Not.EqualTo(first));
    }

    [Test]
    public void A_split_is_frozen_for_its_seed() =>
        Assert.That(
            string.Join(
                ' ', Datasets.Digits().Train.SplitDirichlet(sites: 8, alpha: 0.5, seed: 7).Select(s => s.Count)),
                Is.EqualTo("181 200 211 196 183 69 221 177"));

    [Test]
    public void Label_skew_grows_as_alpha_falls()
    {
        var skews = new[] { 100, 1, 0.5, 0.1, 0.01 }.Select(alpha =>
            Enumerable.Range(0, 10).Average(seed => Skew(Numbered.SplitDirichlet(5, alpha, seed)))).ToArray();
        Assert.That(skews, Is.Ordered.And.Unique);
        Assert.That(skews[0], Is.LessThan(0.15));
        Assert.That(skews[^1], Is.GreaterThan(0.6));

        // Mean total-variation distance between a site's mix of classes and the whole's.
        static double Skew(IReadOnlyList<Dataset> shards) =>
            shards.Average(shard => shard.LabelCounts().Sum(count => Math.Abs((double)count / shard.Count - 0.1)) / 2);
    }

    [Test]
    public void Dirichlet_gives_each_site_its_minimum()
    {
        for (var seed = 0; seed < 20; seed++)
        {
            Assert.That(
                Numbered.SplitDirichlet(50, 0.05, seed)
                .Min(s => s.Count), Is.GreaterThanOrEqualTo(Partitioning.DirichletMinimum));
            Assert.That(Numbered.Slice(0, 30).SplitDirichlet(10, 0.05, seed).Select(s => s.Count), Has.All.EqualTo(3));
        }
    }

    [Test]
    public void Shards_by_label_hold_few_classes()
    {
        foreach (var shard in Numbered.SplitByLabel(sites: 10, shardsPerSite: 2, seed: 1))
        {
            Assert.That(shard.Count, Is.EqualTo(100));
            Assert.That(shard.LabelCounts().Count(c => c > 0), Is.LessThanOrEqualTo(2));
        }
    }

    [Test]
    public void Equal_shares_differ_by_one_and_weights_are_kept()
    {
        Assert.That(
            Numbered.SplitIid(7, 1).Select(s => s.Count), Is.EqualTo(new[] { 143, 143, 143, 143, 143, 143, 142 }));
        Assert.That(
            Numbered.SplitBySize([1, 2, 1], 1).Select(s => s.Count), Is.EqualTo(new[] { 250, 500, 250 }).Within(1));
        Assert.That(Numbered.SplitBySize(3, 1, 1).Select(s => s.Count), Is.EqualTo(new[] { 545, 273, 182 }).Within(1));
    }

    [Test]
    public void Splits_that_cannot_be_are_refused()
    {
        var few = Numbered.Slice(0, 5);
        Assert.That(() => few.SplitIid(6, 1), Throws.ArgumentException.With.Message.Contains("Take fewer sites"));
        Assert.That(() => few.SplitIid(0, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => few.SplitByLabel(3, 2, 1), Throws.ArgumentException.With.Message.Contains("6 shards"));
        Assert.That(() => few.SplitDirichlet(2, 0, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => few.SplitDirichlet(2, double.NaN, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(
            () => few.SplitBySize([0.0, 0.0], 1), Throws.ArgumentException.With.Message.Contains("All weights are 0"));
        Assert.That(() => few.SplitBySize([1, -1], 1), Throws.ArgumentException);
        Assert.That(() => few.SplitBySize(2, -1, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    private static IEnumerable<int> Numbers(Dataset data) =>
        Enumerable.Range(0, data.Count).Select(i => (int)data.Features(i)[0]);
}

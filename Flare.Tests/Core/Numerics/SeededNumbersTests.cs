using Flare.Testing;

namespace Flare.Tests.Core.Numerics;

/// <summary>Generators and hashes that runs are named by: none of their numbers may ever change.</summary>
public class SeededNumbersTests
{
    [Test]
    public void SplitMix64_gives_the_numbers_of_its_authors()
    {
        // The first five of seed 1234567, as in the reference implementation (prng.di.unimi.it/splitmix64.c).
        var state = 1234567UL;
        ulong[] expected =
            [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821];
        Assert.That(Enumerable.Range(0, 5).Select(_ => SplitMix64.Next(ref state)), Is.EqualTo(expected));
        var random = new SimulationRandom(1234567);
        Assert.That(
            Enumerable.Range(0, 5)
            .Select(_ => random.NextUInt64()), Is.EqualTo(expected), "the rig's seeds mean the same for ever");
    }

    [Test]
    public void Fnv1a_gives_the_hashes_of_its_authors()
    {
        // From the test vectors of draft-eastlake-fnv: "", "a", "foobar".
        Assert.That(Hash(""), Is.EqualTo(0xcbf29ce484222325));
        Assert.That(Hash("a"), Is.EqualTo(0xaf63dc4c8601ec8c));
        Assert.That(Hash("foobar"), Is.EqualTo(0x85944171f73967e8));

        static ulong Hash(string text)
        {
            var hash = new Fnv1a();
            foreach (var c in text) hash.Step(c);
            return hash.Value;
        }
    }

    [Test]
    public void Parts_of_a_hash_are_told_apart()
    {
        static ulong Hash(params string[] parts)
        {
            var hash = new Fnv1a();
            foreach (var part in parts) hash.Add(part);
            return hash.Value;
        }

        Assert.That(Hash("ab", "c"), Is.Not.EqualTo(Hash("a", "bc")));
        Assert.That(Hash("", "a"), Is.Not.EqualTo(Hash("a", "")));
    }

    [Test]
    public void A_seeded_generator_never_changes()
    {
        // Initial weights, shards and orders of every run come from these.
        var random = new SeededRandom(unchecked((ulong)-7L), stream: 0x1417);
        Assert.That((random.NextUInt64(), random.NextUInt64()), Is.EqualTo((FirstOfStream, SecondOfStream)));
        var items = Enumerable.Range(0, 8).ToArray();
        new SeededRandom(42).Shuffle<int>(items);
        Assert.That(items, Is.EqualTo(Shuffled));
    }

    [TestCase(1), TestCase(2), TestCase(7)]
    public void Bounded_numbers_stay_in_their_bounds_and_reach_them(int bound)
    {
        var random = new SeededRandom(3);
        var drawn = Enumerable.Range(0, 500).Select(_ => random.Next(bound)).Distinct().Order();
        Assert.That(drawn, Is.EqualTo(Enumerable.Range(0, bound)));
        Assert.That(() => random.Next(0), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => random.NextLogGamma(double.NaN), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    // Computed by a Python implementation of the same algorithms.
    private const ulong FirstOfStream = 7206197403882692914, SecondOfStream = 12785379108819313519;
    private static readonly int[] Shuffled = [7, 1, 6, 3, 5, 4, 2, 0];
}

using System.Buffers;

namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>Sums of sums are the sum, bit by bit, and have its one written form.</summary>
public class MergeTests
{
    private static readonly string[] WeightKinds = ["integer", "large integer", "fraction", "power", "any"];

    private static (StateDict Tensors, double Weight)[] Contributions(int seed, int count, string? kind)
    {
        var random = new Random(seed);
        return
        [
            .. Enumerable.Range(0, count).Select(k =>
            (
                WrittenSum.Model(
                    random, kind
                    ?? ExactModels.Kinds[random.Next(ExactModels.Kinds.Length)], k, whole: random.Next(3) != 0),
                ExactModels.AnyWeight(random, WeightKinds[random.Next(WeightKinds.Length)])
            )),
        ];
    }

    /// <summary>Sums in some random grouping of at most so many levels; of any kernels, forms, threads.</summary>
    private static ExactSum Sum(
        Random random, ReadOnlySpan<(StateDict Tensors, double Weight)> contributions, int levels)
    {
        var kernels = new[] { BlockKernels.Best, BlockKernels.PortableKernels }[random.Next(2)];
        var scheduler = random.Next(2) == 0 ? null : new BackwardScheduler(3);
        var sum = new ExactSum(WrittenSum.Layout, [], scheduler, kernels, alwaysWide: random.Next(5) == 0);
        while (contributions.Length > 0)
        {
            var group = contributions[..random.Next(1, contributions.Length + 1)];
            contributions = contributions[group.Length..];
            if (levels == 1)
            {
                sum.Add(group);
                continue;
            }
            using var part = Sum(random, group, levels - 1);
            if (random.Next(2) == 0)
            {
                sum.Merge(part);
                continue;
            }
            using var copy = WrittenSum.Read(WrittenSum.Layout, WrittenSum.Bytes(part));
            sum.Merge(copy);
        }
        return sum;
    }

    [Test]
    public void Sums_of_one_two_and_three_levels_write_what_rational_arithmetic_says(
        [ValueSource(typeof(ExactModels), nameof(ExactModels.Kinds))] string kind)
    {
        var contributions = Contributions(21, 9, kind);
        var expected = WrittenSum.Expected(WrittenSum.Layout, contributions);
        var random = new Random(22);
        for (var levels = 1; levels <= 3; levels++)
        {
            using var sum = Sum(random, contributions, levels);
            Assert.That(WrittenSum.Bytes(sum).AsSpan().SequenceEqual(expected), $"{levels} levels");
        }
    }

    [Test]
    public void Any_grouping_of_any_contributions_writes_the_same_bytes_and_has_the_same_mean([Range(0, 19)] int seed)
    {
        var contributions = Contributions(seed, 12, null);
        var random = new Random(seed);
        using var flat = Sum(random, contributions, 1);
        var expected = WrittenSum.Bytes(flat);
        using var mean = flat.Complete();
        for (var i = 0; i < 4; i++)
        {
            random.Shuffle(contributions);
            using var sum = Sum(random, contributions, 1 + i % 3);
            Assert.That(sum.Count, Is.EqualTo(contributions.Length));
            Assert.That(WrittenSum.Bytes(sum).AsSpan().SequenceEqual(expected), $"grouping {i}");
            using var merged = sum.Complete();
            Assert.That(merged.Sha256(), Is.EqualTo(mean.Sha256()));
        }
    }

    [Test]
    public void What_was_subtracted_does_not_show_in_the_written_form([Range(0, 4)] int seed)
    {
        var contributions = Contributions(40 + seed, 6, null);
        using var expected = Sum(new Random(1), contributions.AsSpan(0, 4), 1);
        using var sum = Sum(new Random(2), contributions, 2);
        sum.Subtract(contributions[4].Tensors, contributions[4].Weight);
        sum.Subtract(contributions[5].Tensors, contributions[5].Weight);
        Assert.That(WrittenSum.Bytes(sum).AsSpan().SequenceEqual(WrittenSum.Bytes(expected)));
    }

    [Test]
    public void A_sum_of_nothing_is_written_read_and_merged()
    {
        using var sum = new ExactSum(WrittenSum.Layout);
        using var copy = WrittenSum.Read(WrittenSum.Layout, WrittenSum.Bytes(sum));
        sum.Merge(copy);
        Assert.That(sum.Count, Is.Zero);
        Assert.That(
            () => sum.Complete(), Throws.TypeOf<FlareException>().With.Property("ErrorId")
            .EqualTo(ErrorIds.NothingToAggregate));
        Assert.That(WrittenSum.Bytes(copy), Is.EqualTo(WrittenSum.Expected(WrittenSum.Layout, [])));
    }

    [Test]
    public void A_merge_leaves_the_other_as_it_was_and_goes_on_taking_contributions()
    {
        var contributions = Contributions(60, 5, "ordinary");
        using var left = Sum(new Random(1), contributions.AsSpan(0, 2), 1);
        using var right = Sum(new Random(2), contributions.AsSpan(2, 2), 1);
        var before = WrittenSum.Bytes(right);
        left.Merge(right);
        left.Add(contributions[4].Tensors, contributions[4].Weight);
        Assert.That(WrittenSum.Bytes(right), Is.EqualTo(before));
        using var all = Sum(new Random(3), contributions, 1);
        Assert.That(WrittenSum.Bytes(left), Is.EqualTo(WrittenSum.Bytes(all)));
    }

    [Test]
    public void Sums_of_other_tensors_are_not_merged()
    {
        using var sum = new ExactSum(WrittenSum.Layout);
        using var other = new ExactSum(ExactModels.Floats(3));
        var excluded = new bool[WrittenSum.Layout.Count];
        excluded[1] = true;
        using var excluding = new ExactSum(WrittenSum.Layout, excluded);
        Assert.That(() => sum.Merge(other), Throws.ArgumentException.With.Message.Contains("layout"));
        Assert.That(
            () => sum.Merge(excluding), Throws.ArgumentException.With.Message.Contains("excludes other tensors"));
        Assert.That(() => sum.Merge(sum), Throws.ArgumentException.With.Message.Contains("itself"));
    }

    [Test]
    public void The_written_form_is_read_from_pieces_of_any_size([Values(1, 7, 4096)] int size)
    {
        using var sum = Sum(new Random(1), Contributions(70, 3, null), 1);
        var bytes = WrittenSum.Bytes(sum);
        using var copy = new ExactSum(WrittenSum.Layout);
        copy.Read(Pieces(bytes, size));
        Assert.That(WrittenSum.Bytes(copy), Is.EqualTo(bytes));
    }

    [Test]
    public void Merging_and_reading_again_allocates_nothing_that_grows_with_the_model()
    {
        var layout = ExactModels.Floats(400_000);
        using var part = new ExactSum(layout);
        part.Add(ExactModels.Of(layout, new Random(1), "ordinary", 0), 3);
        var written = new ReadOnlySequence<byte>(WrittenSum.Bytes(part));
        using var copy = new ExactSum(layout);
        using var sum = new ExactSum(layout);
        var least = long.MaxValue;
        for (var i = 0; i < 5; i++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            copy.Read(written);
            sum.Merge(copy);
            if (i > 0) least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.That(least, Is.LessThan(4096));
    }

    private static ReadOnlySequence<byte> Pieces(byte[] bytes, int size)
    {
        var first = new Piece(bytes.AsMemory(0, Math.Min(size, bytes.Length)), 0);
        var last = first;
        for (var at = size; at < bytes.Length; at += size)
            last = last.Append(bytes.AsMemory(at, Math.Min(size, bytes.Length - at)));
        return new(first, 0, last, last.Memory.Length);
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, long index) => (Memory, RunningIndex) = (memory, index);

        public Piece Append(ReadOnlyMemory<byte> memory)
        {
            var next = new Piece(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}

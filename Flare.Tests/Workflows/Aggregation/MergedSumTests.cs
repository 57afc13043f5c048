using System.Buffers;
using Flare.Testing;
using Flare.Tests.Core.Tensors.Exact;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>Trees of aggregators make the model of one, bit by bit, and write the bytes that one would.</summary>
public class MergedSumTests
{
    private const string Control = "control";

    private static readonly UnitFederation Model = new(WrittenSum.Model(new Random(99), "ordinary", 0));
    private static readonly UnitFederation Controls = new(
        ExactModels.Of(ExactModels.Floats(600, 3), new Random(98), "ordinary", 0));

    /// <summary>Answers of two named sets, of all types in the first; some leave tensors out.</summary>
    private static Contribution[] Contributions(int seed, int count, string? values, DataKind kind)
    {
        var random = new Random(seed);
        var task = new FlareTask(TaskNames.Train, 1, Dxo.Weights(Model.Model).ToShareable());
        return
        [
            .. Enumerable.Range(0, count).Select(k =>
            {
                var of = values ?? ExactModels.Kinds[random.Next(ExactModels.Kinds.Length)];
                var model = WrittenSum.Model(random, of, k, whole: random.Next(3) != 0);
                var control = ExactModels.Of(Controls.Model.Layout, random, of, k);
                var steps = random.Next(1, 5000);
                return Model.Contribution(
                    $"site-{k + 1}",
                    (kind == DataKind.Weights ? Dxo.Weights(model, steps) : Dxo.WeightDiff(model, steps))
                        .WithSet(Control, Dxo.WeightDiff(control)), task);
            }),
        ];
    }

    private static ExactAggregator New(UnitFederation federation, int round = 1)
    {
        var aggregator = new ExactAggregator { AllowMissingTensors = true };
        aggregator.Begin(federation, round);
        return aggregator;
    }

    private static async Task<byte[]> BytesAsync(ExactAggregator aggregator)
    {
        var output = new ArrayBufferWriter<byte>();
        await aggregator.WriteSumAsync(output, default);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Folds one set's share of contributions in some grouping of at most so many levels.</summary>
    private static async Task<ExactAggregator> FoldAsync(
        Random random, UnitFederation federation, string set, ReadOnlyMemory<Contribution> contributions, int levels)
    {
        var aggregator = New(federation);
        while (contributions.Length > 0)
        {
            var group = contributions[..random.Next(1, contributions.Length + 1)];
            contributions = contributions[group.Length..];
            if (levels == 1)
            {
                for (var i = 0; i < group.Length; i++)
                    await aggregator.AcceptAsync(group.Span[i].For(set), default);
                continue;
            }
            using var part = await FoldAsync(random, federation, set, group, levels - 1);
            var bytes = await BytesAsync(part);
            await aggregator.MergeSumAsync(new(bytes), default);
            Assert.That((await BytesAsync(part)).AsSpan().SequenceEqual(bytes), "what was handed on is still there");
        }
        return aggregator;
    }

    [Test]
    public async Task A_tree_of_any_grouping_writes_and_makes_what_one_aggregator_does(
        [Range(0, 11)] int seed, [Values(DataKind.Weights, DataKind.WeightDiff)] DataKind kind)
    {
        var values = seed < ExactModels.Kinds.Length ? ExactModels.Kinds[seed] : null;
        var contributions = Contributions(seed, 9, values, kind);
        var random = new Random(seed);
        foreach (var (federation, set) in new[] { (Model, Dxo.ModelSet), (Controls, Control) })
        {
            using var flat = New(federation);
            foreach (var contribution in contributions) await flat.AcceptAsync(contribution.For(set), default);
            var bytes = await BytesAsync(flat);
            var model = await flat.CompleteAsync(default);
            for (var levels = 1; levels <= 3; levels++)
            {
                random.Shuffle(contributions);
                using var tree = await FoldAsync(random, federation, set, contributions, levels);
                Assert.That((await BytesAsync(tree)).AsSpan().SequenceEqual(bytes), $"{set}, {levels} levels");
                Assert.That((await tree.CompleteAsync(default)).Sha256(), Is.EqualTo(model.Sha256()));
            }
        }
    }

    [Test]
    public async Task Contributions_and_sums_may_take_turns_from_round_to_round()
    {
        var contributions = Contributions(50, 6, "ordinary", DataKind.WeightDiff);
        using ExactAggregator whole = new() { AllowMissingTensors = true }, part = new() { AllowMissingTensors = true };
        for (var round = 1; round <= 3; round++)
        {
            whole.Begin(Model, round);
            part.Begin(Model, round);
            await whole.AcceptAsync(contributions[0].For(Dxo.ModelSet), default);
            foreach (var contribution in contributions[1..4])
                await part.AcceptAsync(contribution.For(Dxo.ModelSet), default);
            await whole.MergeSumAsync(new(await BytesAsync(part)), default);
            foreach (var contribution in contributions[4..])
                await whole.AcceptAsync(contribution.For(Dxo.ModelSet), default);
            using var flat = New(Model, round);
            foreach (var contribution in contributions) await flat.AcceptAsync(contribution.For(Dxo.ModelSet), default);
            Assert.That(await BytesAsync(whole), Is.EqualTo(await BytesAsync(flat)), $"round {round}");
            Assert.That(
                (await whole.CompleteAsync(default)).Sha256(),
                Is.EqualTo((await flat.CompleteAsync(default)).Sha256()));
        }
    }

    [Test]
    public async Task A_sum_of_nothing_may_be_merged_and_does_nothing([Values] DataKind kind)
    {
        if (kind is not (DataKind.Weights or DataKind.WeightDiff)) return;
        using ExactAggregator sum = New(Model), nothing = New(Model), flat = New(Model);
        var contribution = Contributions(51, 1, "ordinary", kind)[0];
        await sum.MergeSumAsync(new(await BytesAsync(nothing)), default);
        await sum.AcceptAsync(contribution.For(Dxo.ModelSet), default);
        await sum.MergeSumAsync(new(await BytesAsync(nothing)), default);
        await flat.AcceptAsync(contribution.For(Dxo.ModelSet), default);
        Assert.That(await BytesAsync(sum), Is.EqualTo(await BytesAsync(flat)));
        Assert.That(
            () => nothing.CompleteAsync(default).AsTask(),
            Throws.TypeOf<FlareException>().With.Property("ErrorId").EqualTo(ErrorIds.NothingToAggregate));
    }

    [Test]
    public async Task Weights_and_differences_make_no_sum_whatever_comes_first_and_both_groups_are_named()
    {
        var (weights, differences) = (Contributions(52, 2, "ordinary", DataKind.Weights),
            Contributions(53, 4, "ordinary", DataKind.WeightDiff)[2..]);
        using ExactAggregator ofWeights = New(Model), ofDifferences = New(Model);
        foreach (var contribution in weights) await ofWeights.AcceptAsync(contribution.For(Dxo.ModelSet), default);
        var bytes = await BytesAsync(ofWeights);

        foreach (var contribution in differences)
            await ofDifferences.AcceptAsync(contribution.For(Dxo.ModelSet), default);
        var before = await BytesAsync(ofDifferences);
        Assert.That(
            () => ofDifferences.MergeSumAsync(new(bytes), default).AsTask(),
            Throws.TypeOf<FlareException>().With.Property("ErrorId").EqualTo(ErrorIds.Aggregation)
                .And.Message.Contains("sent Weights").And.Message.Contains("site-3, site-4 sent WeightDiff"));
        Assert.That(await BytesAsync(ofDifferences), Is.EqualTo(before));

        using var both = New(Model);
        await both.MergeSumAsync(new(bytes), default);
        await both.AcceptAsync(differences[1].For(Dxo.ModelSet), default);
        var refusal = Assert.ThrowsAsync<FlareException>(() => BytesAsync(both))!;
        Assert.That(refusal.ErrorId, Is.EqualTo(ErrorIds.Aggregation));
        Assert.That(
            refusal.Message,
            Does.Contain("the sites of merged sums (2) sent Weights").And.Contain("site-4 sent WeightDiff"));
        Assert.That(
            Assert.ThrowsAsync<FlareException>(() => both.CompleteAsync(default).AsTask())!.Message,
            Is.EqualTo(refusal.Message));
    }

    [Test]
    public async Task A_round_that_has_not_begun_or_is_complete_has_no_sum()
    {
        using ExactAggregator aggregator = new(), other = New(Model);
        var bytes = new ReadOnlySequence<byte>(await BytesAsync(other));
        Assert.That(() => BytesAsync(aggregator), Throws.InvalidOperationException);
        Assert.That(() => aggregator.MergeSumAsync(bytes, default).AsTask(), Throws.InvalidOperationException);
        aggregator.Begin(Model, 1);
        await aggregator.AcceptAsync(Contributions(54, 1, "ordinary", DataKind.Weights)[0].For(Dxo.ModelSet), default);
        await aggregator.CompleteAsync(default);
        Assert.That(() => BytesAsync(aggregator), Throws.InvalidOperationException.With.Message.Contains("complete"));
        Assert.That(
            () => aggregator.MergeSumAsync(bytes, default).AsTask(),
            Throws.InvalidOperationException.With.Message.Contains("complete"));
        aggregator.Begin(Model, 1);
        await aggregator.MergeSumAsync(bytes, default);
    }

    [Test]
    public async Task A_token_that_is_cancelled_stops_both_before_anything_happens()
    {
        using ExactAggregator sum = New(Model), other = New(Model);
        await other.AcceptAsync(Contributions(55, 1, "ordinary", DataKind.Weights)[0].For(Dxo.ModelSet), default);
        var (bytes, before) = (await BytesAsync(other), await BytesAsync(sum));
        var (output, cancelled) = (new ArrayBufferWriter<byte>(), new CancellationToken(canceled: true));
        Assert.That(
            () => sum.MergeSumAsync(new(bytes), cancelled).AsTask(), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(
            () => other.WriteSumAsync(output, cancelled).AsTask(), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(output.WrittenCount, Is.Zero);
        Assert.That(await BytesAsync(sum), Is.EqualTo(before));
    }
}

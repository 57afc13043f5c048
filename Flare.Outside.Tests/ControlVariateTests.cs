using System.Buffers;
using System.Buffers.Binary;
using Flare.Testing;
using Flare.Workflows;

namespace Flare.Outside.Tests;

/// <summary>
/// The server's half of SCAFFOLD's control variates (Karimireddy et al. 2020), as a user writes it: every site counts
/// the same, and so many more count nothing as take no part.
/// </summary>
internal sealed class ControlSum(int allSites) : Aggregator, IMergeableAggregator
{
    private ControllerContext? _context;
    private double[] _sum = [];

    public override bool NeedsSingleUpdates => false;

    public override ResultContract Refine(ResultContract contract) => contract with { Kinds = [DataKind.WeightDiff] };

    public override void Begin(ControllerContext context, int round) =>
        (_context, _sum) = (context, new double[context.Model.Layout.ElementCount]);

    public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
    {
        var at = 0;
        foreach (var tensor in contribution.Tensors)
            foreach (var value in tensor.AsReadOnlySpan<float>()) _sum[at++] += value;
        return ValueTask.CompletedTask;
    }

    public override ValueTask<StateDict> CompleteAsync(CancellationToken abort)
    {
        var (control, at) = (_context!.Model.Clone(), 0);
        foreach (var tensor in control)
            foreach (ref var value in tensor.AsSpan<float>()) value += (float)(_sum[at++] / allSites);
        return ValueTask.FromResult(control);
    }

    public ValueTask WriteSumAsync(IBufferWriter<byte> destination, CancellationToken abort)
    {
        foreach (var value in _sum)
        {
            BinaryPrimitives.WriteDoubleLittleEndian(destination.GetSpan(8), value);
            destination.Advance(8);
        }
        return ValueTask.CompletedTask;
    }

    public ValueTask MergeSumAsync(ReadOnlySequence<byte> sum, CancellationToken abort)
    {
        var bytes = sum.ToArray();
        if (bytes.Length != 8 * _sum.Length)
            throw new FlareException(ErrorIds.MalformedBytes, $"A sum of {_sum.Length} elements is due.");
        for (var i = 0; i < _sum.Length; i++) _sum[i] += BinaryPrimitives.ReadDoubleLittleEndian(bytes.AsSpan(8 * i));
        return ValueTask.CompletedTask;
    }
}

public class ControlVariateTests
{
    private static StateDict Of(float value) => StateDict.Create(("w", [value]));

    private static async Task<float> FoldAsync(UnitFederation federation, ControlSum aggregator, params float[] changes)
    {
        aggregator.Begin(federation, 1);
        foreach (var (change, i) in changes.Select((c, i) => (c, i)))
            await aggregator.AcceptAsync(federation.Contribution($"site-{i + 1}", Dxo.WeightDiff(Of(change))), default);
        return (await aggregator.CompleteAsync(default))["w"].AsReadOnlySpan<float>()[0];
    }

    [Test]
    public async Task The_sum_is_divided_by_all_sites() =>
        Assert.That(await FoldAsync(new UnitFederation(Of(10)), new ControlSum(allSites: 4), 1, 2), Is.EqualTo(10.75f));

    [Test]
    public async Task Half_a_sum_merged_into_the_other_half_is_the_whole()
    {
        var (federation, half, whole) = (new UnitFederation(Of(10)), new ControlSum(4), new ControlSum(4));
        await FoldAsync(federation, half, 1);
        var bytes = new ArrayBufferWriter<byte>();
        await half.WriteSumAsync(bytes, default);
        await FoldAsync(federation, whole, 2);
        await whole.MergeSumAsync(new(bytes.WrittenMemory), default);
        Assert.That(
            (await whole.CompleteAsync(default))["w"].AsReadOnlySpan<float>()[0],
            Is.EqualTo(await FoldAsync(federation, new(4), 1, 2)));
        Assert.That(
            () => whole.MergeSumAsync(new(bytes.WrittenMemory[..4]), default)
            .AsTask(), Throws.TypeOf<FlareException>());
    }

    /// <summary>
    /// Trains by the difference of a control variate of its own and the server's, which both go round with the model.
    /// </summary>
    private sealed class Scaffolding(float own) : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var server = model.Set("control").Tensors["w"].AsReadOnlySpan<float>()[0];
            return ValueTask.FromResult(Dxo.WeightDiff(Of(server - own)).WithMeta(MetaKey.NumStepsCurrentRound, 1)
                .WithSet("control", Dxo.WeightDiff(Of(own - server))));
        }
    }

    private static FedAvg Scaffold(int sites) => new()
    {
        Rounds = 3,
        Validation = ValidationMode.None,
        Sets = [new TensorSet("control") { Aggregator = new ControlSum(sites) }],
    };

    [Test]
    public async Task A_second_set_of_tensors_goes_round_with_the_model()
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(2, site => new Scaffolding(site.Index == 0 ? 2 : 6)).UseController(Scaffold(sites: 2)));
        await federation.RunToEndAsync(Of(0));
        // The control is 0, then the mean of 2 and 6; the model takes control - 4 each round.
        Assert.That(federation.State.Tensors["control"]["w"].AsReadOnlySpan<float>()[0], Is.EqualTo(4));
        Assert.That(federation.Model["w"].AsReadOnlySpan<float>()[0], Is.EqualTo(-4));
    }

    [Test]
    public void A_site_that_sends_the_model_alone_is_refused_by_name() => Assert.That(
        async () =>
        {
            await using var federation = Federation.InProcess(f => f
                .AddSite("complete", _ => new Scaffolding(1)).AddSite("plain", _ => new PlainSite())
                .UseController(Scaffold(sites: 2)));
            await federation.RunToEndAsync(Of(0));
        },
        Throws.TypeOf<TooFewResponsesException>().With.Message.Contains(
            "plain: Rejected: it carries no set 'control', only 'model'"));

    private sealed class PlainSite : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.WeightDiff(Of(1)).WithMeta(MetaKey.NumStepsCurrentRound, 1));
    }
}

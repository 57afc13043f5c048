using System.Buffers;
using System.Buffers.Binary;
using System.Text.RegularExpressions;
using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>What is no sum of the round is refused by name, and leaves the receiver's sum as it was.</summary>
public class HostileAggregateTests
{
    private const int Head = 46;
    private const int Counts = Head + 40;
    private const int Weights = Head + 48 + 1;

    private static readonly TensorLayout Layout = new(
        new TensorSpec("w", DType.Float32, [30]), new TensorSpec("scale", DType.Float64, [2]),
        new TensorSpec("steps", DType.Int64, [1]), new TensorSpec("seen", DType.UInt8, [2]));

    private static readonly UnitFederation Federation = new(new StateDict(Layout));

    private static async Task<ExactAggregator> SumAsync(
        int contributions, int round = 1, DataKind kind = DataKind.WeightDiff, ExactAggregator? aggregator = null,
        UnitFederation? federation = null)
    {
        federation ??= Federation;
        aggregator ??= new();
        aggregator.Begin(federation, round);
        for (var k = 0; k < contributions; k++)
        {
            var model = new StateDict(federation.Model.Layout);
            var random = new Random(k);
            foreach (ref var x in model[0].AsSpan<float>()) x = (float)(random.NextDouble() - 0.5);
            if (model.Layout.IndexOf("steps") >= 0)
            {
                model["scale"].AsSpan<double>()[1] = k % 2 == 0 ? 1e300 : double.Epsilon;
                model["steps"].AsSpan<long>()[0] = 77 + k;
                model["seen"].AsSpan<byte>()[1] = 255;
            }
            await aggregator.AcceptAsync(
                federation.Contribution(
                    $"site-{k + 1}",
                    kind == DataKind.Weights ? Dxo.Weights(model, 3) : Dxo.WeightDiff(model, 3)), default);
        }
        return aggregator;
    }

    private static async Task<byte[]> BytesAsync(ExactAggregator aggregator)
    {
        var output = new ArrayBufferWriter<byte>();
        await aggregator.WriteSumAsync(output, default);
        return output.WrittenSpan.ToArray();
    }

    private static async Task<byte[]> WrittenAsync(int contributions = 2)
    {
        using var sum = await SumAsync(contributions);
        return await BytesAsync(sum);
    }

    /// <summary>Whether bytes are refused by the one type of exception, the receiver's sum as before.</summary>
    private static async Task<bool> IsRefusedAsync(
        ExactAggregator receiver, byte[] before, byte[] bytes, string? reason = null)
    {
        try
        {
            await receiver.MergeSumAsync(new(bytes), default);
        }
        catch (FlareException refusal)
        {
            Assert.That(refusal.ErrorId, Is.EqualTo(ErrorIds.MalformedBytes).Or.EqualTo(ErrorIds.Aggregation));
            if (reason is not null) Assert.That(refusal.Message, Does.Contain(reason));
            Assert.That((await BytesAsync(receiver)).AsSpan().SequenceEqual(before), "the receiver's sum is as before");
            return true;
        }
        return false;
    }

    private static async Task AssertRefusedAsync(byte[] bytes, string reason)
    {
        using var receiver = await SumAsync(3);
        var before = await BytesAsync(receiver);
        Assert.That(await IsRefusedAsync(receiver, before, bytes, reason), reason);
        using var whole = await SumAsync(3);
        Assert.That(
            (await receiver.CompleteAsync(default)).Sha256(),
            Is.EqualTo((await whole.CompleteAsync(default)).Sha256()));
    }

    private static async Task AssertRefusedAsync(Action<byte[]> change, string reason)
    {
        var bytes = await WrittenAsync();
        change(bytes);
        await AssertRefusedAsync(bytes, reason);
    }

    [Test]
    public async Task Each_fault_is_named()
    {
        await AssertRefusedAsync(b => b[0]++, "does not begin as one");
        await AssertRefusedAsync(b => b[4]++, "version is 2");
        await AssertRefusedAsync(b => b[40] = 7, "it is of round 7, and this is round 1");
        await AssertRefusedAsync(b => b[44] = 9, "an unknown kind, 9");
        await AssertRefusedAsync(b => b[44] = 0, "what its 2 contributions sent");
        await AssertRefusedAsync(b => b[45]++, "Weighting");
        await AssertRefusedAsync(b => b[8]++, "another layout");
        await AssertRefusedAsync(b => b[Head + 4]++, "version is 2");
        await AssertRefusedAsync(b => b[Head + 8]++, "another layout");
        await AssertRefusedAsync(b => b[Counts] = 1, "weights of tensor 'w'");
        await AssertRefusedAsync(b => b[Counts + 7] = 1, "contributions");
        await AssertRefusedAsync(b => b[Weights + 4]++, "weights of tensor 'w'");
        await AssertRefusedAsync(b => b[^1] = 0x80, "length is wrong");
        await AssertRefusedAsync(b => b[^8]++, "written sum is refused");
        await AssertRefusedAsync([], "cut short");
    }

    [Test]
    public async Task Sums_of_other_models_rounds_settings_and_kinds_are_refused()
    {
        var small = new UnitFederation(new StateDict(new TensorLayout(new TensorSpec("w", DType.Float32, [30]))));
        using (var other = await SumAsync(2, federation: small))
            await AssertRefusedAsync(await BytesAsync(other), "another layout");
        using (var other = await SumAsync(2, round: 2))
            await AssertRefusedAsync(await BytesAsync(other), "it is of round 2, and this is round 1");
        using (var other = await SumAsync(2, aggregator: new() { Exclude = new Regex("scale") }))
            await AssertRefusedAsync(await BytesAsync(other), "sums other tensors");
        using (var other = await SumAsync(2, aggregator: new() { Weighting = Weighting.Uniform }))
            await AssertRefusedAsync(await BytesAsync(other), "made otherwise than by Weighting.NumSteps");
        using (var other = await SumAsync(2, kind: DataKind.Weights))
            await AssertRefusedAsync(await BytesAsync(other), "site-1, site-2, site-3 sent WeightDiff");

        using var receiver = await SumAsync(0, aggregator: new() { Kind = DataKind.WeightDiff });
        using var weights = await SumAsync(2, kind: DataKind.Weights);
        Assert.That(
            await IsRefusedAsync(
                receiver, await BytesAsync(receiver), await BytesAsync(weights), "Kind is WeightDiff"));
    }

    [Test]
    public async Task The_integers_of_more_contributions_than_there_are_are_refused()
    {
        // The head and the model's sum of one, the integers of two.
        var (one, two) = (await WrittenAsync(1), await WrittenAsync(2));
        byte[] mixed = [.. one[..^(8 + Integers(one))], .. two[^(8 + Integers(two))..]];
        await AssertRefusedAsync(mixed, "the integers of 2 contributions, and there are 1");

        static int Integers(byte[] bytes) =>
            (int)BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(bytes.Length - 8));
    }

    [Test]
    public async Task More_contributions_than_a_sum_takes_are_refused()
    {
        var bytes = await WrittenAsync();
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(Counts), ExactSum.MaxContributions);
        await AssertRefusedAsync(bytes, $"there is room for {ExactSum.MaxContributions - 3}");
    }

    [Test]
    public async Task What_is_cut_short_anywhere_or_goes_on_is_refused()
    {
        var bytes = await WrittenAsync();
        using var receiver = await SumAsync(1);
        var before = await BytesAsync(receiver);
        for (var length = 0; length < bytes.Length; length++)
            Assert.That(await IsRefusedAsync(receiver, before, bytes[..length]), $"{length} bytes");
        Assert.That(await IsRefusedAsync(receiver, before, [.. bytes, 0]));
        Assert.That(await IsRefusedAsync(receiver, before, bytes), Is.False);
    }

    [Test]
    public async Task Any_bytes_put_anywhere_are_refused_or_make_another_sum([Range(0, 3)] int seed)
    {
        var random = new Random(seed);
        var written = await WrittenAsync();
        var receiver = await SumAsync(1);
        var before = await BytesAsync(receiver);
        var refused = 0;
        for (var i = 0; i < 1000; i++)
        {
            var bytes = written.ToList();
            for (var change = random.Next(1, 4); change > 0 && bytes.Count > 0; change--)
            {
                var at = random.Next(bytes.Count);
                switch (random.Next(5))
                {
                    case 0: bytes[at] = (byte)random.Next(); break;
                    case 1: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                    case 2: bytes.RemoveRange(at, Math.Min(random.Next(1, 9), bytes.Count - at)); break;
                    case 3: bytes.InsertRange(at, new byte[random.Next(1, 9)]); break;
                    default:
                        bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(1, 40), bytes.Count - at)));
                        break;
                }
            }
            if (await IsRefusedAsync(receiver, before, [.. bytes]))
            {
                refused++;
                continue;
            }
            // Taken, as another sum: what comes of it is finite. The next is tried on a fresh receiver.
            var model = await receiver.CompleteAsync(default);
            Assert.That(model["w"].AsReadOnlySpan<float>().ToArray(), Is.All.Matches<float>(float.IsFinite));
            receiver.Dispose();
            receiver = await SumAsync(1);
        }
        receiver.Dispose();
        Assert.That(refused, Is.GreaterThan(500));
    }
}

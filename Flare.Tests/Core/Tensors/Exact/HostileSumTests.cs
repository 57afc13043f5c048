using System.Buffers;
using System.Buffers.Binary;

namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>A written sum comes from elsewhere: what is wrong with it is refused, by one type of exception, and leaves
/// nothing.</summary>
public class HostileSumTests
{
    private static readonly TensorLayout Layout = new(
        new TensorSpec("w", DType.Float32, [20]), new TensorSpec("scale", DType.Float64, [3]),
        new TensorSpec("steps", DType.Int64, [1]),
        new TensorSpec("seen", DType.UInt8, [2]), new TensorSpec("left.out", DType.Float32, [2]));

    private const int Head = 48 + 1;
    private const int Weights = 36;
    private static readonly int Blocks = Head + Weights * Layout.Count;

    private static byte[] Written(Action<StateDict>? change = null)
    {
        var model = new StateDict(Layout);
        var random = new Random(1);
        foreach (ref var x in model["w"].AsSpan<float>()) x = (float)(random.NextDouble() - 0.5);
        model["scale"].AsSpan<double>()[1] = 1e300;
        model["scale"].AsSpan<double>()[2] = double.Epsilon;
        model["steps"].AsSpan<long>()[0] = 77;
        model["seen"].AsSpan<byte>()[1] = 255;
        change?.Invoke(model);
        using var sum = new ExactSum(Layout);
        sum.Add(model.Select(t => t.Name != "left.out"), 3);
        sum.Add(model.Select(t => t.Name != "left.out"), 0.3);
        return WrittenSum.Bytes(sum);
    }

    /// <summary>Either refused, and then nothing is left of it, or a sum whose written form it is.</summary>
    private static bool IsRefused(byte[] bytes, string? reason = null)
    {
        using var sum = new ExactSum(Layout);
        try
        {
            sum.Read(new ReadOnlySequence<byte>(bytes));
        }
        catch (FlareException refusal)
        {
            Assert.That(refusal.ErrorId, Is.EqualTo(ErrorIds.MalformedBytes));
            if (reason is not null) Assert.That(refusal.Message, Does.Contain(reason));
            Assert.That(sum.Count, Is.Zero);
            Assert.That(sum.WeightOf(0), Is.Zero.Or.NaN);
            return true;
        }
        Assert.That(WrittenSum.Bytes(sum), Is.EqualTo(bytes), "what is read is written so");
        using var whole = new ExactSum(Layout);
        whole.Merge(sum);
        if (whole.Count > 0)
            foreach (var tensor in whole.Complete())
                if (tensor.Spec.DType == DType.Float32)
                    Assert.That(tensor.AsReadOnlySpan<float>().ToArray(), Is.All.Matches<float>(float.IsFinite));
        return false;
    }

    private static byte[] Changed(Action<byte[]> change)
    {
        var bytes = Written();
        change(bytes);
        return bytes;
    }

    [Test]
    public void What_is_cut_short_anywhere_is_refused()
    {
        var bytes = Written();
        Assert.That(IsRefused(bytes), Is.False);
        for (var length = 0; length < bytes.Length; length++)
            Assert.That(IsRefused(bytes[..length]), $"{length} bytes");
        Assert.That(IsRefused([.. bytes, 0], "follow"));
    }

    [Test]
    public void A_flipped_bit_is_refused_or_makes_another_sum_in_its_canonical_form()
    {
        var bytes = Written();
        for (var bit = 0; bit < 8 * bytes.Length; bit++)
        {
            bytes[bit >> 3] ^= (byte)(1 << (bit & 7));
            var refused = IsRefused(bytes);
            if (bit < 8 * 40) Assert.That(refused, $"bit {bit} of the head");
            bytes[bit >> 3] ^= (byte)(1 << (bit & 7));
        }
    }

    [Test]
    public void Any_bytes_put_anywhere_are_refused_or_make_a_sum_in_its_canonical_form([Range(0, 7)] int seed)
    {
        var random = new Random(seed);
        var written = Written();
        for (var i = 0; i < 1500; i++)
        {
            var bytes = written.ToList();
            for (var change = random.Next(1, 4); change > 0; change--)
            {
                var at = random.Next(random.Next(2) == 0 ? Blocks + 4 : bytes.Count);
                switch (random.Next(5))
                {
                    case 0: bytes[at] = (byte)random.Next(); break;
                    case 1: bytes[at] = (byte)(random.Next(2) == 0 ? 0xFF : 0x80); break;
                    case 2: bytes.RemoveRange(at, Math.Min(random.Next(1, 9), bytes.Count - at)); break;
                    case 3: bytes.InsertRange(at, new byte[random.Next(1, 9)]); break;
                    default: bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(1, 40), bytes.Count - at)));
                    break;
                }
                if (bytes.Count == 0) break;
            }
            IsRefused([.. bytes]);
        }
    }

    [Test]
    public void Each_fault_is_named()
    {
        Assert.That(IsRefused(Changed(b => b[0]++), "does not begin as one"));
        Assert.That(IsRefused(Changed(b => b[4]++), "version is 2"));
        Assert.That(IsRefused(Changed(b => b[8]++), "another layout"));
        Assert.That(IsRefused(Changed(b => b[47] = 1), "contributions"));
        Assert.That(IsRefused(Changed(b => b[40] = 1), "weights of tensor 'w'"));
        Assert.That(IsRefused(Changed(b => b[48] ^= 1), "other tensors"));
        Assert.That(IsRefused(Changed(b => b[Head + 4]++), "weights of tensor 'w'"), "a bit too low");
        Assert.That(IsRefused(Changed(b => b[Head + 35] = 1), "weights of tensor 'w'"), "more than two weights are");
        Assert.That(IsRefused(Changed(b => b[Head + Weights * 4] = 1), "weights of tensor 'left.out'"), "of nothing");
        foreach (var low in new short[] { -2000, 190 })
            Assert.That(
                IsRefused(Changed(b => BinaryPrimitives.WriteInt16LittleEndian(b.AsSpan(Blocks), low)), "tensor 'w'"));
        var tooWide = Changed(b => BinaryPrimitives.WriteUInt16LittleEndian(b.AsSpan(Blocks + 2), 60_000));
        Assert.That(IsRefused(tooWide, "tensor 'w'"));
    }

    [Test]
    public void Another_form_of_the_same_numbers_is_refused()
    {
        var bytes = Written();
        var low = BinaryPrimitives.ReadInt16LittleEndian(bytes.AsSpan(Blocks));
        var width = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(Blocks + 2));
        var elements = Enumerable.Range(0, 20).Select(i =>
            new System.Numerics.BigInteger(bytes.AsSpan(Blocks + 4 + i * width, width))).ToArray();
        byte[] Form(int zeros, int wider)
        {
            using var block = new MemoryStream();
            using var writer = new BinaryWriter(block);
            writer.Write((short)(low - zeros));
            writer.Write((ushort)(width + wider));
            foreach (var element in elements)
            {
                var shifted = (element << zeros).ToByteArray();
                var sign = (byte)(element.Sign < 0 ? 0xFF : 0);
                writer.Write([.. shifted, .. Enumerable.Repeat(sign, width + wider - shifted.Length)]);
            }
            return [.. bytes[..Blocks], .. block.ToArray(), .. bytes[(Blocks + 4 + 20 * width)..]];
        }
        Assert.That(IsRefused(Form(0, 0)), Is.False);
        Assert.That(IsRefused(Form(0, 1), "canonical"));
        Assert.That(IsRefused(Form(8, 1), "canonical"));
        byte[] zeros = [.. bytes[..Blocks], 1, 0, 0, 0, .. bytes[(Blocks + 4 + 20 * width)..]];
        Assert.That(IsRefused(zeros, "tensor 'w'"), "zeros have no lowest bit");
    }

    [Test]
    public void Sums_that_no_contributions_have_are_refused()
    {
        // The largest byte, 255, was added with weights of 3.3 in all: nothing larger can be, nor anything negative.
        var bytes = Written(m => m["seen"].AsSpan<byte>()[0] = 255);
        Assert.That(IsRefused(bytes), Is.False);
        bytes[^1]++;
        Assert.That(IsRefused(bytes, "tensor 'seen'"));
        bytes[^1] = 0xFF;
        Assert.That(IsRefused(bytes, "tensor 'seen'"));

        // As large as floats get is taken; a hair more is not.
        var largest = Written(m => m["w"].AsSpan<float>().Fill(-float.MaxValue));
        Assert.That(IsRefused(largest), Is.False);
        largest[Blocks + 4] -= 2;
        Assert.That(IsRefused(largest, "tensor 'w'"));
    }

    [Test]
    public void The_first_version_of_the_written_form_does_not_change()
    {
        var hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Written()));
        Assert.That(hash, Does.StartWith("f16c6fae123723aa"));
    }
}

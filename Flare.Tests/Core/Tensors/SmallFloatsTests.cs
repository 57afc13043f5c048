namespace Flare.Tests.Core.Tensors;

/// <summary>The vectors' conversions against the types' own, bit for bit.</summary>
public class SmallFloatsTests
{
    private static readonly ushort[] AllBits = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];

    [Test]
    public void Every_BFloat16_widens_as_the_scalar_does_and_narrows_back_to_itself()
    {
        BFloat16[] all = [.. AllBits.Select(bits => new BFloat16(bits))];
        var wide = new float[all.Length];
        SmallFloats.Widen(all, wide);
        SampleModels.AssertSame(
            [.. wide.Select(BitConverter.SingleToUInt32Bits)], [.. AllBits.Select(bits => (uint)bits << 16)]);
        var back = new BFloat16[all.Length];
        SmallFloats.Narrow(wide, back);
        SampleModels.AssertSame(
            [.. back], [.. all.Select(x => float.IsNaN((float)x) ? new BFloat16((ushort)(x.Bits | 0x40)) : x)]);
    }

    [Test]
    public void Every_Half_widens_as_the_scalar_does_and_narrows_back_to_itself()
    {
        Half[] all = [.. AllBits.Select(BitConverter.UInt16BitsToHalf)];
        var wide = new float[all.Length];
        SmallFloats.Widen(all, wide);
        SampleModels.AssertSame(
            [.. wide.Select(BitConverter.SingleToUInt32Bits)],
            [.. all.Select(x => BitConverter.SingleToUInt32Bits((float)x))]);
        var back = new Half[all.Length];
        SmallFloats.Narrow(wide, back);
        SampleModels.AssertSame(
            [.. back.Select(BitConverter.HalfToUInt16Bits)],
            [.. wide.Select(x => BitConverter.HalfToUInt16Bits((Half)x))]);
    }

    [Test]
    public void Narrowing_rounds_as_the_scalar_does_on_any_bits()
    {
        var random = new Random(11);
        // Random bits, ties, and their neighbours.
        float[] values =
        [
            .. Enumerable.Range(0, 200_001)
            .Select(_ => BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32))),
            .. AllBits.SelectMany(
                bits => new uint[] { 0x7FFF, 0x8000, 0x8001 }.Select(
                    low => BitConverter.UInt32BitsToSingle((uint)bits << 16 | low))),
        ];
        var brain = new BFloat16[values.Length];
        SmallFloats.Narrow(values, brain);
        SampleModels.AssertSame([.. brain], [.. values.Select(x => (BFloat16)x)]);
        var halves = new Half[values.Length];
        SmallFloats.Narrow(values, halves);
        SampleModels.AssertSame(
            [.. halves.Select(BitConverter.HalfToUInt16Bits)],
            [.. values.Select(x => BitConverter.HalfToUInt16Bits((Half)x))]);
    }

    [Test]
    public void BFloat16_rounds_to_nearest_with_ties_to_even()
    {
        Assert.That((float)(BFloat16)1.00390625f, Is.EqualTo(1f), "1 + 2^-8, halfway, to the even 1");
        Assert.That((float)(BFloat16)1.01171875f, Is.EqualTo(1.015625f), "1 + 3 × 2^-8, halfway, to the even 1 + 2^-6");
        Assert.That((float)(BFloat16)float.MaxValue, Is.EqualTo(float.PositiveInfinity));
        Assert.That(float.IsNaN((float)(BFloat16)BitConverter.UInt32BitsToSingle(0x7F80_0001)));
    }
}

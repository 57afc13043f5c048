using System.Runtime.Intrinsics;

namespace Flare;

/// <summary>
/// Sums of squares in double, in an order that is part of the contract: within a block, sixteen lanes, lane j summing
/// the elements j, j + 16, j + 32, …; then lanes j, j + 4, j + 8, j + 12 pairwise, then the four that remain pairwise.
/// No step is fused. So the bits do not depend on how wide the machine's vectors are, and rounding errors grow with a
/// block's length, not with the model's.
/// </summary>
internal static class SquaredNorm
{
    /// <summary>Elements a block has, but for a tensor's last.</summary>
    public const int Block = 4096;

    private const int Lanes = 16;

    public static double OfBlock(ReadOnlySpan<float> block)
    {
        Vector256<double> a = default, b = default, c = default, d = default;
        while (block.Length >= Lanes)
        {
            Accumulate(block, ref a, ref b, ref c, ref d);
            block = block[Lanes..];
        }
        Span<float> rest = stackalloc float[Lanes];
        block.CopyTo(rest);
        Accumulate(rest, ref a, ref b, ref c, ref d);
        return Total(a, b, c, d);
    }

    public static double OfBlock(ReadOnlySpan<double> block)
    {
        Vector256<double> a = default, b = default, c = default, d = default;
        while (block.Length >= Lanes)
        {
            Accumulate(block, ref a, ref b, ref c, ref d);
            block = block[Lanes..];
        }
        Span<double> rest = stackalloc double[Lanes];
        block.CopyTo(rest);
        Accumulate(rest, ref a, ref b, ref c, ref d);
        return Total(a, b, c, d);
    }

    private static void Accumulate(
        ReadOnlySpan<float> lanes, ref Vector256<double> a, ref Vector256<double> b, ref Vector256<double> c,
        ref Vector256<double> d)
    {
        var (a1, b1) = Vector256.Widen(Vector256.Create(lanes));
        var (c1, d1) = Vector256.Widen(Vector256.Create(lanes[8..]));
        a += a1 * a1;
        b += b1 * b1;
        c += c1 * c1;
        d += d1 * d1;
    }

    private static void Accumulate(
        ReadOnlySpan<double> lanes, ref Vector256<double> a, ref Vector256<double> b, ref Vector256<double> c,
        ref Vector256<double> d)
    {
        var (a1, b1) = (Vector256.Create(lanes), Vector256.Create(lanes[4..]));
        var (c1, d1) = (Vector256.Create(lanes[8..]), Vector256.Create(lanes[12..]));
        a += a1 * a1;
        b += b1 * b1;
        c += c1 * c1;
        d += d1 * d1;
    }

    private static double Total(Vector256<double> a, Vector256<double> b, Vector256<double> c, Vector256<double> d)
    {
        var sum = (a + b) + (c + d);
        return (sum.GetElement(0) + sum.GetElement(1)) + (sum.GetElement(2) + sum.GetElement(3));
    }
}

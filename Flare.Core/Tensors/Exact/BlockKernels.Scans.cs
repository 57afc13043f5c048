using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Flare;

// The loops that look at where the bits of floats lie: before they are added, or while they are.
internal sealed unsafe partial class BlockKernels<TVectors, TDoubles, TBits>
{
    // How many floats ahead of themselves passes over memory are read: eight sources are too many for the processor to
    // see that they go on.
    private const int NextReads = 256;

    public override void Scan(float** sources, int sourceCount, int count, out uint largest, out uint smallest)
    {
        var max = TVectors.Bits(0);
        var min = TVectors.Bits(uint.MaxValue);
        // One less than each magnitude: zero becomes the largest of all and never is the smallest. (A count is never
        // negative, but the compiler does not know: it would make a constant anew in every turn.)
        var minusOne = TVectors.Bits(uint.MaxValue + (uint)(count >> 31));
        for (var k = 0; k < sourceCount; k++)
        {
            var x = sources[k];
            for (var end = x + count; x < end; x += Stride)
            {
                var magnitudes = TVectors.Magnitudes(x);
                max = TVectors.Max(max, magnitudes);
                min = TVectors.Min(min, TVectors.Add(magnitudes, minusOne));
            }
        }
        largest = TVectors.LargestOf(max);
        smallest = TVectors.SmallestOf(min) + 1;
    }

    public override void FoldAndScan(
        double* sums, double* to, float** sources, double* weights, int sourceCount, int count, out uint largest,
        out uint smallest)
    {
        var (max0, max1) = (TVectors.Bits(0), TVectors.Bits(0));
        var (min0, min1) = (TVectors.Bits(uint.MaxValue), TVectors.Bits(uint.MaxValue));
        var minusOne = TVectors.Bits(uint.MaxValue + (uint)(count >> 31));
        var i = 0;
        for (; i <= count - 2 * Stride; i += 2 * Stride)
        {
            TDoubles sum0, sum1, sum2, sum3;
            if (sums is null)
            {
                sum0 = sum1 = sum2 = sum3 = TVectors.Create(0);
            }
            else
            {
                sum0 = TVectors.Load(sums + i);
                sum1 = TVectors.Load(sums + i + TVectors.Width);
                sum2 = TVectors.Load(sums + i + Stride);
                sum3 = TVectors.Load(sums + i + Stride + TVectors.Width);
            }
            for (var k = 0; k < sourceCount; k++)
            {
                var source = sources[k] + i;
                var weight = TVectors.Create(weights[k]);
                ReadSoon(source + NextReads);
                if (TVectors.Width == 8) ReadSoon(source + NextReads + Stride);
                var magnitudes0 = TVectors.Magnitudes(source);
                var magnitudes1 = TVectors.Magnitudes(source + Stride);
                max0 = TVectors.Max(max0, magnitudes0);
                max1 = TVectors.Max(max1, magnitudes1);
                min0 = TVectors.Min(min0, TVectors.Add(magnitudes0, minusOne));
                min1 = TVectors.Min(min1, TVectors.Add(magnitudes1, minusOne));
                sum0 = TVectors.MultiplyAdd(TVectors.Widen(source), weight, sum0);
                sum1 = TVectors.MultiplyAdd(TVectors.Widen(source + TVectors.Width), weight, sum1);
                sum2 = TVectors.MultiplyAdd(TVectors.Widen(source + Stride), weight, sum2);
                sum3 = TVectors.MultiplyAdd(TVectors.Widen(source + Stride + TVectors.Width), weight, sum3);
            }
            TVectors.Store(sum0, to + i);
            TVectors.Store(sum1, to + i + TVectors.Width);
            TVectors.Store(sum2, to + i + Stride);
            TVectors.Store(sum3, to + i + Stride + TVectors.Width);
        }
        for (; i < count; i += Stride)
        {
            var sum0 = sums is null ? TVectors.Create(0) : TVectors.Load(sums + i);
            var sum1 = sums is null ? TVectors.Create(0) : TVectors.Load(sums + i + TVectors.Width);
            for (var k = 0; k < sourceCount; k++)
            {
                var source = sources[k] + i;
                var weight = TVectors.Create(weights[k]);
                var magnitudes = TVectors.Magnitudes(source);
                max0 = TVectors.Max(max0, magnitudes);
                min0 = TVectors.Min(min0, TVectors.Add(magnitudes, minusOne));
                sum0 = TVectors.MultiplyAdd(TVectors.Widen(source), weight, sum0);
                sum1 = TVectors.MultiplyAdd(TVectors.Widen(source + TVectors.Width), weight, sum1);
            }
            TVectors.Store(sum0, to + i);
            TVectors.Store(sum1, to + i + TVectors.Width);
        }
        largest = TVectors.LargestOf(TVectors.Max(max0, max1));
        smallest = TVectors.SmallestOf(TVectors.Min(min0, min1)) + 1;
    }

    // Into the first-level cache.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ReadSoon(void* address)
    {
        if (Sse.IsSupported) Sse.Prefetch0(address);
    }
}

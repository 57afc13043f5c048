using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flare;

/// <summary>
/// The inner loops over one block. A block's exact sum is held in one or two doubles an element. With two, the coarse
/// one carries a bias of 1.5·2^52·g, so that adding to it rounds to multiples of its grid g; what that rounding leaves,
/// exact, goes to the fine one. As long as the bounds of <see cref="BlockSum"/> hold, no bit is ever lost, so the order
/// of additions cannot matter.
/// <para>Counts are multiples of <see cref="Step"/>: tensors are padded with zeros to whole cache lines. Where there is
/// one double an element, the pointer to the fine sums is null and the bias 0.</para>
/// </summary>
internal abstract unsafe class BlockKernels
{
    /// <summary>Elements of a block: its sums and eight inputs stay in the first-level cache.</summary>
    public const int BlockLength = 512;

    /// <summary>Counts are multiples of this.</summary>
    public const int Step = 16;

    public static BlockKernels Vector512Kernels { get; } = new BlockKernels<BlockVectors512, Vector512<double>,
        Vector512<uint>>();

    public static BlockKernels Vector256Kernels { get; } = new BlockKernels<BlockVectors256, Vector256<double>,
        Vector256<uint>>();

    public static BlockKernels PortableKernels { get; } = new BlockKernels<BlockVectors128, Vector128<double>,
        Vector128<uint>>();

    /// <summary>The widest that this machine runs.</summary>
    public static BlockKernels Best { get; } =
        Vector512Kernels.IsSupported ? Vector512Kernels : Vector256Kernels.IsSupported ? Vector256Kernels
        : PortableKernels;

    public abstract bool IsSupported { get; }

    /// <summary>Whether products may have more bits than a double: without a fused instruction, they are
    /// rounded.</summary>
    public abstract bool TakesLongProducts { get; }

    /// <summary>The largest and the smallest non-zero magnitude, as bits shifted left by one; 0 and 0 where all are
    /// zero.</summary>
    public abstract void Scan(float** sources, int sourceCount, int count, out uint largest, out uint smallest);

    /// <summary>Adds weight times source to a block for each of some sources.</summary>
    /// <param name="coarse">The block's coarse sums.</param>
    /// <param name="fine">The block's fine sums, or null.</param>
    /// <param name="bias">The bias of the coarse sums.</param>
    /// <param name="fresh">Whether the sums are to be written, not added to.</param>
    /// <param name="sources">What to add.</param>
    /// <param name="weights">A weight for each.</param>
    /// <param name="sourceCount">Number of sources.</param>
    /// <param name="count">Number of elements.</param>
    public abstract void Fold(
        double* coarse, double* fine, double bias, bool fresh, float** sources, double* weights, int sourceCount,
        int count);

    /// <inheritdoc cref="Fold(double*, double*, double, bool, float**, double*, int, int)"/>
    public abstract void Fold(
        double* coarse, double* fine, double bias, bool fresh, double** sources, double* weights, int sourceCount,
        int count);

    /// <summary>
    /// Adds weight times source to a block of one double an element, and scans the sources, in one pass: whether no bit
    /// was lost is known afterwards, so the sums are written beside the old ones.
    /// </summary>
    /// <param name="sums">The block's sums; null where there are none yet.</param>
    /// <param name="to">Takes the new sums.</param>
    /// <param name="sources">What to add.</param>
    /// <param name="weights">A weight for each.</param>
    /// <param name="sourceCount">Number of sources.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="largest">As <see cref="Scan"/> says.</param>
    /// <param name="smallest">As <see cref="Scan"/> says.</param>
    public abstract void FoldAndScan(
        double* sums, double* to, float** sources, double* weights, int sourceCount, int count, out uint largest,
        out uint smallest);

    /// <summary>Moves a block's sums, which may have no fine part yet, to two doubles an element and another
    /// grid.</summary>
    public abstract void Regrid(double* coarse, double* fine, bool hasFine, double bias, double newBias, int count);

    /// <summary>Divides a block's sums and rounds once, to floats.</summary>
    /// <param name="coarse">The block's coarse sums.</param>
    /// <param name="fine">The block's fine sums, or null.</param>
    /// <param name="bias">The bias of the coarse sums.</param>
    /// <param name="quotient">The divisor.</param>
    /// <param name="destination">Takes the floats; aligned to 64 bytes.</param>
    /// <param name="pastCache">Whether the destination is too large for the caches to hold.</param>
    /// <param name="count">Number of elements.</param>
    public abstract void Finish(
        double* coarse, double* fine, double bias, in Quotient quotient, float* destination, bool pastCache, int count);

    /// <summary>Divides a block's sums, to doubles: rounded to nearest, or to odd for one more rounding to a shorter
    /// type.</summary>
    public abstract void Finish(
        double* coarse, double* fine, double bias, in Quotient quotient, double* destination, bool toOdd, int count);
}

/// <inheritdoc/>
internal sealed unsafe partial class BlockKernels<TVectors, TDoubles, TBits> : BlockKernels
    where TVectors : struct, IBlockVectors<TDoubles, TBits>
{
    // Two vectors of doubles at a time: as many elements as one vector of floats has.
    private static int Stride => 2 * TVectors.Width;

    public override bool IsSupported => TVectors.IsSupported;

    public override bool TakesLongProducts => TVectors.Fuses;

    public override void Fold(
        double* coarse, double* fine, double bias, bool fresh, float** sources, double* weights, int sourceCount,
        int count)
    {
        if (fine is null) FoldOne(coarse, fresh, sources, weights, sourceCount, count);
        else FoldTwo(coarse, fine, bias, fresh, sources, weights, sourceCount, count);
    }

    public override void Fold(
        double* coarse, double* fine, double bias, bool fresh, double** sources, double* weights, int sourceCount,
        int count)
    {
        if (fine is null) FoldOne(coarse, fresh, sources, weights, sourceCount, count);
        else FoldTwo(coarse, fine, bias, fresh, sources, weights, sourceCount, count);
    }

    // Four vectors at a time: with so few operations, the turns of the loop over the sources would cost as much.
    private static void FoldOne<T>(double* sums, bool fresh, T** sources, double* weights, int sourceCount, int count)
        where T : unmanaged
    {
        var i = 0;
        for (; i <= count - 2 * Stride; i += 2 * Stride)
        {
            TDoubles sum0, sum1, sum2, sum3;
            if (fresh)
            {
                sum0 = sum1 = sum2 = sum3 = TVectors.Create(0);
            }
            else
            {
                LoadSums(sums + i, out sum0, out sum1);
                LoadSums(sums + i + Stride, out sum2, out sum3);
            }
            for (var k = 0; k < sourceCount; k++)
            {
                var source = sources[k] + i;
                var weight = TVectors.Create(weights[k]);
                if (typeof(T) == typeof(float))
                {
                    ReadAhead(source + BlockLength);
                    if (TVectors.Width == 8) ReadAhead(source + BlockLength + Stride);
                }
                Load(source, out var x0, out var x1);
                Load(source + Stride, out var x2, out var x3);
                sum0 = TVectors.MultiplyAdd(x0, weight, sum0);
                sum1 = TVectors.MultiplyAdd(x1, weight, sum1);
                sum2 = TVectors.MultiplyAdd(x2, weight, sum2);
                sum3 = TVectors.MultiplyAdd(x3, weight, sum3);
            }
            Store(sum0, sum1, sums + i);
            Store(sum2, sum3, sums + i + Stride);
        }
        for (; i < count; i += Stride)
        {
            TDoubles sum0, sum1;
            if (fresh) sum0 = sum1 = TVectors.Create(0);
            else LoadSums(sums + i, out sum0, out sum1);
            for (var k = 0; k < sourceCount; k++)
            {
                var weight = TVectors.Create(weights[k]);
                Load(sources[k] + i, out var x0, out var x1);
                sum0 = TVectors.MultiplyAdd(x0, weight, sum0);
                sum1 = TVectors.MultiplyAdd(x1, weight, sum1);
            }
            Store(sum0, sum1, sums + i);
        }
    }

    private static void FoldTwo<T>(
        double* coarse, double* fine, double bias, bool fresh, T** sources, double* weights, int sourceCount, int count)
        where T : unmanaged
    {
        for (var i = 0; i < count; i += Stride)
        {
            TDoubles coarse0, coarse1, fine0, fine1;
            if (fresh)
            {
                coarse0 = coarse1 = TVectors.Create(bias);
                fine0 = fine1 = TVectors.Create(0);
            }
            else
            {
                LoadSums(coarse + i, out coarse0, out coarse1);
                LoadSums(fine + i, out fine0, out fine1);
            }
            for (var k = 0; k < sourceCount; k++)
            {
                var weight = TVectors.Create(weights[k]);
                if (typeof(T) == typeof(float) && (TVectors.Width == 8 || i % 16 == 0))
                    ReadAhead(sources[k] + i + BlockLength);
                Load(sources[k] + i, out var x0, out var x1);
                var sum0 = TVectors.MultiplyAdd(x0, weight, coarse0);
                var sum1 = TVectors.MultiplyAdd(x1, weight, coarse1);
                fine0 = TVectors.Add(fine0, TVectors.MultiplyAdd(x0, weight, TVectors.Subtract(coarse0, sum0)));
                fine1 = TVectors.Add(fine1, TVectors.MultiplyAdd(x1, weight, TVectors.Subtract(coarse1, sum1)));
                (coarse0, coarse1) = (sum0, sum1);
            }
            Store(coarse0, coarse1, coarse + i);
            Store(fine0, fine1, fine + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<T>(T* source, out TDoubles x0, out TDoubles x1) where T : unmanaged
    {
        if (typeof(T) == typeof(float))
        {
            x0 = TVectors.Widen((float*)source);
            x1 = TVectors.Widen((float*)source + TVectors.Width);
        }
        else
        {
            x0 = TVectors.Load((double*)source);
            x1 = TVectors.Load((double*)source + TVectors.Width);
        }
    }

    // Into the second-level cache; the first holds the block that is being worked on. Reading ahead never faults.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ReadAhead(void* address)
    {
        if (Sse.IsSupported) Sse.Prefetch1(address);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LoadSums(double* sums, out TDoubles sum0, out TDoubles sum1)
    {
        // The next block's sums of the same kind lie behind this one's.
        ReadAhead(sums + BlockLength);
        ReadAhead(sums + BlockLength + TVectors.Width);
        sum0 = TVectors.Load(sums);
        sum1 = TVectors.Load(sums + TVectors.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(TDoubles sum0, TDoubles sum1, double* sums)
    {
        TVectors.Store(sum0, sums);
        TVectors.Store(sum1, sums + TVectors.Width);
    }

    public override void Regrid(double* coarse, double* fine, bool hasFine, double bias, double newBias, int count)
    {
        var oldBias = TVectors.Create(bias);
        var shifted = TVectors.Create(newBias);
        for (var i = 0; i < count; i += TVectors.Width)
        {
            var rest = TVectors.Create(0);
            var sum = TVectors.Subtract(TVectors.Load(coarse + i), oldBias);
            if (hasFine) sum = Sum(sum, TVectors.Load(fine + i), out rest);
            var rounded = TVectors.Add(shifted, sum);
            TVectors.Store(rounded, coarse + i);
            TVectors.Store(TVectors.Add(TVectors.Subtract(sum, TVectors.Subtract(rounded, shifted)), rest), fine + i);
        }
    }

    public override void Finish(
        double* coarse, double* fine, double bias, in Quotient quotient, float* destination, bool pastCache, int count)
    {
        var divider = new Divider(bias, quotient);
        for (var i = 0; i < count; i += Stride)
        {
            var quotient0 = divider.Divide(coarse, fine, i, out var rest0);
            var quotient1 = divider.Divide(coarse, fine, i + TVectors.Width, out var rest1);
            quotient0 = TVectors.RoundToOdd(quotient0, rest0);
            quotient1 = TVectors.RoundToOdd(quotient1, rest1);
            if (pastCache) TVectors.NarrowPastCache(quotient0, quotient1, destination + i);
            else TVectors.Narrow(quotient0, quotient1, destination + i);
        }
    }

    public override void Finish(
        double* coarse, double* fine, double bias, in Quotient quotient, double* destination, bool toOdd, int count)
    {
        var divider = new Divider(bias, quotient);
        for (var i = 0; i < count; i += TVectors.Width)
        {
            var result = divider.Divide(coarse, fine, i, out var rest);
            TVectors.Store(toOdd ? TVectors.RoundToOdd(result, rest) : result, destination + i);
        }
    }

    /// <summary>
    /// Coarse plus fine, without error: the nearest double and the rest. The coarse is a multiple of the fine's ulp,
    /// which is enough for Dekker's three operations (Rump, Ogita and Oishi, Accurate Floating-Point Summation, part I,
    /// 2008).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TDoubles Sum(TDoubles coarse, TDoubles fine, out TDoubles rest)
    {
        var sum = TVectors.Add(coarse, fine);
        rest = TVectors.Subtract(fine, TVectors.Subtract(sum, coarse));
        return sum;
    }

    /// <summary><see cref="Quotient.Divide"/> on vectors: the same operations, less those that would add
    /// zeros.</summary>
    private readonly struct Divider(double bias, in Quotient quotient)
    {
        private readonly bool _divisorHasRest = quotient.DivisorRest != 0;
        private readonly TDoubles _bias = TVectors.Create(bias);
        private readonly TDoubles _minusDivisor = TVectors.Create(-quotient.Divisor);
        private readonly TDoubles _minusDivisorRest = TVectors.Create(-quotient.DivisorRest);
        private readonly TDoubles _inverse = TVectors.Create(quotient.Inverse);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TDoubles Divide(double* coarse, double* fine, int i, out TDoubles rest)
        {
            var dividend = TVectors.Load(coarse + i);
            var dividendRest = TVectors.Create(0);
            if (fine is not null)
                dividend = Sum(TVectors.Subtract(dividend, _bias), TVectors.Load(fine + i), out dividendRest);
            var hasRest = fine is not null || _divisorHasRest;
            var first = TVectors.Multiply(dividend, _inverse);
            var result = TVectors.FusedMultiplyAdd(Left(first, dividend, dividendRest, hasRest), _inverse, first);
            rest = Left(result, dividend, dividendRest, hasRest);
            return result;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private TDoubles Left(TDoubles result, TDoubles dividend, TDoubles dividendRest, bool hasRest)
        {
            var left = TVectors.FusedMultiplyAdd(result, _minusDivisor, dividend);
            if (!hasRest) return left;
            if (_divisorHasRest) dividendRest = TVectors.FusedMultiplyAdd(result, _minusDivisorRest, dividendRest);
            return TVectors.Add(left, dividendRest);
        }
    }
}

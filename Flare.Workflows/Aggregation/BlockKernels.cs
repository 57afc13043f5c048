using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flare.Workflows;

/// <summary>
/// The inner loops over one block. A block's exact sum is held in two doubles an element. The coarse one carries a bias of
/// 1.5·2^52·g, so that adding to it rounds to multiples of its grid g; what that rounding leaves, exact, goes to the fine one. As long
/// as the <see cref="BlockWindow"/> holds, no bit is ever lost, so the order of additions cannot matter.
/// Counts are multiples of <see cref="Step"/>: tensors are padded with zeros to whole cache lines.
/// </summary>
internal abstract unsafe class BlockKernels
{
    /// <summary>Elements of a block: its sums and eight inputs stay in the first-level cache.</summary>
    public const int BlockLength = 512;

    /// <summary>Counts are multiples of this.</summary>
    public const int Step = 16;

    public static BlockKernels Vector512Kernels { get; } = new BlockKernels<Lanes512, Vector512<double>, Vector512<uint>>();

    public static BlockKernels Vector256Kernels { get; } = new BlockKernels<Lanes256, Vector256<double>, Vector256<uint>>();

    public static BlockKernels PortableKernels { get; } = new BlockKernels<Lanes128, Vector128<double>, Vector128<uint>>();

    /// <summary>The widest that this machine runs.</summary>
    public static BlockKernels Best { get; } =
        Vector512Kernels.IsSupported ? Vector512Kernels : Vector256Kernels.IsSupported ? Vector256Kernels : PortableKernels;

    public abstract bool IsSupported { get; }

    /// <summary>The largest and the smallest non-zero magnitude, as bits shifted left by one; 0 and 0 where all are zero.</summary>
    public abstract void Scan(float** sources, int sourceCount, int count, out uint largest, out uint smallest);

    /// <summary>Adds weight times source to a block for each of some sources. Every product must be a double.</summary>
    public abstract void Fold(double* coarse, double* fine, double bias, bool fresh, float** sources, double* weights, int sourceCount, int count);

    /// <inheritdoc cref="Fold(double*, double*, double, bool, float**, double*, int, int)"/>
    public abstract void Fold(double* coarse, double* fine, double bias, bool fresh, double** sources, double* weights, int sourceCount, int count);

    /// <summary>Moves a block's sums to another grid.</summary>
    public abstract void Regrid(double* coarse, double* fine, double bias, double newBias, int count);

    /// <summary>Divides a block's sums and rounds once, to floats.</summary>
    /// <param name="coarse">The block's coarse sums.</param>
    /// <param name="fine">The block's fine sums.</param>
    /// <param name="bias">The bias of the coarse sums.</param>
    /// <param name="quotient">The divisor.</param>
    /// <param name="destination">Takes the floats; aligned to 64 bytes.</param>
    /// <param name="pastCache">Whether the destination is too large for the caches to hold.</param>
    /// <param name="count">Number of elements.</param>
    public abstract void Finish(double* coarse, double* fine, double bias, in Quotient quotient, float* destination, bool pastCache, int count);

    /// <summary>Divides a block's sums, to doubles: rounded to nearest, or to odd for one more rounding to a shorter type.</summary>
    public abstract void Finish(double* coarse, double* fine, double bias, in Quotient quotient, double* destination, bool toOdd, int count);
}

/// <inheritdoc/>
internal sealed unsafe class BlockKernels<TLanes, TDoubles, TBits> : BlockKernels
    where TLanes : struct, ILanes<TDoubles, TBits>
{
    public override bool IsSupported => TLanes.IsSupported;

    [SkipLocalsInit]
    public override void Scan(float** sources, int sourceCount, int count, out uint largest, out uint smallest)
    {
        var max = TLanes.Bits(0);
        // One less than each magnitude: zero becomes the largest of all and never is the smallest.
        var min = TLanes.Bits(uint.MaxValue);
        for (var k = 0; k < sourceCount; k++)
        {
            var x = sources[k];
            for (var i = 0; i < count; i += 2 * TLanes.Width)
            {
                var magnitudes = TLanes.Magnitudes(x + i);
                max = TLanes.Max(max, magnitudes);
                min = TLanes.Min(min, TLanes.Decrement(magnitudes));
            }
        }
        (largest, var least) = (0u, uint.MaxValue);
        for (var lane = 0; lane < 2 * TLanes.Width; lane++)
        {
            largest = Math.Max(largest, TLanes.Lane(max, lane));
            least = Math.Min(least, TLanes.Lane(min, lane));
        }
        smallest = least + 1;
    }

    public override void Fold(double* coarse, double* fine, double bias, bool fresh, float** sources, double* weights, int sourceCount, int count) =>
        Fold<float>(coarse, fine, bias, fresh, sources, weights, sourceCount, count);

    public override void Fold(double* coarse, double* fine, double bias, bool fresh, double** sources, double* weights, int sourceCount, int count) =>
        Fold<double>(coarse, fine, bias, fresh, sources, weights, sourceCount, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fold<T>(double* coarse, double* fine, double bias, bool fresh, T** sources, double* weights, int sourceCount, int count)
        where T : unmanaged
    {
        for (var i = 0; i < count; i += 2 * TLanes.Width)
        {
            TDoubles coarse0, coarse1, fine0, fine1;
            if (fresh)
            {
                coarse0 = coarse1 = TLanes.Create(bias);
                fine0 = fine1 = TLanes.Create(0);
            }
            else
            {
                (coarse0, coarse1) = (TLanes.Load(coarse + i), TLanes.Load(coarse + i + TLanes.Width));
                (fine0, fine1) = (TLanes.Load(fine + i), TLanes.Load(fine + i + TLanes.Width));
            }
            for (var k = 0; k < sourceCount; k++)
            {
                var x = sources[k] + i;
                var weight = TLanes.Create(weights[k]);
                // The same place of the next block, while this one is being worked on; reading ahead never faults.
                if (typeof(T) == typeof(float) && Sse.IsSupported) Sse.Prefetch0(x + BlockLength);
                var x0 = typeof(T) == typeof(float) ? TLanes.Widen((float*)x) : TLanes.Load((double*)x);
                var x1 = typeof(T) == typeof(float) ? TLanes.Widen((float*)x + TLanes.Width) : TLanes.Load((double*)x + TLanes.Width);
                var sum0 = TLanes.AddExactProduct(x0, weight, coarse0);
                var sum1 = TLanes.AddExactProduct(x1, weight, coarse1);
                fine0 = TLanes.Add(fine0, TLanes.AddExactProduct(x0, weight, TLanes.Subtract(coarse0, sum0)));
                fine1 = TLanes.Add(fine1, TLanes.AddExactProduct(x1, weight, TLanes.Subtract(coarse1, sum1)));
                (coarse0, coarse1) = (sum0, sum1);
            }
            TLanes.Store(coarse0, coarse + i);
            TLanes.Store(coarse1, coarse + i + TLanes.Width);
            TLanes.Store(fine0, fine + i);
            TLanes.Store(fine1, fine + i + TLanes.Width);
        }
    }

    public override void Regrid(double* coarse, double* fine, double bias, double newBias, int count)
    {
        var oldBias = TLanes.Create(bias);
        var shifted = TLanes.Create(newBias);
        for (var i = 0; i < count; i += TLanes.Width)
        {
            var sum = Sum(TLanes.Subtract(TLanes.Load(coarse + i), oldBias), TLanes.Load(fine + i), out var rest);
            var rounded = TLanes.Add(shifted, sum);
            TLanes.Store(rounded, coarse + i);
            TLanes.Store(TLanes.Add(TLanes.Subtract(sum, TLanes.Subtract(rounded, shifted)), rest), fine + i);
        }
    }

    public override void Finish(double* coarse, double* fine, double bias, in Quotient quotient, float* destination, bool pastCache, int count)
    {
        var divider = new Divider(bias, quotient);
        for (var i = 0; i < count; i += 2 * TLanes.Width)
        {
            var quotient0 = divider.Divide(coarse + i, fine + i, out var rest0);
            var quotient1 = divider.Divide(coarse + i + TLanes.Width, fine + i + TLanes.Width, out var rest1);
            quotient0 = TLanes.RoundToOdd(quotient0, rest0);
            quotient1 = TLanes.RoundToOdd(quotient1, rest1);
            if (pastCache) TLanes.NarrowPastCache(quotient0, quotient1, destination + i);
            else TLanes.Narrow(quotient0, quotient1, destination + i);
        }
    }

    public override void Finish(double* coarse, double* fine, double bias, in Quotient quotient, double* destination, bool toOdd, int count)
    {
        var divider = new Divider(bias, quotient);
        for (var i = 0; i < count; i += TLanes.Width)
        {
            var result = divider.Divide(coarse + i, fine + i, out var rest);
            TLanes.Store(toOdd ? TLanes.RoundToOdd(result, rest) : result, destination + i);
        }
    }

    /// <summary>a + b without error, as the nearest double and the rest (Knuth).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TDoubles Sum(TDoubles a, TDoubles b, out TDoubles rest)
    {
        var sum = TLanes.Add(a, b);
        var partOfB = TLanes.Subtract(sum, a);
        rest = TLanes.Add(TLanes.Subtract(a, TLanes.Subtract(sum, partOfB)), TLanes.Subtract(b, partOfB));
        return sum;
    }

    /// <summary><see cref="Quotient.Divide"/> on vectors, the same operations in the same order.</summary>
    private readonly struct Divider(double bias, in Quotient quotient)
    {
        private readonly TDoubles _bias = TLanes.Create(bias);
        private readonly TDoubles _minusDivisor = TLanes.Create(-quotient.Divisor);
        private readonly TDoubles _minusDivisorRest = TLanes.Create(-quotient.DivisorRest);
        private readonly TDoubles _inverse = TLanes.Create(quotient.Inverse);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TDoubles Divide(double* coarse, double* fine, out TDoubles rest)
        {
            var dividend = Sum(TLanes.Subtract(TLanes.Load(coarse), _bias), TLanes.Load(fine), out var dividendRest);
            var first = TLanes.Multiply(dividend, _inverse);
            var left = TLanes.Add(TLanes.FusedMultiplyAdd(first, _minusDivisor, dividend), TLanes.FusedMultiplyAdd(first, _minusDivisorRest, dividendRest));
            var result = TLanes.FusedMultiplyAdd(left, _inverse, first);
            rest = TLanes.Add(TLanes.FusedMultiplyAdd(result, _minusDivisor, dividend), TLanes.FusedMultiplyAdd(result, _minusDivisorRest, dividendRest));
            return result;
        }
    }
}

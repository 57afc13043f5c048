using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

/// <summary>Four coefficients at a time, step by step as the plain path, whose bits these are.</summary>
internal sealed partial class RlweCodec
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int EncodeVectors(
        ReadOnlySpan<int> integers, ReadOnlySpan<long> noise, ReadOnlySpan<ulong> first, ReadOnlySpan<ulong> last,
        Span<ulong> low, Span<ulong> high)
    {
        var (n, pair, p, slot, dropped) = (low.Length, Pair, _perCoefficient, _slot, _dropped);
        ref var values = ref MemoryMarshal.GetReference(integers);
        ref var noises = ref MemoryMarshal.GetReference(noise);
        ref var firsts = ref MemoryMarshal.GetReference(first);
        ref var lasts = ref MemoryMarshal.GetReference(last);
        var (lowerLift, upperLift) = (
            new Lifting(_shift, pair * slot), new Lifting(_shift + (pair * slot), pair * slot));
        var slots = Vector256.Create((ulong)slot);
        var (below, between, above) = (
            Vector256.Create((ulong)dropped),
            Vector256.Create((ulong)(Wide.Bits - dropped)),
            Vector256.Create((ulong)(64 - Wide.Bits + dropped)));
        var (firstCofactor, lastCofactor) = (new Factor(_firstCofactor), new Factor(_lastCofactor));
        var q = Wide.Create(_qLow, _qHigh);
        var rounding = Vector256.Create((1L << dropped) >> 1);
        var i = 0;
        for (; i <= n - 4; i += 4)
        {
            var lower = Signed(ref values, i);
            var upper = p > pair ? Signed(ref values, (pair * n) + i) : default;
            if (pair == 2)
            {
                lower += Avx2.ShiftLeftLogicalVariable(Signed(ref values, n + i), slots);
                if (p > 3)
                    upper += Avx2.ShiftLeftLogicalVariable(Signed(ref values, (3 * n) + i), slots);
            }

            var x = Compose(
                Vector256.LoadUnsafe(ref firsts, (nuint)i),
                firstCofactor,
                Vector256.LoadUnsafe(ref lasts, (nuint)i),
                lastCofactor)
                + lowerLift.Apply(lower) + upperLift.Apply(upper);
            x = new Wide(x.Low + Vector256.LoadUnsafe(ref noises, (nuint)i), x.High).Carried();

            x = (x - (q + q).AndNot((x - q).Carried().Negative)).Carried();
            x += q & x.Negative;
            x = new Wide(x.Low + rounding, x.High).Carried();
            var lows = Avx2.ShiftRightLogicalVariable(x.Low, below) | Avx2.ShiftLeftLogicalVariable(x.High, between);
            lows.AsUInt64().StoreUnsafe(ref low[i]);
            Avx2.ShiftRightLogicalVariable(x.High, above).AsUInt64().StoreUnsafe(ref high[i]);
        }

        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int DecodeVectors(
        ReadOnlySpan<ulong> low,
        ReadOnlySpan<ulong> high,
        ReadOnlySpan<ulong> first,
        ReadOnlySpan<ulong> last,
        Span<long> sums)
    {
        var (n, slot, dropped, shift) = (low.Length, _slot, _dropped, _shift);
        ref var lows = ref MemoryMarshal.GetReference(low);
        ref var highs = ref MemoryMarshal.GetReference(high);
        ref var firsts = ref MemoryMarshal.GetReference(first);
        ref var lasts = ref MemoryMarshal.GetReference(last);
        var (firstCofactor, lastCofactor) = (new Factor(_firstCofactor), new Factor(_lastCofactor));
        var (q, half) = (Wide.Create(_qLow, _qHigh), Wide.Create(_halfLow, _halfHigh));
        var (qLow, qHigh) = (new Factor((ulong)q.Low[0]), new Factor((ulong)q.High[0]));
        var twice = q + q;
        var step = Vector256.Create((long)((1ul << shift) >> 1));
        var (perHigh, perLow) = (Vector256.Create(Math.ScaleB(_perHigh, Wide.Bits - 64)), Vector256.Create(_perLow));
        var i = 0;

        // The last of the p values of a coefficient may be missing, of its last ones.
        for (var end = Math.Min(n, sums.Length - ((_perCoefficient - 1) * n)); i <= end - 4; i += 4)
        {
            var (l, h) = (Vector256.LoadUnsafe(ref lows, (nuint)i), Vector256.LoadUnsafe(ref highs, (nuint)i));
            var x = new Wide(
                (l << dropped).AsInt64() & Wide.Mask,
                ((h << (64 - Wide.Bits + dropped)) | (l >>> (Wide.Bits - dropped))).AsInt64());

            // From above -2q to above zero: the quotient is a plain small number.
            x = (
                x + twice - Compose(
                    Vector256.LoadUnsafe(ref firsts, (nuint)i),
                    firstCofactor,
                    Vector256.LoadUnsafe(ref lasts, (nuint)i),
                    lastCofactor)).Carried();
            var estimate = Vector256.Round(
                (Vector256.ConvertToDouble(x.High) * perHigh) + (Vector256.ConvertToDouble(x.Low) * perLow));
            var quotient = Vector256.ConvertToInt64Native(estimate).AsUInt64();
            var upper = qHigh.Times(quotient);
            x = (x - qLow.Times(quotient) - new Wide(default, upper.Low + (upper.High << Wide.Bits))).Carried();
            x -= q & (half - x).Carried().Negative;
            x += q & (x + half).Carried().Negative;

            x = new Wide(x.Low + step, x.High).Carried().Halved(shift);
            for (var at = i; at < sums.Length; at += n)
            {
                var digit = x.Low << (64 - slot) >> (64 - slot);
                digit.StoreUnsafe(ref sums[at]);
                x = new Wide(x.Low - digit, x.High).Carried().Halved(slot);
            }
        }

        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Wide Compose(
        Vector256<ulong> first, Factor firstCofactor, Vector256<ulong> last, Factor lastCofactor)
        => firstCofactor.Times(first) + lastCofactor.Times(last);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> Signed(ref int values, int at)
        => Avx2.ConvertToVector256Int64(Vector128.LoadUnsafe(ref values, (nuint)at));

    /// <summary>
    /// Four numbers High · 2^56 + Low, below 2^118 in magnitude. Sums are word by word: the spare bits take what would
    /// be carried, and where the words themselves are looked at, <see cref="Carried"/> first brings Low into [0, 2^56).
    /// </summary>
    private readonly struct Wide(Vector256<long> low, Vector256<long> high)
    {
        public const int Bits = 56;

        public readonly Vector256<long> Low = low, High = high;

        public static Vector256<long> Mask => Vector256.Create((1L << Bits) - 1);

        /// <summary>All ones where the number is negative; of carried ones.</summary>
        public Vector256<long> Negative
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => Vector256.LessThan(High, Vector256<long>.Zero);
        }

        public static Wide Create(ulong low, ulong high)
            => new(Vector256.Create((long)low) & Mask, Vector256.Create((long)((high << (64 - Bits)) | (low >> Bits))));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Wide operator +(Wide a, Wide b) => new(a.Low + b.Low, a.High + b.High);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Wide operator -(Wide a, Wide b) => new(a.Low - b.Low, a.High - b.High);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Wide operator &(Wide a, Vector256<long> mask) => new(a.Low & mask, a.High & mask);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Wide AndNot(Vector256<long> mask) => new(Vector256.AndNot(Low, mask), Vector256.AndNot(High, mask));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Wide Carried() => new(Low & Mask, High + (Low >> Bits));

        /// <summary>floor(x / 2^bits) for a carried x and 0 &lt; bits &lt; 64.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Wide Halved(int bits)
            => new(
                (bits < Bits ? (Low >>> bits) | (High << (Bits - bits)) : High >> (bits - Bits)) & Mask, High >> bits);
    }

    /// <summary>
    /// x · 2^bits for signed words of some width and 0 &lt; bits &lt; 120. Shifts of vectors by vectors cost a third of
    /// those by a number, but there is none that keeps signs: it is left to the carry where the product fits a word.
    /// </summary>
    private readonly struct Lifting(int bits, int width)
    {
        private readonly int _bits = bits;
        private readonly bool _fits = bits + width < 62;
        private readonly Vector256<ulong> _count = Vector256.Create(
            (ulong)(bits < Wide.Bits || bits + width < 62 ? bits : bits - Wide.Bits));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Wide Apply(Vector256<long> x)
        {
            var lifted = Avx2.ShiftLeftLogicalVariable(x, _count);
            return _fits ? new(lifted, default)
                : _bits < Wide.Bits ? new(lifted & Wide.Mask, x >> (Wide.Bits - _bits))
                : new(default, lifted);
        }
    }

    /// <summary>A fixed factor below 2^56, in two halves.</summary>
    private readonly struct Factor(ulong value)
    {
        private const int Half = Wide.Bits / 2;

        private readonly Vector256<uint> _low = Vector256.Create(value & ((1ul << Half) - 1)).AsUInt32();
        private readonly Vector256<uint> _high = Vector256.Create(value >> Half).AsUInt32();

        /// <summary>The product with numbers below 2^56.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Wide Times(Vector256<ulong> x)
        {
            var half = Vector256.Create((1ul << Half) - 1);
            var (low, high) = ((x & half).AsUInt32(), (x >>> Half).AsUInt32());
            var middle = Avx2.Multiply(low, _high) + Avx2.Multiply(high, _low);
            return new(
                (Avx2.Multiply(low, _low) + ((middle & half) << Half)).AsInt64(),
                (Avx2.Multiply(high, _high) + (middle >>> Half)).AsInt64());
        }
    }
}

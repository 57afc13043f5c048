using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

/// <summary>
/// Between integers and coefficients: values in slots of <see cref="RlweParameters.SlotBits"/> bits, lifted by Δ above
/// the noise, under random parts modulo q. Coefficient j of n holds the values j, j + n, j + 2n … of its chunk.
/// </summary>
/// <remarks>
/// <para>
/// A random part comes as one digit for each prime: it is first · (q / first prime) + last · (q / last prime) modulo q,
/// so composing it takes two products and leaves less than 2q (the Chinese remainder theorem, whose inverses
/// <see cref="RlweKey"/> has multiplied into the secret). With one prime it is the first digit itself.
/// </para>
/// <para>
/// Numbers of up to 127 bits are kept as two words by hand: the platform's Int128 takes three times as long here.
/// Corrections are masks, not branches: time tells nothing of noise or message.
/// </para>
/// </remarks>
internal sealed partial class RlweCodec
{
    private readonly ulong _firstCofactor, _lastCofactor;
    private readonly ulong _qLow, _qHigh, _halfLow, _halfHigh; // q and floor(q/2)
    private readonly double _perHigh, _perLow; // 2^64/q and 1/q
    private readonly int _slot, _perCoefficient, _shift, _dropped;
    private readonly bool _vectors;

    public RlweCodec(RlweParameters parameters, KernelPath path = KernelPath.Best)
    {
        _vectors = path != KernelPath.Portable && Avx2.IsSupported;
        (_firstCofactor, _lastCofactor) = (
            parameters.Cofactor(0), parameters.Moduli.Length > 1 ? parameters.Cofactor(1) : 0);
        var (q, half) = (parameters.Modulus, parameters.Modulus >> 1);
        (_qHigh, _qLow, _halfHigh, _halfLow) = ((ulong)(q >> 64), (ulong)q, (ulong)(half >> 64), (ulong)half);
        (_perHigh, _perLow) = (Math.ScaleB(1, 64) / (double)q, 1 / (double)q);
        (_slot, _perCoefficient) = (parameters.SlotBits, parameters.ValuesPerCoefficient);
        (_shift, _dropped) = (parameters.MessageShift, parameters.DroppedBits);
    }

    // Two slots at a time fit a word: with more than two of them they have at most 31 bits.
    private int Pair => _perCoefficient > 2 ? 2 : 1;

    /// <summary>
    /// Coefficients as they are sent: (random part + Δm + noise) mod q, rounded to leave out their lowest bits.
    /// </summary>
    /// <param name="integers">The values, p for each coefficient.</param>
    /// <param name="noise">The noise of each coefficient.</param>
    /// <param name="first">The random part's digits for the first prime.</param>
    /// <param name="last">Its digits for the last prime, which may be the first.</param>
    /// <param name="low">The coefficients' lower words.</param>
    /// <param name="high">Their upper words.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Encode(
        ReadOnlySpan<int> integers, ReadOnlySpan<long> noise, ReadOnlySpan<ulong> first, ReadOnlySpan<ulong> last,
        Span<ulong> low, Span<ulong> high)
    {
        var (n, pair, p) = (low.Length, Pair, _perCoefficient);
        var rounding = (1ul << _dropped) >> 1;
        for (var i = _vectors ? EncodeVectors(integers, noise, first, last, low, high) : 0; i < n; i++)
        {
            long lower = integers[i], upper = p > pair ? integers[(pair * n) + i] : 0;
            if (pair == 2)
            {
                lower += (long)integers[n + i] << _slot;
                upper += p > 3 ? (long)integers[(3 * n) + i] << _slot : 0;
            }

            // Message and noise lie in (-q/2, q/2), so with the random part in (-q/2, 5q/2).
            var x = Sum(Lift(lower, _shift), Lift(upper, _shift + (pair * _slot)));
            x = Sum(x, ((ulong)noise[i], (ulong)(noise[i] >> 63)));
            x = Sum(x, Compose(first[i], last[i]));

            // In (-q, q): less 2q if it is q or more. Then in [0, q).
            var above = ~Negative(Difference(x, (_qLow, _qHigh)));
            x = Difference(x, ((_qLow << 1) & above, ((_qHigh << 1) | (_qLow >> 63)) & above));
            x = Sum(x, Masked(Negative(x)));
            x = Sum(x, (rounding, 0));
            low[i] = (x.Low >> _dropped) | (x.High << 1 << (63 - _dropped));
            high[i] = x.High >> _dropped;
        }
    }

    /// <summary>The slots' sums in summed coefficients.</summary>
    /// <param name="low">The coefficients' lower words, as they are sent.</param>
    /// <param name="high">Their upper words.</param>
    /// <param name="first">The random part's digits for the first prime.</param>
    /// <param name="last">Its digits for the last prime, which may be the first.</param>
    /// <param name="sums">Room for the values' sums: p for each coefficient, or up to p - 1 fewer.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Decode(
        ReadOnlySpan<ulong> low,
        ReadOnlySpan<ulong> high,
        ReadOnlySpan<ulong> first,
        ReadOnlySpan<ulong> last,
        Span<long> sums)
    {
        var n = low.Length;
        var half = (1ul << _shift) >> 1;
        for (var i = _vectors ? DecodeVectors(low, high, first, last, sums) : 0; i < n; i++)
        {
            var x = (low[i] << _dropped, (high[i] << _dropped) | (low[i] >> 1 >> (63 - _dropped)));
            x = Difference(x, Compose(first[i], last[i]));
            x = Centre(x);

            // The nearest multiple of Δ, then balanced digits: the lowest slot with its sign, whose borrow the rest
            // gives back.
            x = Halved(Sum(x, (half, 0)), _shift);
            for (var at = i; at < sums.Length; at += n)
            {
                var digit = (long)x.Item1 << (64 - _slot) >> (64 - _slot);
                sums[at] = digit;
                x = Halved(Difference(x, ((ulong)digit, (ulong)(digit >> 63))), _slot);
            }
        }
    }

    /// <summary>The representative modulo q in (-q/2, q/2) of a number above -2q.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private (ulong Low, ulong High) Centre((ulong Low, ulong High) x)
    {
        // An estimate of the quotient, and at most one step after it.
        var quotient = (ulong)(long)Math.Round(((long)x.High * _perHigh) + (x.Low * _perLow));
        var multipleHigh = Modulus.HighProduct(quotient, _qLow) + (quotient * _qHigh)
            - (_qLow & (ulong)((long)quotient >> 63));
        x = Difference(x, (quotient * _qLow, multipleHigh));
        x = Difference(x, Masked(Negative(Difference((_halfLow, _halfHigh), x))));
        return Sum(x, Masked(Negative(Sum(x, (_halfLow, _halfHigh)))));
    }

    /// <summary>The random part, below 2q.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private (ulong Low, ulong High) Compose(ulong first, ulong last)
        => Sum(
            (first * _firstCofactor, Modulus.HighProduct(first, _firstCofactor)),
            (last * _lastCofactor, Modulus.HighProduct(last, _lastCofactor)));

    /// <summary>q or zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private (ulong Low, ulong High) Masked(ulong mask) => (_qLow & mask, _qHigh & mask);

    /// <summary>All ones if x is negative.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Negative((ulong Low, ulong High) x) => (ulong)((long)x.High >> 63);

    /// <summary>x · 2^bits for a signed word and 0 &lt; bits &lt; 128.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (ulong Low, ulong High) Lift(long x, int bits)
        => bits < 64 ? ((ulong)x << bits, (ulong)(x >> 1 >> (63 - bits))) : (0, (ulong)x << (bits - 64));

    /// <summary>floor(x / 2^bits) for a signed x and 0 &lt; bits &lt; 64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (ulong Low, ulong High) Halved((ulong Low, ulong High) x, int bits)
        => ((x.Low >> bits) | (x.High << (64 - bits)), (ulong)((long)x.High >> bits));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (ulong Low, ulong High) Sum((ulong Low, ulong High) a, (ulong Low, ulong High) b)
    {
        var low = a.Low + b.Low;
        return (low, a.High + b.High + (low < a.Low ? 1ul : 0ul));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (ulong Low, ulong High) Difference((ulong Low, ulong High) a, (ulong Low, ulong High) b)
        => (a.Low - b.Low, a.High - b.High - (a.Low < b.Low ? 1ul : 0ul));
}

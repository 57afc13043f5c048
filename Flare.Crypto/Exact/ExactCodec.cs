using System.Runtime.CompilerServices;

namespace Flare.Crypto;

/// <summary>
/// Between integers and coefficients: values side by side in slots of <see cref="ExactParameters.SlotBits"/> bits, lifted by Δ
/// above the noise; coefficients modulo q as residues modulo the primes, and as one number.
/// </summary>
/// <remarks>
/// Numbers of up to 127 bits are kept as two words by hand: the platform's Int128 takes three times as long here. Corrections
/// are masks, not branches: time tells nothing of noise or message.
/// </remarks>
internal sealed class ExactCodec
{
    private readonly ulong _first, _last, _inverse, _inverseQuotient; // the primes, and 1/first modulo last
    private readonly ulong _qLow, _qHigh, _halfLow, _halfHigh; // q and floor(q/2)
    private readonly double _perHigh, _perLow; // 2^64/q and 1/q
    private readonly int _slot, _perCoefficient, _shift, _dropped;

    public ExactCodec(ExactParameters parameters)
    {
        (_first, _last) = (parameters.Moduli[0], parameters.Moduli[^1]);
        if (parameters.Moduli.Length > 1)
        {
            var last = new Modulus(_last);
            _inverse = last.Inverse(_first);
            _inverseQuotient = last.Quotient(_inverse);
        }

        var (q, half) = (parameters.Modulus, parameters.Modulus >> 1);
        (_qHigh, _qLow, _halfHigh, _halfLow) = ((ulong)(q >> 64), (ulong)q, (ulong)(half >> 64), (ulong)half);
        (_perHigh, _perLow) = (Math.ScaleB(1, 64) / (double)q, 1 / (double)q);
        (_slot, _perCoefficient) = (parameters.SlotBits, parameters.ValuesPerCoefficient);
        (_shift, _dropped) = (parameters.MessageShift, parameters.DroppedBits);
    }

    /// <summary>Coefficients as they are sent: (random part + Δm + noise) mod q, rounded to leave out their lowest bits.</summary>
    /// <param name="integers">The values, p for each coefficient.</param>
    /// <param name="randomness">A word of noise for each coefficient.</param>
    /// <param name="first">The random part modulo the first prime.</param>
    /// <param name="last">The random part modulo the last prime, which may be the first.</param>
    /// <param name="words">The coefficients.</param>
    [SkipLocalsInit]
    public void Encode(
        ReadOnlySpan<int> integers, ReadOnlySpan<ulong> randomness, ReadOnlySpan<ulong> first, ReadOnlySpan<ulong> last, Span<UInt128> words)
    {
        // Two slots at a time fit a word: with more than two of them they have at most 31 bits.
        var pair = _perCoefficient > 2 ? 2 : 1;
        var (p, slot, lowLift, highLift) = (_perCoefficient, _slot, _shift, _shift + (pair * _slot));
        var (dropped, rounding) = (_dropped, (1ul << _dropped) >> 1);
        for (int i = 0, at = 0; i < words.Length; i++, at += p)
        {
            long lowPair = integers[at];
            var highPair = p > pair ? integers[at + pair] : 0L;
            if (pair == 2)
            {
                lowPair += (long)integers[at + 1] << slot;
                highPair += p > 3 ? (long)integers[at + 3] << slot : 0L;
            }

            // lifted = lowPair · 2^lowLift + highPair · 2^highLift + noise
            long noise = Samplers.Noise(randomness[i]);
            var (low, high) = Lift(lowPair, lowLift);
            (low, high) = Sum(low, high, Lift(highPair, highLift));
            (low, high) = Sum(low, high, ((ulong)noise, (ulong)(noise >> 63)));
            var negative = (ulong)((long)high >> 63);
            (low, high) = Sum(low, high, (_qLow & negative, _qHigh & negative));

            (low, high) = Sum(low, high, Compose(first[i], last[i]));
            (low, high) = Difference(low, high, (_qLow, _qHigh));
            negative = (ulong)((long)high >> 63);
            (low, high) = Sum(low, high, (_qLow & negative, _qHigh & negative));
            (low, high) = Sum(low, high, (rounding, 0));
            words[i] = new UInt128(high >> dropped, (low >> dropped) | (high << 1 << (63 - dropped)));
        }
    }

    /// <summary>The slots' sums in summed coefficients.</summary>
    /// <param name="words">The coefficients, as they are sent.</param>
    /// <param name="first">The random part modulo the first prime.</param>
    /// <param name="last">The random part modulo the last prime, which may be the first.</param>
    /// <param name="sums">Room for p sums for each coefficient; the last may have fewer.</param>
    [SkipLocalsInit]
    public void Decode(ReadOnlySpan<UInt128> words, ReadOnlySpan<ulong> first, ReadOnlySpan<ulong> last, Span<long> sums)
    {
        var (p, slot, lift, dropped) = (_perCoefficient, _slot, _shift, _dropped);
        var half = (1ul << lift) >> 1;
        for (var i = 0; i < words.Length; i++)
        {
            var (low, high) = ((ulong)words[i], (ulong)(words[i] >> 64));
            (low, high) = (low << dropped, (high << dropped) | (low >> 1 >> (63 - dropped)));
            (low, high) = Difference(low, high, Compose(first[i], last[i]));

            // The representative nearest to zero: an estimate of the quotient, and at most one step after it.
            var quotient = (long)Math.Round(((long)high * _perHigh) + (low * _perLow));
            var multipleHigh = Modulus.HighProduct((ulong)quotient, _qLow) + ((ulong)quotient * _qHigh) - (_qLow & (ulong)(quotient >> 63));
            (low, high) = Difference(low, high, ((ulong)quotient * _qLow, multipleHigh));
            var (_, above) = Difference(_halfLow, _halfHigh, (low, high));
            var mask = (ulong)((long)above >> 63);
            (low, high) = Difference(low, high, (_qLow & mask, _qHigh & mask));
            var (_, below) = Sum(low, high, (_halfLow, _halfHigh));
            mask = (ulong)((long)below >> 63);
            (low, high) = Sum(low, high, (_qLow & mask, _qHigh & mask));

            // The nearest multiple of Δ, then balanced digits: the lowest slot with its sign, whose borrow the rest gives back.
            (low, high) = Sum(low, high, (half, 0));
            (low, high) = Halved(low, high, lift);
            var count = Math.Min(p, sums.Length - (i * p));
            for (var k = 0; k < count; k++)
            {
                var digit = (long)low << (64 - slot) >> (64 - slot);
                sums[(i * p) + k] = digit;
                (low, high) = Difference(low, high, ((ulong)digit, (ulong)(digit >> 63)));
                (low, high) = Halved(low, high, slot);
            }
        }
    }

    /// <summary>The number below q with these residues (Garner).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private (ulong Low, ulong High) Compose(ulong first, ulong last)
    {
        // With one prime the inverse is zero, and so is the digit.
        var difference = last + _last - first;
        var digit = (difference * _inverse) - (Modulus.HighProduct(difference, _inverseQuotient) * _last);
        digit = Modulus.Once(digit, _last);
        return Sum(digit * _first, Modulus.HighProduct(digit, _first), (first, 0));
    }

    /// <summary>x · 2^bits for a signed word and 0 &lt; bits &lt; 128.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (ulong Low, ulong High) Lift(long x, int bits)
        => bits < 64 ? ((ulong)x << bits, (ulong)(x >> 1 >> (63 - bits))) : (0, (ulong)x << (bits - 64));

    /// <summary>floor(x / 2^bits) for a signed x and 0 &lt; bits &lt; 64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (ulong Low, ulong High) Halved(ulong low, ulong high, int bits)
        => ((low >> bits) | (high << (64 - bits)), (ulong)((long)high >> bits));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (ulong Low, ulong High) Sum(ulong low, ulong high, (ulong Low, ulong High) other)
    {
        var sum = low + other.Low;
        return (sum, high + other.High + (sum < low ? 1ul : 0ul));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (ulong Low, ulong High) Difference(ulong low, ulong high, (ulong Low, ulong High) other)
        => (low - other.Low, high - other.High - (low < other.Low ? 1ul : 0ul));
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Flare.Crypto;

/// <summary>
/// How real numbers become integers: v becomes round(v · 2^FractionBits), ties to even, and must lie in
/// [-Largest, Largest]. All sites of a round use the same format; it is part of <see cref="RlweParameters.Id"/>.
/// </summary>
public sealed record Quantization
{
    /// <summary>A format of the given widths.</summary>
    /// <param name="bits">Bits of an integer with its sign, 2 to 32.</param>
    /// <param name="fractionBits">Binary places, -100 to 100: the resolution is 2^-fractionBits.</param>
    /// <exception cref="ArgumentOutOfRangeException">A width is out of range.</exception>
    public Quantization(int bits, int fractionBits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, 32);
        ArgumentOutOfRangeException.ThrowIfLessThan(fractionBits, -100);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fractionBits, 100);
        (Bits, FractionBits) = (bits, fractionBits);
    }

    /// <summary>Bits of an integer with its sign, 2 to 32.</summary>
    public int Bits { get; }

    /// <summary>Binary places: one unit is 2^-FractionBits.</summary>
    public int FractionBits { get; }

    /// <summary>The largest integer, 2^(Bits-1) - 1; the smallest is its negative.</summary>
    public int Largest => (int)((1L << (Bits - 1)) - 1);

    /// <summary>The largest real number that is not clipped.</summary>
    public double Limit => Math.ScaleB(Largest, -FractionBits);

    /// <summary>The finest format in which the numbers from -limit to limit are not clipped.</summary>
    /// <param name="limit">Positive and finite; what lies beyond may be clipped.</param>
    /// <param name="bits">Bits of an integer with its sign, 2 to 32.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such format.</exception>
    public static Quantization ForRange(double limit, int bits)
    {
        if (!(limit > 0) || double.IsInfinity(limit))
            throw new ArgumentOutOfRangeException(nameof(limit), limit, "The limit is a positive number.");
        var format = new Quantization(bits, 0);
        var fraction = bits - Math.ILogB(limit);
        while (Math.ScaleB(limit, fraction) > format.Largest)
            fraction--;
        return new(bits, fraction);
    }

    /// <summary>Whether a number is finite and not clipped.</summary>
    public bool Holds(double value) => Math.Abs(Math.Round(value * Math.ScaleB(1, FractionBits))) <= Largest;

    /// <summary>Quantises values to integers.</summary>
    /// <param name="values">Finite numbers.</param>
    /// <param name="integers">Room for as many integers.</param>
    /// <returns>How many values were clipped to the range's ends.</returns>
    /// <exception cref="FlareCryptoException"><see cref="CryptoFault.ValueOutOfRange"/>: a value is NaN or
    /// infinite.</exception>
    public int Quantize(ReadOnlySpan<float> values, Span<int> integers) => Quantize(values, integers, 0);

    /// <summary>The mean that integer sums stand for: sum · 2^-FractionBits / divisor, rounded once to float.</summary>
    /// <param name="sums">Sums of quantised values.</param>
    /// <param name="divisor">What the round agreed to divide by: the number of sites, or the sum of weights.</param>
    /// <param name="values">Room for as many values.</param>
    /// <exception cref="ArgumentException">There is too little room, or the divisor is zero or not finite.</exception>
    public void Dequantize(ReadOnlySpan<long> sums, double divisor, Span<float> values)
    {
        if (values.Length < sums.Length)
            throw new ArgumentException($"There are {sums.Length} sums and room for {values.Length}.", nameof(values));
        if (divisor == 0 || !double.IsFinite(divisor))
            throw new ArgumentOutOfRangeException(
                nameof(divisor), divisor, "The divisor is a finite number other than zero.");
        var scale = Math.ScaleB(1, -FractionBits);
        var i = 0;
        for (; i <= sums.Length - 8; i += 8)
        {
            var (low, high) = (Vector256.Create(sums[i..]), Vector256.Create(sums[(i + 4)..]));
            Vector256.Narrow(
                Vector256.ConvertToDouble(low) * scale / Vector256.Create(divisor),
                Vector256.ConvertToDouble(high) * scale / Vector256.Create(divisor))
                .CopyTo(values[i..]);
        }

        for (; i < sums.Length; i++)
            values[i] = (float)(sums[i] * scale / divisor);
    }

    /// <summary>As the public one, for a run that starts at value <paramref name="first"/> of a longer one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal int Quantize(ReadOnlySpan<float> values, Span<int> integers, int first)
    {
        if (integers.Length < values.Length)
            throw new ArgumentException(
                $"There are {values.Length} values and room for {integers.Length}.", nameof(integers));
        var (scale, largest) = (Math.ScaleB(1, FractionBits), (double)Largest);
        ref var from = ref MemoryMarshal.GetReference(values);
        ref var to = ref MemoryMarshal.GetReference(integers);

        // Scaling by a power of two is exact in float too, but where the result is far below one half or above any
        // limit; and an integer is in range if it is below 2^(Bits-1).
        var (scales, bound) = (Vector256.Create((float)scale), Vector256.Create(MathF.ScaleB(1, Bits - 1)));
        var (i, clipped) = (0, 0);
        for (; i <= values.Length - 8; i += 8)
        {
            var rounded = Vector256.Round(Vector256.LoadUnsafe(ref from, (nuint)i) * scales);
            if (Vector256.LessThanAll(Vector256.Abs(rounded), bound)) // never true of NaN
                Vector256.ConvertToInt32Native(rounded).StoreUnsafe(ref to, (nuint)i);
            else
                for (var lane = i; lane < i + 8; lane++)
                    clipped += QuantizeOne(values, first, lane, scale, largest, ref Unsafe.Add(ref to, lane));
        }

        for (; i < values.Length; i++)
            clipped += QuantizeOne(values, first, i, scale, largest, ref Unsafe.Add(ref to, i));
        return clipped;
    }

    private static int QuantizeOne(
        ReadOnlySpan<float> values, int first, int i, double scale, double largest, ref int integer)
    {
        var value = values[i];
        if (!float.IsFinite(value))
            throw new FlareCryptoException(
                CryptoFault.ValueOutOfRange,
                $"Value {(long)first + i} is {value}: only finite numbers can be encrypted. Did training diverge?");
        var rounded = Math.Round(value * scale);
        var clamped = Math.Clamp(rounded, -largest, largest);
        integer = (int)clamped;
        return clamped == rounded ? 0 : 1;
    }
}

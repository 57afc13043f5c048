using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// Turns numbers into polynomials with integer coefficients and back. Holds scratch memory of its own: one for each
/// thread.
/// </summary>
/// <remarks>
/// There is deliberately no public way to decode without rounding: what a decryption says beyond the noise tells of the
/// secret key (Li and Micciancio, "On the security of homomorphic encryption on approximate numbers", 2021).
/// </remarks>
public sealed class CkksEncoder
{
    // Below this a double plus 1.5·2^52 holds the rounded integer in its low bits.
    private const double ExactLimit = 1L << 51;
    private const double Magic = 3L << 51;

    private readonly double[] _coefficients;
    private readonly long[] _integers;

    /// <summary>Makes an encoder.</summary>
    /// <param name="parameters">The parameters.</param>
    public CkksEncoder(CkksParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        Parameters = parameters;
        _coefficients = new double[parameters.Degree];
        _integers = new long[parameters.Degree];
    }

    /// <summary>The parameters.</summary>
    public CkksParameters Parameters { get; }

    /// <summary>Encodes real numbers; slots beyond them hold 0.</summary>
    /// <param name="values">At most N/2 finite numbers.</param>
    /// <param name="scale">What they are multiplied by before they are rounded; 2^40 is usual.</param>
    /// <param name="level">The level; the first when null.</param>
    /// <exception cref="FlareCryptoException">A value is not finite or too large for scale and level, or the scale
    /// is.</exception>
    public CkksPlaintext Encode(ReadOnlySpan<double> values, double scale, CkksLevel? level = null)
    {
        level ??= Parameters.FirstLevel;
        return Finish(ToCoefficients(values, scale, level), scale, level);
    }

    /// <summary>Encodes complex numbers; slots beyond them hold 0.</summary>
    /// <param name="values">At most N/2 finite numbers.</param>
    /// <param name="scale">What they are multiplied by before they are rounded; 2^40 is usual.</param>
    /// <param name="level">The level; the first when null.</param>
    /// <exception cref="FlareCryptoException">A value is not finite or too large for scale and level, or the scale
    /// is.</exception>
    public CkksPlaintext Encode(ReadOnlySpan<Complex> values, double scale, CkksLevel? level = null)
    {
        level ??= Parameters.FirstLevel;
        CheckCount(values.Length);
        CkksChecks.Scale(scale, level);
        var a = Cleared();
        var places = Parameters.Embedding.Places;
        var half = Parameters.SlotCount;
        for (var i = 0; i < values.Length; i++)
        {
            a[places[i]] = values[i].Real;
            a[places[i] + half] = (i & 1) == 0 ? values[i].Imaginary : -values[i].Imaginary;
        }
        return Finish(Transform(scale, level), scale, level);
    }

    /// <summary>Values to scaled real coefficients, kept here; the largest magnitude among them.</summary>
    internal double ToCoefficients(ReadOnlySpan<double> values, double scale, CkksLevel level)
    {
        CheckCount(values.Length);
        CkksChecks.Scale(scale, level);
        var a = Cleared();
        var places = Parameters.Embedding.Places;
        for (var i = 0; i < values.Length; i++) a[places[i]] = values[i];
        return Transform(scale, level);
    }

    /// <inheritdoc cref="ToCoefficients(ReadOnlySpan{double}, double, CkksLevel)"/>
    internal double ToCoefficients(ReadOnlySpan<float> values, double scale, CkksLevel level)
    {
        CheckCount(values.Length);
        CkksChecks.Scale(scale, level);
        var a = Cleared();
        var places = Parameters.Embedding.Places;
        for (var i = 0; i < values.Length; i++) a[places[i]] = values[i];
        return Transform(scale, level);
    }

    /// <summary>
    /// Whether the rounded coefficients with noise fit a long and stay below every prime of the level.
    /// </summary>
    internal bool FitsDirectly(double largest, CkksLevel level)
    {
        var limit = ExactLimit;
        for (var i = 0; i < level.PrimeCount; i++) limit = Math.Min(limit, Parameters.Primes[i]);
        return largest + CkksSampling.MaxNoise + 1 < limit;
    }

    /// <summary>Adds the coefficients kept here, rounded to even; they are below 2^51.</summary>
    internal void AddRoundedTo(Span<long> sum)
    {
        var j = 0;
        var a = _coefficients;
        if (Vector.IsHardwareAccelerated)
        {
            var magic = new Vector<double>(Magic);
            var bits = magic.As<double, long>();
            for (; j + Vector<double>.Count <= a.Length; j += Vector<double>.Count)
            {
                var rounded = (new Vector<double>(a, j) + magic).As<double, long>() - bits;
                (rounded + new Vector<long>(sum[j..])).CopyTo(sum[j..]);
            }
        }
        for (; j < a.Length; j++) sum[j] += (long)Math.Round(a[j]);
    }

    /// <summary>Erases the values that were encoded or decoded last.</summary>
    internal void Clear()
    {
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_coefficients.AsSpan()));
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_integers.AsSpan()));
    }

    /// <summary>Coefficients as integers kept here to residues in NTT form, whatever their size.</summary>
    internal void ToResidues(double largest, CkksLevel level, Span<ulong> residues)
    {
        var n = Parameters.Degree;
        var direct = FitsDirectly(largest, level);
        if (direct)
        {
            _integers.AsSpan().Clear();
            AddRoundedTo(_integers);
        }
        for (var i = 0; i < level.PrimeCount; i++)
        {
            var transform = Parameters.Transforms[i];
            var part = residues.Slice(i * n, n);
            if (direct)
                CkksSampling.ToResidues(_integers, transform.Modulus.Value, part);
            else
                for (var j = 0; j < n; j++) part[j] = Reduce(_coefficients[j], transform.Modulus);
            transform.Forward(part);
        }
    }

    /// <summary>
    /// Coefficients in double from residues in NTT form, which are spent; centred around 0. The largest magnitude.
    /// </summary>
    internal double FromResidues(Span<ulong> residues, CkksLevel level)
    {
        var n = Parameters.Degree;
        for (var i = 0; i < level.PrimeCount; i++)
            Parameters.Transforms[i].Inverse(residues.Slice(i * n, n));
        BalancedDigits.ToDouble(Parameters, residues, level.PrimeCount, _coefficients);
        var largest = 0.0;
        foreach (var c in _coefficients) largest = Math.Max(largest, Math.Abs(c));
        return largest;
    }

    /// <summary>
    /// The slots of the coefficients kept here: real parts in place order, as the decoder reads them.
    /// </summary>
    internal ReadOnlySpan<double> ToSlots(double scale)
    {
        Parameters.Embedding.ToSlots(_coefficients, scale);
        return _coefficients;
    }

    /// <summary>The unrounded values of a plaintext; they stay inside.</summary>
    internal void Decode(CkksPlaintext plaintext, Span<Complex> destination)
    {
        FromResidues(plaintext.Residues.ToArray(), plaintext.Level);
        var slots = ToSlots(plaintext.Scale);
        var places = Parameters.Embedding.Places;
        var half = Parameters.SlotCount;
        for (var i = 0; i < destination.Length; i++)
        {
            var imaginary = slots[places[i] + half];
            destination[i] = new Complex(slots[places[i]], (i & 1) == 0 ? imaginary : -imaginary);
        }
    }

    /// <summary>
    /// The sum of the squared integer coefficients of a plaintext: how much multiplying by it swells noise.
    /// </summary>
    internal double SquaredNorm(CkksPlaintext plaintext)
    {
        FromResidues(plaintext.Residues.ToArray(), plaintext.Level);
        var sum = 0.0;
        foreach (var c in _coefficients) sum += c * c;
        return sum;
    }

    private Span<double> Cleared()
    {
        _coefficients.AsSpan().Clear();
        return _coefficients;
    }

    private void CheckCount(int count)
    {
        if (count > Parameters.SlotCount)
            throw new ArgumentException(
                $"{count} values do not fit into {Parameters.SlotCount} slots; split them over several ciphertexts.");
    }

    private double Transform(double scale, CkksLevel level)
    {
        Parameters.Embedding.ToCoefficients(_coefficients, scale);

        // A NaN or an infinity in any slot reaches every coefficient; NaN fails every comparison.
        var largest = LargestMagnitude(_coefficients);
        if (!double.IsFinite(largest))
            throw new FlareCryptoException(CryptoFault.ValueOutOfRange,
                "A value to encrypt is not finite, or too large; clip or reject it first.");
        if (Math.Log2(Math.Max(largest, 1)) + 2 >= level.LogModulus)
            throw new FlareCryptoException(CryptoFault.ValueOutOfRange,
                $"The values are too large for a scale of {Readable.Format(scale, "R")} at a level of "
                    + $"{Readable.Format(level.LogModulus, "F1")} bits; clip "
                    + "them or lower the scale.");
        return largest;
    }

    // NaN if there is one: unlike a vector maximum, the sum of the values times 0 keeps it.
    private static double LargestMagnitude(ReadOnlySpan<double> values)
    {
        var j = 0;
        var (largest, poison) = (0.0, 0.0);
        if (Vector.IsHardwareAccelerated)
        {
            var (max, zero) = (Vector<double>.Zero, Vector<double>.Zero);
            for (; j + Vector<double>.Count <= values.Length; j += Vector<double>.Count)
            {
                var v = new Vector<double>(values[j..]);
                max = Vector.Max(max, Vector.Abs(v));
                zero += v * Vector<double>.Zero;
            }
            for (var i = 0; i < Vector<double>.Count; i++)
                (largest, poison) = (Math.Max(largest, max[i]), poison + zero[i]);
        }
        for (; j < values.Length; j++)
            (largest, poison) = (Math.Max(largest, Math.Abs(values[j])), poison + values[j] * 0);
        return largest + poison;
    }

    private CkksPlaintext Finish(double largest, double scale, CkksLevel level)
    {
        var residues = new ulong[Parameters.Degree * level.PrimeCount];
        ToResidues(largest, level, residues);
        return new CkksPlaintext(Parameters, level, scale, residues);
    }

    // A double is a 53-bit integer times a power of two, and the residue is that of both factors.
    private static ulong Reduce(double value, Modulus modulus)
    {
        var rounded = Math.Round(value);
        var bits = BitConverter.DoubleToInt64Bits(rounded);
        var exponent = (int)(bits >> 52 & 0x7FF) - 1075;
        var mantissa = (ulong)(bits & 0xFFFFFFFFFFFFF | 0x10000000000000);
        var magnitude = rounded == 0 ? 0
            : exponent <= 0 ? modulus.Reduce(mantissa >> -exponent)
            : modulus.Multiply(modulus.Reduce(mantissa), modulus.Power(2, (ulong)exponent));
        return rounded < 0 ? modulus.Negate(magnitude) : magnitude;
    }
}

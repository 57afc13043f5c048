using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

/// <summary>
/// Arithmetic modulo q, 2 ≤ q &lt; 2^61. Every operand lies in [0, q) unless its method says otherwise; so does every
/// result. Products are reduced after Barrett, or after Shoup where one factor is fixed.
/// </summary>
/// <remarks>D. Harvey, "Faster arithmetic for number-theoretic transforms", 2014, for the Shoup products.</remarks>
internal sealed class Modulus
{
    /// <summary>Moduli stay below 2^61, so that four times one still fits in a word with a bit to spare.</summary>
    public const int MaxBits = 61;

    private readonly ulong _ratioLow, _ratioHigh; // floor(2^128 / q)

    /// <summary>Prepares the constants of one modulus.</summary>
    /// <param name="value">q, 2 ≤ q &lt; 2^61; any such integer, prime or not.</param>
    /// <exception cref="ArgumentOutOfRangeException">q is out of range.</exception>
    public Modulus(ulong value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 2ul);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(value, 1ul << MaxBits);
        Value = value;
        Bits = 64 - BitOperations.LeadingZeroCount(value);

        // floor((2^128 - 1) / q) is floor(2^128 / q) unless q divides 2^128, that is, unless q is a power of two.
        var ratio = (UInt128.MaxValue / value) + (BitOperations.IsPow2(value) ? UInt128.One : UInt128.Zero);
        (_ratioHigh, _ratioLow) = ((ulong)(ratio >> 64), (ulong)ratio);
    }

    /// <summary>q itself.</summary>
    public ulong Value { get; }

    /// <summary>The number of bits in q: 2^(Bits-1) ≤ q &lt; 2^Bits.</summary>
    public int Bits { get; }

    /// <summary>(a + b) mod q.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Add(ulong a, ulong b) => Once(a + b, Value);

    /// <summary>(a - b) mod q.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Subtract(ulong a, ulong b) => Once(a + Value - b, Value);

    /// <summary>-a mod q.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Negate(ulong a) => Once(Value - a, Value);

    /// <summary>a · b mod q, for any a and b (also above q).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Multiply(ulong a, ulong b)
    {
        var high = Math.BigMul(a, b, out var low);
        return Reduce(high, low);
    }

    /// <summary>a mod q, for any a.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Reduce(ulong a) => Once(a - (HighProduct(a, _ratioHigh) * Value), Value);

    /// <summary>(high · 2^64 + low) mod q, for any high and low.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Reduce(ulong high, ulong low)
    {
        // The quotient's lowest word, floor(x · floor(2^128/q) / 2^128): at most one below the true quotient.
        var carry = HighProduct(low, _ratioLow);
        var middleHigh = Math.BigMul(low, _ratioHigh, out var middle);
        middle += carry;
        middleHigh += middle < carry ? 1ul : 0ul;
        var crossHigh = Math.BigMul(high, _ratioLow, out var cross);
        middle += cross;
        crossHigh += middle < cross ? 1ul : 0ul;
        var quotient = (high * _ratioHigh) + middleHigh + crossHigh;
        return Once(low - (quotient * Value), Value);
    }

    /// <summary>value mod q for a signed value: -1 becomes q - 1.</summary>
    public ulong FromSigned(long value)
    {
        var magnitude = Reduce((ulong)Int128.Abs(value));
        return value < 0 ? Negate(magnitude) : magnitude;
    }

    /// <summary>The representative of a in (-q/2, q/2].</summary>
    public long ToSigned(ulong a) => a > Value / 2 ? (long)a - (long)Value : (long)a;

    /// <summary>a to the power of exponent, mod q; a^0 = 1.</summary>
    public ulong Power(ulong a, ulong exponent)
    {
        var result = 1ul;
        for (var square = Reduce(a); exponent != 0; exponent >>= 1, square = Multiply(square, square))
            if ((exponent & 1) != 0)
                result = Multiply(result, square);
        return result;
    }

    /// <summary>The inverse of a modulo q, by Euclid.</summary>
    /// <exception cref="ArgumentException">a and q share a factor: there is no inverse.</exception>
    public ulong Inverse(ulong a)
    {
        var (r0, r1) = ((long)Value, (long)Reduce(a));
        var (t0, t1) = (0L, 1L);
        while (r1 != 0)
        {
            var quotient = r0 / r1;
            (r0, r1) = (r1, r0 - (quotient * r1));
            (t0, t1) = (t1, t0 - (quotient * t1));
        }

        if (r0 != 1)
            throw new ArgumentException($"{a} has no inverse modulo {Value}: both are multiples of {r0}.", nameof(a));
        return t0 < 0 ? (ulong)(t0 + (long)Value) : (ulong)t0;
    }

    /// <summary>Shoup's companion of a fixed factor w in [0, q): floor(w · 2^64 / q).</summary>
    public ulong Quotient(ulong w) => (ulong)(((UInt128)w << 64) / Value);

    /// <summary>a · w mod q for any a, with w in [0, q) and its <see cref="Quotient"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong MultiplyFixed(ulong a, ulong w, ulong quotient)
        => Once((a * w) - (HighProduct(a, quotient) * Value), Value);

    /// <summary>The high word of a 128-bit product, in one instruction where the processor has it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong HighProduct(ulong a, ulong b)
    {
        if (Bmi2.X64.IsSupported)
            return Bmi2.X64.MultiplyNoFlags(a, b);
        if (ArmBase.Arm64.IsSupported)
            return ArmBase.Arm64.MultiplyHigh(a, b);
        return Math.BigMul(a, b, out _);
    }

    /// <summary>x mod bound for x in [0, 2 · bound), bound ≤ 2^63, without a branch: time tells nothing of x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Once(ulong x, ulong bound)
    {
        var difference = (long)(x - bound);
        return (ulong)difference + (bound & (ulong)(difference >> 63));
    }

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

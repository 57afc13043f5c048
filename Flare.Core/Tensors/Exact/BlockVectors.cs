using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Flare;

/// <summary>
/// What <see cref="BlockKernels{TVectors, TDoubles, TBits}"/> need of a vector width. Every operation rounds as IEEE
/// 754 says, lane by lane, so all widths give the same bits.
/// </summary>
/// <typeparam name="TDoubles">A vector of doubles.</typeparam>
/// <typeparam name="TBits">A vector of as many bytes, of unsigned integers: twice as many lanes.</typeparam>
internal unsafe interface IBlockVectors<TDoubles, TBits>
{
    static abstract bool IsSupported { get; }
    static abstract int Width { get; }
    static abstract TDoubles Create(double value);
    static abstract TDoubles Load(double* from);
    static abstract TDoubles Widen(float* from);
    static abstract void Store(TDoubles value, double* to);
    static abstract void Narrow(TDoubles lower, TDoubles upper, float* to);
    static abstract void NarrowPastCache(TDoubles lower, TDoubles upper, float* to);
    static abstract TDoubles Add(TDoubles a, TDoubles b);
    static abstract TDoubles Subtract(TDoubles a, TDoubles b);
    static abstract TDoubles Multiply(TDoubles a, TDoubles b);
    /// <summary>Whether <see cref="MultiplyAdd"/> rounds once. If not, it rounds the product first.</summary>
    static abstract bool Fuses { get; }
    /// <summary>a·b + c, as fast as it goes.</summary>
    static abstract TDoubles MultiplyAdd(TDoubles a, TDoubles b, TDoubles c);
    /// <summary>a·b + c with one rounding, whatever it takes.</summary>
    static abstract TDoubles FusedMultiplyAdd(TDoubles a, TDoubles b, TDoubles c);
    /// <summary><see cref="Quotient.RoundToOdd"/>.</summary>
    static abstract TDoubles RoundToOdd(TDoubles quotient, TDoubles rest);

    static abstract TBits Bits(uint value);
    /// <summary>The floats' bits, shifted left by one: the sign is gone, and their order is that of the
    /// magnitudes.</summary>
    static abstract TBits Magnitudes(float* from);
    static abstract TBits Add(TBits a, TBits b);
    static abstract TBits Max(TBits a, TBits b);
    static abstract TBits Min(TBits a, TBits b);
    static abstract uint LargestOf(TBits lanes);
    static abstract uint SmallestOf(TBits lanes);
}

/// <summary>AVX-512.</summary>
internal readonly unsafe struct BlockVectors512 : IBlockVectors<Vector512<double>, Vector512<uint>>
{
    // Vector512.IsHardwareAccelerated says no where wide vectors lower the clock; for these loops they pay all the
    // same.
    public static bool IsSupported => Avx512F.IsSupported;
    public static int Width => 8;
    public static bool Fuses => true;
    public static Vector512<double> Create(double value) => Vector512.Create(value);
    public static Vector512<double> Load(double* from) => Vector512.LoadAligned(from);
    public static Vector512<double> Widen(float* from) => Avx512F.ConvertToVector512Double(Vector256.Load(from));
    public static void Store(Vector512<double> value, double* to) => value.StoreAligned(to);
    public static void Narrow(Vector512<double> lower, Vector512<double> upper, float* to) =>
        Narrow(lower, upper).StoreAligned(to);
    public static void NarrowPastCache(Vector512<double> lower, Vector512<double> upper, float* to) =>
        Narrow(lower, upper).StoreAlignedNonTemporal(to);
    public static Vector512<double> Add(Vector512<double> a, Vector512<double> b) => a + b;
    public static Vector512<double> Subtract(Vector512<double> a, Vector512<double> b) => a - b;
    public static Vector512<double> Multiply(Vector512<double> a, Vector512<double> b) => a * b;
    public static Vector512<double> MultiplyAdd(Vector512<double> a, Vector512<double> b, Vector512<double> c) =>
        Avx512F.FusedMultiplyAdd(a, b, c);
    public static Vector512<double> FusedMultiplyAdd(Vector512<double> a, Vector512<double> b, Vector512<double> c) =>
        Avx512F.FusedMultiplyAdd(a, b, c);

    public static Vector512<double> RoundToOdd(Vector512<double> quotient, Vector512<double> rest)
    {
        var bits = quotient.AsInt64();
        var beyond = Vector512.ShiftRightArithmetic(bits ^ rest.AsInt64(), 63);
        return Vector512.ConditionalSelect(
            Vector512.Equals(rest, Vector512<double>.Zero).AsInt64(), bits, (bits + beyond) | Vector512<long>.One)
            .AsDouble();
    }

    public static Vector512<uint> Bits(uint value) => Vector512.Create(value);
    public static Vector512<uint> Magnitudes(float* from)
    {
        var bits = Vector512.Load((uint*)from);
        return bits + bits;
    }
    public static Vector512<uint> Add(Vector512<uint> a, Vector512<uint> b) => a + b;
    public static Vector512<uint> Max(Vector512<uint> a, Vector512<uint> b) => Vector512.Max(a, b);
    public static Vector512<uint> Min(Vector512<uint> a, Vector512<uint> b) => Vector512.Min(a, b);
    public static uint LargestOf(Vector512<uint> lanes) =>
        BlockVectors256.LargestOf(Vector256.Max(lanes.GetLower(), lanes.GetUpper()));
    public static uint SmallestOf(Vector512<uint> lanes) =>
        BlockVectors256.SmallestOf(Vector256.Min(lanes.GetLower(), lanes.GetUpper()));

    private static Vector512<float> Narrow(Vector512<double> lower, Vector512<double> upper) =>
        Vector512.Create(Avx512F.ConvertToVector256Single(lower), Avx512F.ConvertToVector256Single(upper));
}

/// <summary>AVX2 with FMA.</summary>
internal readonly unsafe struct BlockVectors256 : IBlockVectors<Vector256<double>, Vector256<uint>>
{
    public static bool IsSupported => Avx2.IsSupported && Fma.IsSupported;
    public static int Width => 4;
    public static bool Fuses => true;
    public static Vector256<double> Create(double value) => Vector256.Create(value);
    public static Vector256<double> Load(double* from) => Vector256.LoadAligned(from);
    public static Vector256<double> Widen(float* from) => Avx.ConvertToVector256Double(Vector128.Load(from));
    public static void Store(Vector256<double> value, double* to) => value.StoreAligned(to);
    public static void Narrow(Vector256<double> lower, Vector256<double> upper, float* to) =>
        Narrow(lower, upper).StoreAligned(to);
    public static void NarrowPastCache(Vector256<double> lower, Vector256<double> upper, float* to) =>
        Narrow(lower, upper).StoreAlignedNonTemporal(to);
    public static Vector256<double> Add(Vector256<double> a, Vector256<double> b) => a + b;
    public static Vector256<double> Subtract(Vector256<double> a, Vector256<double> b) => a - b;
    public static Vector256<double> Multiply(Vector256<double> a, Vector256<double> b) => a * b;
    public static Vector256<double> MultiplyAdd(Vector256<double> a, Vector256<double> b, Vector256<double> c) =>
        Fma.MultiplyAdd(a, b, c);
    public static Vector256<double> FusedMultiplyAdd(Vector256<double> a, Vector256<double> b, Vector256<double> c) =>
        Fma.MultiplyAdd(a, b, c);

    public static Vector256<double> RoundToOdd(Vector256<double> quotient, Vector256<double> rest)
    {
        var bits = quotient.AsInt64();
        var beyond = Vector256.ShiftRightArithmetic(bits ^ rest.AsInt64(), 63);
        return Vector256.ConditionalSelect(
            Vector256.Equals(rest, Vector256<double>.Zero).AsInt64(), bits, (bits + beyond) | Vector256<long>.One)
            .AsDouble();
    }

    public static Vector256<uint> Bits(uint value) => Vector256.Create(value);
    public static Vector256<uint> Magnitudes(float* from)
    {
        var bits = Vector256.Load((uint*)from);
        return bits + bits;
    }
    public static Vector256<uint> Add(Vector256<uint> a, Vector256<uint> b) => a + b;
    public static Vector256<uint> Max(Vector256<uint> a, Vector256<uint> b) => Vector256.Max(a, b);
    public static Vector256<uint> Min(Vector256<uint> a, Vector256<uint> b) => Vector256.Min(a, b);
    public static uint LargestOf(Vector256<uint> lanes) =>
        BlockVectors128.LargestOf(Vector128.Max(lanes.GetLower(), lanes.GetUpper()));
    public static uint SmallestOf(Vector256<uint> lanes) =>
        BlockVectors128.SmallestOf(Vector128.Min(lanes.GetLower(), lanes.GetUpper()));

    private static Vector256<float> Narrow(Vector256<double> lower, Vector256<double> upper) =>
        Vector256.Create(Avx.ConvertToVector128Single(lower), Avx.ConvertToVector128Single(upper));
}

/// <summary>Everywhere else: NEON, SSE, WebAssembly, or no vectors at all.</summary>
internal readonly unsafe struct BlockVectors128 : IBlockVectors<Vector128<double>, Vector128<uint>>
{
    public static bool IsSupported => true;
    public static int Width => 2;
    public static bool Fuses => AdvSimd.Arm64.IsSupported;
    public static Vector128<double> Create(double value) => Vector128.Create(value);
    public static Vector128<double> Load(double* from) => Vector128.LoadAligned(from);
    public static Vector128<double> Widen(float* from) =>
        Vector128.WidenLower(Vector128.CreateScalar(*(double*)from).AsSingle());
    public static void Store(Vector128<double> value, double* to) => value.StoreAligned(to);
    public static void Narrow(Vector128<double> lower, Vector128<double> upper, float* to) =>
        Vector128.Narrow(lower, upper).StoreAligned(to);
    public static void NarrowPastCache(Vector128<double> lower, Vector128<double> upper, float* to) =>
        Vector128.Narrow(lower, upper).StoreAlignedNonTemporal(to);
    public static Vector128<double> Add(Vector128<double> a, Vector128<double> b) => a + b;
    public static Vector128<double> Subtract(Vector128<double> a, Vector128<double> b) => a - b;
    public static Vector128<double> Multiply(Vector128<double> a, Vector128<double> b) => a * b;
    public static Vector128<double> MultiplyAdd(Vector128<double> a, Vector128<double> b, Vector128<double> c) =>
        Fuses ? Vector128.FusedMultiplyAdd(a, b, c) : a * b + c;
    public static Vector128<double> FusedMultiplyAdd(Vector128<double> a, Vector128<double> b, Vector128<double> c) =>
        Vector128.FusedMultiplyAdd(a, b, c);

    public static Vector128<double> RoundToOdd(Vector128<double> quotient, Vector128<double> rest)
    {
        var bits = quotient.AsInt64();
        var beyond = Vector128.ShiftRightArithmetic(bits ^ rest.AsInt64(), 63);
        return Vector128.ConditionalSelect(
            Vector128.Equals(rest, Vector128<double>.Zero).AsInt64(), bits, (bits + beyond) | Vector128<long>.One)
            .AsDouble();
    }

    public static Vector128<uint> Bits(uint value) => Vector128.Create(value);
    public static Vector128<uint> Magnitudes(float* from)
    {
        var bits = Vector128.Load((uint*)from);
        return bits + bits;
    }
    public static Vector128<uint> Add(Vector128<uint> a, Vector128<uint> b) => a + b;
    public static Vector128<uint> Max(Vector128<uint> a, Vector128<uint> b) => Vector128.Max(a, b);
    public static Vector128<uint> Min(Vector128<uint> a, Vector128<uint> b) => Vector128.Min(a, b);
    public static uint LargestOf(Vector128<uint> lanes) =>
        Math.Max(Math.Max(lanes[0], lanes[1]), Math.Max(lanes[2], lanes[3]));
    public static uint SmallestOf(Vector128<uint> lanes) =>
        Math.Min(Math.Min(lanes[0], lanes[1]), Math.Min(lanes[2], lanes[3]));
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

/// <summary>
/// The few operations on a register of doubles that the vector transform needs, for one register width.
/// </summary>
internal unsafe interface ILanes<TVector>
    where TVector : struct
{
    /// <summary>Whether this processor has the width, with a fused multiply-add.</summary>
    static abstract bool IsSupported { get; }

    /// <summary>Doubles in a register: a power of two.</summary>
    static abstract int Width { get; }

    static abstract TVector Create(double value);

    static abstract TVector Load(double* source);

    static abstract void Store(TVector vector, double* target);

    /// <summary>Residues below 2^52 to doubles.</summary>
    static abstract TVector LoadResidues(ulong* source);

    /// <summary>Integers in (-2^52, 2^52) to residues in [0, q), by adding q once to the negative ones.</summary>
    static abstract void StoreResidues(TVector vector, TVector q, ulong* target);

    static abstract TVector Add(TVector a, TVector b);

    static abstract TVector Subtract(TVector a, TVector b);

    static abstract TVector Multiply(TVector a, TVector b);

    /// <summary>a · b - c, rounded once.</summary>
    static abstract TVector MultiplySubtract(TVector a, TVector b, TVector c);

    /// <summary>c - a · b, rounded once.</summary>
    static abstract TVector NegatedMultiplyAdd(TVector a, TVector b, TVector c);

    /// <summary>To the nearest integer, ties to even.</summary>
    static abstract TVector Round(TVector a);

    /// <summary>a0 b0 a1 b1 … : the first half in Low, the rest in High.</summary>
    static abstract (TVector Low, TVector High) Zip(TVector a, TVector b);

    /// <summary>The inverse of <see cref="Zip"/>: the even lanes of a and b in Even, the odd ones in Odd.</summary>
    static abstract (TVector Even, TVector Odd) Unzip(TVector a, TVector b);
}

/// <summary>
/// Eight doubles: AVX-512. Asked for by its instructions, because .NET reports Vector512.IsHardwareAccelerated as false
/// on processors that lower their clock for it; here it still wins by far.
/// </summary>
internal readonly unsafe struct Lanes512 : ILanes<Vector512<double>>
{
    private const long Two52 = 0x4330_0000_0000_0000;

    public static bool IsSupported => Avx512F.IsSupported;

    public static int Width => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Create(double value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Load(double* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<double> vector, double* target) => vector.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> LoadResidues(ulong* source)
        => (Vector512.Load((long*)source) | Vector512.Create(Two52)).AsDouble() - Vector512.Create(Two52).AsDouble();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreResidues(Vector512<double> vector, Vector512<double> q, ulong* target)
    {
        var raised = vector + (Vector512.LessThan(vector, Vector512<double>.Zero) & q);
        ((raised + Vector512.Create(Two52).AsDouble()).AsInt64() ^ Vector512.Create(Two52)).Store((long*)target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Add(Vector512<double> a, Vector512<double> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Subtract(Vector512<double> a, Vector512<double> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Multiply(Vector512<double> a, Vector512<double> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> MultiplySubtract(Vector512<double> a, Vector512<double> b, Vector512<double> c)
        => Avx512F.FusedMultiplySubtract(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> NegatedMultiplyAdd(Vector512<double> a, Vector512<double> b, Vector512<double> c)
        => Avx512F.FusedMultiplyAddNegated(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Round(Vector512<double> a) => Avx512F.RoundScale(a, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<double> Low, Vector512<double> High) Zip(Vector512<double> a, Vector512<double> b)
        => (Avx512F.PermuteVar8x64x2(a, Vector512.Create(0L, 8, 1, 9, 2, 10, 3, 11), b),
            Avx512F.PermuteVar8x64x2(a, Vector512.Create(4L, 12, 5, 13, 6, 14, 7, 15), b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<double> Even, Vector512<double> Odd) Unzip(Vector512<double> a, Vector512<double> b)
        => (Avx512F.PermuteVar8x64x2(a, Vector512.Create(0L, 2, 4, 6, 8, 10, 12, 14), b),
            Avx512F.PermuteVar8x64x2(a, Vector512.Create(1L, 3, 5, 7, 9, 11, 13, 15), b));
}

/// <summary>Four doubles: AVX2 with FMA.</summary>
internal readonly unsafe struct Lanes256 : ILanes<Vector256<double>>
{
    private const long Two52 = 0x4330_0000_0000_0000;

    public static bool IsSupported => Avx2.IsSupported && Fma.IsSupported;

    public static int Width => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Create(double value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Load(double* source) => Vector256.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<double> vector, double* target) => vector.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> LoadResidues(ulong* source)
        => (Vector256.Load((long*)source) | Vector256.Create(Two52)).AsDouble() - Vector256.Create(Two52).AsDouble();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreResidues(Vector256<double> vector, Vector256<double> q, ulong* target)
    {
        var raised = vector + (Vector256.LessThan(vector, Vector256<double>.Zero) & q);
        ((raised + Vector256.Create(Two52).AsDouble()).AsInt64() ^ Vector256.Create(Two52)).Store((long*)target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Add(Vector256<double> a, Vector256<double> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Subtract(Vector256<double> a, Vector256<double> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Multiply(Vector256<double> a, Vector256<double> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> MultiplySubtract(Vector256<double> a, Vector256<double> b, Vector256<double> c)
        => Fma.MultiplySubtract(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> NegatedMultiplyAdd(Vector256<double> a, Vector256<double> b, Vector256<double> c)
        => Fma.MultiplyAddNegated(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Round(Vector256<double> a) => Avx.RoundToNearestInteger(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<double> Low, Vector256<double> High) Zip(Vector256<double> a, Vector256<double> b)
    {
        var (even, odd) = (Avx.UnpackLow(a, b), Avx.UnpackHigh(a, b));
        return (Avx.Permute2x128(even, odd, 0x20), Avx.Permute2x128(even, odd, 0x31));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<double> Even, Vector256<double> Odd) Unzip(Vector256<double> a, Vector256<double> b)
    {
        var (low, high) = (Avx.Permute2x128(a, b, 0x20), Avx.Permute2x128(a, b, 0x31));
        return (Avx.UnpackLow(low, high), Avx.UnpackHigh(low, high));
    }
}

/// <summary>Two doubles: AdvSimd on Arm64, and SSE with FMA, where the same code is tested.</summary>
internal readonly unsafe struct Lanes128 : ILanes<Vector128<double>>
{
    private const long Two52 = 0x4330_0000_0000_0000;

    public static bool IsSupported => AdvSimd.Arm64.IsSupported || Fma.IsSupported;

    public static int Width => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Create(double value) => Vector128.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Load(double* source) => Vector128.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector128<double> vector, double* target) => vector.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> LoadResidues(ulong* source)
        => (Vector128.Load((long*)source) | Vector128.Create(Two52)).AsDouble() - Vector128.Create(Two52).AsDouble();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreResidues(Vector128<double> vector, Vector128<double> q, ulong* target)
    {
        var raised = vector + (Vector128.LessThan(vector, Vector128<double>.Zero) & q);
        ((raised + Vector128.Create(Two52).AsDouble()).AsInt64() ^ Vector128.Create(Two52)).Store((long*)target);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Add(Vector128<double> a, Vector128<double> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Subtract(Vector128<double> a, Vector128<double> b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Multiply(Vector128<double> a, Vector128<double> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> MultiplySubtract(Vector128<double> a, Vector128<double> b, Vector128<double> c)
        => Vector128.FusedMultiplyAdd(a, b, -c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> NegatedMultiplyAdd(Vector128<double> a, Vector128<double> b, Vector128<double> c)
        => Vector128.FusedMultiplyAdd(-a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Round(Vector128<double> a) => Vector128.Round(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector128<double> Low, Vector128<double> High) Zip(Vector128<double> a, Vector128<double> b)
        => (Vector128.Create(a.GetLower(), b.GetLower()), Vector128.Create(a.GetUpper(), b.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector128<double> Even, Vector128<double> Odd) Unzip(Vector128<double> a, Vector128<double> b)
        => Zip(a, b);
}

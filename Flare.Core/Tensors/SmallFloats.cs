using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Flare;

/// <summary>
/// Widens 16-bit floating-point elements to <see cref="float"/>, exactly, and narrows back, rounding to nearest, ties
/// to even. Bit for bit what the types' own conversions give, on vectors.
/// </summary>
internal static class SmallFloats
{
    public static void Widen(ReadOnlySpan<Half> source, Span<float> destination) =>
        TensorPrimitives.ConvertToSingle(source, destination);

    public static void Narrow(ReadOnlySpan<float> source, Span<Half> destination) =>
        TensorPrimitives.ConvertToHalf(source, destination);

    public static void Widen(ReadOnlySpan<BFloat16> source, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, source.Length, nameof(destination));
        ref var from = ref Unsafe.As<BFloat16, ushort>(ref MemoryMarshal.GetReference(source));
        ref var to = ref MemoryMarshal.GetReference(destination);
        var i = 0;
        for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(Vector.LoadUnsafe(ref from, (nuint)i), out var low, out var high);
            (low << 16).As<uint, float>().StoreUnsafe(ref to, (nuint)i);
            (high << 16).As<uint, float>().StoreUnsafe(ref to, (nuint)(i + Vector<uint>.Count));
        }
        for (; i < source.Length; i++) destination[i] = (float)source[i];
    }

    public static void Narrow(ReadOnlySpan<float> source, Span<BFloat16> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, source.Length, nameof(destination));
        ref var from = ref MemoryMarshal.GetReference(source);
        ref var to = ref Unsafe.As<BFloat16, ushort>(ref MemoryMarshal.GetReference(destination));
        var i = 0;
        for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            var low = Upper(Vector.LoadUnsafe(ref from, (nuint)i));
            var high = Upper(Vector.LoadUnsafe(ref from, (nuint)(i + Vector<uint>.Count)));
            Vector.Narrow(low, high).StoreUnsafe(ref to, (nuint)i);
        }
        for (; i < source.Length; i++) destination[i] = (BFloat16)source[i];
    }

    // The same steps as BFloat16's conversion.
    private static Vector<uint> Upper(Vector<float> value)
    {
        var bits = value.As<float, uint>();
        var upper = bits >>> 16;
        var rounded = (bits + new Vector<uint>(0x7FFF) + (upper & Vector<uint>.One)) >>> 16;
        return Vector.ConditionalSelect(
            Vector.Equals(value, value).As<int, uint>(), rounded, upper | new Vector<uint>(0x40));
    }
}

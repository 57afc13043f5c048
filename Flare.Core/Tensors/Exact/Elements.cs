using System.Runtime.CompilerServices;

namespace Flare;

/// <summary>How a tensor's elements enter the sum, and how a quotient becomes an element again.</summary>
internal static unsafe class Elements
{
    /// <summary>The type that elements are widened to, without error, before they are added.</summary>
    public static DType Widened(DType dtype) => dtype switch
    {
        DType.Float32 or DType.Float16 or DType.BFloat16 => DType.Float32,
        DType.Int64 or DType.UInt64 => DType.Int64,
        _ => DType.Float64,
    };

    /// <summary>Widens half-precision numbers to floats.</summary>
    public static void ToFloats(DType dtype, byte* source, float* destination, int count)
    {
        var floats = new Span<float>(destination, count);
        if (dtype == DType.Float16) SmallFloats.Widen(new ReadOnlySpan<Half>(source, count), floats);
        else SmallFloats.Widen(new ReadOnlySpan<BFloat16>(source, count), floats);
    }

    /// <summary>Widens doubles and integers of at most 32 bits to doubles.</summary>
    public static void ToDoubles(DType dtype, byte* source, double* destination, int count)
    {
        switch (dtype)
        {
            case DType.Float64: new ReadOnlySpan<double>(source, count).CopyTo(new Span<double>(destination, count));
            break;
            case DType.Int8: Convert((sbyte*)source); break;
            case DType.Int16: Convert((short*)source); break;
            case DType.Int32: Convert((int*)source); break;
            case DType.UInt8: Convert(source); break;
            case DType.UInt16: Convert((ushort*)source); break;
            case DType.UInt32: Convert((uint*)source); break;
            default: throw new ArgumentOutOfRangeException(nameof(dtype), dtype, null);
        }

        void Convert<T>(T* integers) where T : unmanaged, System.Numerics.IBinaryInteger<T>
        {
            for (var i = 0; i < count; i++) destination[i] = double.CreateTruncating(integers[i]);
        }
    }

    /// <summary>
    /// Rounds quotients to elements: nearest, ties to even. For types shorter than a double the quotients must be
    /// rounded to odd, so that this rounding is the only one that shows.
    /// </summary>
    public static void FromDoubles(DType dtype, double* source, byte* destination, int count)
    {
        switch (dtype)
        {
            case DType.Float64: new ReadOnlySpan<double>(source, count).CopyTo(new Span<double>(destination, count));
            break;
            case DType.Float32: for (var i = 0; i < count; i++) ((float*)destination)[i] = (float)source[i]; break;
            case DType.Float16: for (var i = 0; i < count; i++) ((Half*)destination)[i] = (Half)source[i]; break;
            case DType.BFloat16: for (var i = 0; i < count; i++)
                ((BFloat16*)destination)[i] = (BFloat16)ToOddFloat(source[i]); break;
            case DType.Int8: Convert((sbyte*)destination); break;
            case DType.Int16: Convert((short*)destination); break;
            case DType.Int32: Convert((int*)destination); break;
            case DType.UInt8: Convert(destination); break;
            case DType.UInt16: Convert((ushort*)destination); break;
            case DType.UInt32: Convert((uint*)destination); break;
            default: throw new ArgumentOutOfRangeException(nameof(dtype), dtype, null);
        }

        void Convert<T>(T* integers) where T : unmanaged, System.Numerics.IBinaryInteger<T>
        {
            for (var i = 0; i < count; i++)
                integers[i] = T.CreateSaturating(Math.Round(source[i], MidpointRounding.ToEven));
        }
    }

    /// <summary>Whether an element is a finite number; integers are.</summary>
    public static bool IsFinite(DType dtype, byte* source, long index, out double value)
    {
        value = dtype switch
        {
            DType.Float32 => ((float*)source)[index],
            DType.Float64 => ((double*)source)[index],
            DType.Float16 => (double)((Half*)source)[index],
            DType.BFloat16 => (float)((BFloat16*)source)[index],
            _ => 0,
        };
        return double.IsFinite(value);
    }

    private static float ToOddFloat(double value)
    {
        var nearest = (float)value;
        if (nearest == value) return nearest;
        var bits = BitConverter.SingleToInt32Bits(nearest);
        if ((bits & 1) != 0) return nearest;
        return BitConverter.Int32BitsToSingle(Math.Abs(nearest) < Math.Abs(value) ? bits + 1 : bits - 1);
    }
}

namespace Flare;

/// <summary>
/// The element type of a tensor. The numbers are part of the wire and file contracts and never change.
/// </summary>
public enum DType : byte
{
    /// <summary>IEEE 754 binary32, <see cref="float"/>.</summary>
    Float32 = 1,
    /// <summary>IEEE 754 binary64, <see cref="double"/>.</summary>
    Float64 = 2,
    /// <summary>IEEE 754 binary16, <see cref="Half"/>.</summary>
    Float16 = 3,
    /// <summary>The upper half of a binary32, <see cref="Flare.BFloat16"/>.</summary>
    BFloat16 = 4,
    /// <summary><see cref="sbyte"/>.</summary>
    Int8 = 5,
    /// <summary><see cref="short"/>.</summary>
    Int16 = 6,
    /// <summary><see cref="int"/>.</summary>
    Int32 = 7,
    /// <summary><see cref="long"/>.</summary>
    Int64 = 8,
    /// <summary><see cref="byte"/>.</summary>
    UInt8 = 9,
    /// <summary><see cref="ushort"/>.</summary>
    UInt16 = 10,
    /// <summary><see cref="uint"/>.</summary>
    UInt32 = 11,
    /// <summary><see cref="ulong"/>.</summary>
    UInt64 = 12,
    /// <summary><see cref="bool"/>, one byte an element, 0 or 1.</summary>
    Bool = 13,
}

/// <summary>Facts about <see cref="DType"/> values.</summary>
public static class DTypes
{
    /// <summary>Bytes an element takes: 1, 2, 4 or 8.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not a member of <see cref="DType"/>.</exception>
    public static int Size(this DType dtype) => dtype switch
    {
        DType.Int8 or DType.UInt8 or DType.Bool => 1,
        DType.Float16 or DType.BFloat16 or DType.Int16 or DType.UInt16 => 2,
        DType.Float32 or DType.Int32 or DType.UInt32 => 4,
        DType.Float64 or DType.Int64 or DType.UInt64 => 8,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "Not a tensor element type."),
    };

    /// <summary>Whether the type is one of the four floating-point types.</summary>
    public static bool IsFloatingPoint(this DType dtype) =>
        dtype is DType.Float32 or DType.Float64 or DType.Float16 or DType.BFloat16;

    /// <summary>The dtype whose elements are of the CLR type <typeparamref name="T"/>.</summary>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is no tensor element type.</exception>
    public static DType Of<T>() where T : unmanaged =>
        typeof(T) == typeof(float) ? DType.Float32
        : typeof(T) == typeof(double) ? DType.Float64
        : typeof(T) == typeof(Half) ? DType.Float16
        : typeof(T) == typeof(BFloat16) ? DType.BFloat16
        : typeof(T) == typeof(sbyte) ? DType.Int8
        : typeof(T) == typeof(short) ? DType.Int16
        : typeof(T) == typeof(int) ? DType.Int32
        : typeof(T) == typeof(long) ? DType.Int64
        : typeof(T) == typeof(byte) ? DType.UInt8
        : typeof(T) == typeof(ushort) ? DType.UInt16
        : typeof(T) == typeof(uint) ? DType.UInt32
        : typeof(T) == typeof(ulong) ? DType.UInt64
        : typeof(T) == typeof(bool) ? DType.Bool
        : throw new NotSupportedException($"{typeof(T)} is no tensor element type.");
}

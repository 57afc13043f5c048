using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Flare;

/// <summary>
/// What is done to each pair of elements. One method a family of dtypes: a 16-bit float reaches <see cref="Float"/>
/// widened to
/// <see cref="float"/>. The result may be the memory of an operand.
/// </summary>
internal interface IElementKernel
{
    void Float<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>;

    void Integer<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T>;

    void Bool(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result);
}

/// <summary>left + right. Integers wrap around; a bool is an integer of one bit.</summary>
internal readonly struct SumKernel : IElementKernel
{
    public void Float<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        TensorPrimitives.Add(left, right, result);

    public void Integer<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T> =>
        TensorPrimitives.Add(left, right, result);

    public void Bool(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result) =>
        TensorPrimitives.Xor(left, right, result);
}

/// <summary>left - right. Integers wrap around; a bool is an integer of one bit.</summary>
internal readonly struct DifferenceKernel : IElementKernel
{
    public void Float<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        TensorPrimitives.Subtract(left, right, result);

    public void Integer<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T> =>
        TensorPrimitives.Subtract(left, right, result);

    public void Bool(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result) =>
        TensorPrimitives.Xor(left, right, result);
}

/// <summary>left × factor; the right operand is not read.</summary>
internal readonly struct ScaleKernel(double factor) : IElementKernel
{
    public void Float<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        TensorPrimitives.Multiply(left, T.CreateTruncating(factor), result);

    public void Integer<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T>
    {
        for (var i = 0; i < result.Length; i++)
            result[i] = T.CreateSaturating(Math.Round(double.CreateTruncating(left[i]) * factor));
    }

    public void Bool(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result) =>
        throw new NotSupportedException("A bool cannot be scaled.");
}

/// <summary>left + right × factor, the product rounded first.</summary>
internal readonly struct ScaledSumKernel(double factor) : IElementKernel
{
    public void Float<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        TensorPrimitives.MultiplyAdd(right, T.CreateTruncating(factor), left, result);

    public void Integer<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T>
    {
        for (var i = 0; i < result.Length; i++)
            result[i] = T.CreateSaturating(
                Math.Round(double.CreateTruncating(left[i]) + double.CreateTruncating(right[i]) * factor));
    }

    public void Bool(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result) =>
        throw new NotSupportedException("A bool cannot be scaled.");
}

/// <summary>A number, rounded to the element's type; neither operand is read.</summary>
internal readonly struct FillKernel(double value) : IElementKernel
{
    public void Float<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => result.Fill(T.CreateTruncating(value));

    public void Integer<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right, Span<T> result)
        where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T> => result.Fill(T.CreateSaturating(Math.Round(value)));

    public void Bool(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result) =>
        result.Fill(Math.Round(value) > 0 ? (byte)1 : (byte)0);
}

/// <summary>Brings a kernel to raw elements of any dtype.</summary>
internal static class ElementKernels
{
    // Two buffers of floats on the stack, 8 KiB each: they stay in the first-level cache.
    private const int Block = 2048;

    /// <summary>Applies a kernel to equally long runs of bytes that hold elements of one dtype.</summary>
    public static void Apply<TKernel>(
        TKernel kernel, DType dtype, ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result)
        where TKernel : struct, IElementKernel
    {
        switch (dtype)
        {
            case DType.Float32: Float<TKernel, float>(kernel, left, right, result); break;
            case DType.Float64: Float<TKernel, double>(kernel, left, right, result); break;
            case DType.Float16: Halves(
                kernel, As<Half>(left), As<Half>(right), MemoryMarshal.Cast<byte, Half>(result)); break;
            case DType.BFloat16: BFloat16s(
                kernel, As<BFloat16>(left), As<BFloat16>(right), MemoryMarshal.Cast<byte, BFloat16>(result)); break;
            case DType.Int8: Integer<TKernel, sbyte>(kernel, left, right, result); break;
            case DType.Int16: Integer<TKernel, short>(kernel, left, right, result); break;
            case DType.Int32: Integer<TKernel, int>(kernel, left, right, result); break;
            case DType.Int64: Integer<TKernel, long>(kernel, left, right, result); break;
            case DType.UInt8: Integer<TKernel, byte>(kernel, left, right, result); break;
            case DType.UInt16: Integer<TKernel, ushort>(kernel, left, right, result); break;
            case DType.UInt32: Integer<TKernel, uint>(kernel, left, right, result); break;
            case DType.UInt64: Integer<TKernel, ulong>(kernel, left, right, result); break;
            case DType.Bool: kernel.Bool(left, right, result); break;
            default: throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "Not a tensor element type.");
        }
    }

    private static ReadOnlySpan<T> As<T>(ReadOnlySpan<byte> bytes) where T : unmanaged =>
        MemoryMarshal.Cast<byte, T>(bytes);

    private static void Float<TKernel,
        T>(TKernel kernel, ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result)
        where TKernel : struct, IElementKernel where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        kernel.Float(As<T>(left), As<T>(right), MemoryMarshal.Cast<byte, T>(result));

    private static void Integer<TKernel,
        T>(TKernel kernel, ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> result)
        where TKernel : struct, IElementKernel where T : unmanaged, IBinaryInteger<T>, IMinMaxValue<T> =>
        kernel.Integer(As<T>(left), As<T>(right), MemoryMarshal.Cast<byte, T>(result));

    private static void Halves<TKernel>(
        TKernel kernel, ReadOnlySpan<Half> left, ReadOnlySpan<Half> right, Span<Half> result)
        where TKernel : struct, IElementKernel
    {
        Span<float> first = stackalloc float[Block], second = stackalloc float[Block];
        for (var start = 0; start < result.Length; start += Block)
        {
            var count = Math.Min(Block, result.Length - start);
            SmallFloats.Widen(left.Slice(start, count), first);
            SmallFloats.Widen(right.Slice(start, count), second);
            kernel.Float<float>(first[..count], second[..count], first[..count]);
            SmallFloats.Narrow(first[..count], result.Slice(start, count));
        }
    }

    private static void BFloat16s<TKernel>(
        TKernel kernel, ReadOnlySpan<BFloat16> left, ReadOnlySpan<BFloat16> right, Span<BFloat16> result)
        where TKernel : struct, IElementKernel
    {
        Span<float> first = stackalloc float[Block], second = stackalloc float[Block];
        for (var start = 0; start < result.Length; start += Block)
        {
            var count = Math.Min(Block, result.Length - start);
            SmallFloats.Widen(left.Slice(start, count), first);
            SmallFloats.Widen(right.Slice(start, count), second);
            kernel.Float<float>(first[..count], second[..count], first[..count]);
            SmallFloats.Narrow(first[..count], result.Slice(start, count));
        }
    }
}

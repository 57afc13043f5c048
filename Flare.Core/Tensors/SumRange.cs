using System.Numerics;
using System.Runtime.InteropServices;

namespace Flare;

/// <summary>
/// Whether differences can be added to a model and stay finite. One pass over a difference, which finds NaN and
/// infinities on the way: element by element only where the largest of both together would leave the type's range.
/// </summary>
internal sealed class SumRange(StateDict model)
{
    private const int Chunk = 1 << 18;

    // The model's largest magnitudes by tensor, found by the first difference that is looked at.
    private readonly Lazy<double[]> _largest = new(
        () => [.. Enumerable.Range(0, model.Count).Select(i => Largest(model, i))]);

    /// <summary>The reason to refuse the difference, or null.</summary>
    public string? Check(StateDict difference)
    {
        for (var i = 0; i < difference.Count; i++)
        {
            var spec = difference.Layout[i];
            if (!spec.DType.IsFloatingPoint()) continue;
            var largest = Largest(difference, i);
            if (!double.IsFinite(largest))
            {
                // Two finite weights can be farther apart than the type reaches: no fault of the training's.
                return $"its tensor '{spec.Name}' holds NaN or an infinity; "
                    + (spec.DType == DType.Float16
                        ? "a difference of Float16 weights is one beyond ±65504: have the site send Weights, or look "
                            + "at its learning rate and data"
                        : "look at the site's learning rate and data");
            }
            var at = model.Layout.IndexOf(spec.Name);
            if (at < 0 || !model.Layout[at].Equals(spec) || _largest.Value[at] + largest <= MostOf(spec.DType))
                continue;
            if (Overflows(difference, at))
            {
                return $"its difference, up to {Readable.Format(largest, "G3")}, would take the model's tensor "
                    + $"'{spec.Name}' out of the range of "
                    + $"{spec.DType}; look at the site's learning rate and data, or have it send Weights";
            }
        }
        return null;
    }

    private bool Overflows(StateDict difference, int at)
    {
        var name = model.Layout[at].Name;
        using var sum = difference.Select(t => t.Name == name);
        using var part = model.Select(t => t.Name == name);
        sum.AddInPlace(part);
        return sum.FirstNonFiniteTensor() is not null;
    }

    private static double MostOf(DType dtype) => dtype switch
    {
        DType.Float32 => float.MaxValue,
        DType.Float64 => double.MaxValue,
        DType.Float16 => (double)Half.MaxValue,
        _ => (float)BitConverter.Int32BitsToSingle(0x7F7F_0000), // BFloat16
    };

    /// <summary>The largest magnitude; infinite where an element is not finite.</summary>
    private static double Largest(StateDict tensors, int index)
    {
        var (dtype, bits) = (tensors.Layout[index].DType, 0UL);
        if (!dtype.IsFloatingPoint()) return 0;
        for (long start = 0; start < tensors.Layout[index].ByteLength; start += Chunk)
        {
            var bytes = tensors.Bytes(index, start, (int)Math.Min(Chunk, tensors.Layout[index].ByteLength - start));
            bits = Math.Max(bits, dtype switch
            {
                DType.Float32 => LargestBits<uint>(bytes, 0x7FFF_FFFF),
                DType.Float64 => LargestBits<ulong>(bytes, 0x7FFF_FFFF_FFFF_FFFF),
                _ => LargestBits<ushort>(bytes, 0x7FFF),
            });
        }
        var largest = dtype switch
        {
            DType.Float32 => BitConverter.UInt32BitsToSingle((uint)bits),
            DType.Float64 => BitConverter.UInt64BitsToDouble(bits),
            DType.Float16 => (double)BitConverter.UInt16BitsToHalf((ushort)bits),
            _ => BitConverter.UInt32BitsToSingle((uint)bits << 16),
        };
        return double.IsFinite(largest) ? largest : double.PositiveInfinity;
    }

    // Without their sign, floats are ordered as their bits are, and NaN and infinities lie above all others.
    private static ulong LargestBits<T>(ReadOnlySpan<byte> elements, T mask)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        var bits = MemoryMarshal.Cast<byte, T>(elements);
        ref var first = ref MemoryMarshal.GetReference(bits);
        var (masks, most) = (new Vector<T>(mask), Vector<T>.Zero);
        var i = 0;
        for (; i <= bits.Length - Vector<T>.Count; i += Vector<T>.Count)
            most = Vector.Max(most, Vector.LoadUnsafe(ref first, (nuint)i) & masks);
        var largest = T.Zero;
        for (var lane = 0; lane < Vector<T>.Count; lane++) largest = T.Max(largest, most[lane]);
        for (; i < bits.Length; i++) largest = T.Max(largest, bits[i] & mask);
        return ulong.CreateTruncating(largest);
    }
}

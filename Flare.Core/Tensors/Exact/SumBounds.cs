using System.Numerics;

namespace Flare;

/// <summary>
/// What sums of weighted elements of a type can be, given the sum of the weights: between that many times the type's
/// smallest and its largest finite value, and multiples of its lowest bit times the lowest bit of a weight. What is
/// written elsewhere must prove it.
/// </summary>
internal readonly unsafe struct SumBounds
{
    private readonly DType _dtype;
    private readonly int _low;
    private readonly int _top;
    // In units of two to the power of WeightSums.Low.
    private readonly BigInteger _smallest;
    private readonly BigInteger _largest;

    public SumBounds(DType dtype, ReadOnlySpan<long> weights)
    {
        var (lowest, smallest, largest) = RangeOf(dtype);
        var sum = BigInteger.Zero;
        for (var i = weights.Length - 1; i >= 0; i--) sum = (sum << 32) + weights[i];
        _dtype = dtype;
        _low = lowest + WeightSums.LowestBit;
        (_smallest, _largest) = (smallest * sum, largest * sum);
        _top = (int)_largest.GetBitLength() + WeightSums.Low;
    }

    /// <summary>Whether sums can need so many bytes from such a bit on; said before any are read.</summary>
    public bool Allows(int low, int width) =>
        low >= _low && width <= WrittenBlock.MaxWidth && low + 8 * (width - 1) - 1 <= _top;

    /// <summary>The first of some sums that is out of bounds; -1 where none is.</summary>
    public int FirstBeyond(byte* elements, int count, int low, int width)
    {
        var isUnsigned = _smallest.IsZero;
        // As a rule no sum of so many bytes can be as large as the bound.
        if (!isUnsigned && low + 8 * width - 1 < _top - 1) return -1;
        for (var i = 0; i < count; i++)
        {
            var element = new ReadOnlySpan<byte>(elements + i * width, width);
            if (isUnsigned && (sbyte)element[^1] < 0) return i;
            if (low + 8 * width - 1 < _top - 1) continue;
            var (value, shift) = (new BigInteger(element), low - WeightSums.Low);
            var (smallest, largest) = (_smallest, _largest);
            if (shift >= 0) value <<= shift;
            else (smallest, largest) = (smallest << -shift, largest << -shift);
            if (value < smallest || value > largest) return i;
        }
        return -1;
    }

    public override string ToString() => $"sums of {_dtype} from 2^{_low} to 2^{_top}";

    private static (int Lowest, BigInteger Smallest, BigInteger Largest) RangeOf(DType dtype) => dtype switch
    {
        DType.Float64 => Floats(-1074, 53, 1024),
        DType.Float32 => Floats(-149, 24, 128),
        DType.Float16 => Floats(-24, 11, 16),
        DType.BFloat16 => Floats(-133, 8, 128),
        DType.Int64 => (0, long.MinValue, long.MaxValue),
        DType.Int32 => (0, int.MinValue, int.MaxValue),
        DType.Int16 => (0, short.MinValue, short.MaxValue),
        DType.Int8 => (0, sbyte.MinValue, sbyte.MaxValue),
        DType.UInt64 => (0, 0, ulong.MaxValue),
        DType.UInt32 => (0, 0, uint.MaxValue),
        DType.UInt16 => (0, 0, ushort.MaxValue),
        DType.UInt8 => (0, 0, byte.MaxValue),
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, null),
    };

    private static (int, BigInteger, BigInteger) Floats(int lowest, int precision, int top)
    {
        var largest = ((BigInteger.One << precision) - 1) << (top - precision);
        return (lowest, -largest, largest);
    }
}

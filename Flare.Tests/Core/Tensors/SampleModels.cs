using System.Numerics;

namespace Flare.Tests.Core.Tensors;

/// <summary>
/// Models of every dtype with seeded content, odd sizes and all corners: scalars, empty tensors, buffers.
/// </summary>
internal static class SampleModels
{
    public static readonly DType[] AllDTypes = Enum.GetValues<DType>();

    /// <summary>
    /// Two tensors of each dtype, one odd and longer than a block of the kernels, one small, in a mixed order, and two
    /// without elements.
    /// </summary>
    public static TensorLayout MixedLayout(Predicate<DType>? which = null) => new(
    [
        .. AllDTypes.Where(d => which?.Invoke(d) ?? true).Select(d => new TensorSpec($"{d}.odd", d, [3, 691])),
        new("nothing", DType.Float32, [0, 3]),
        .. AllDTypes.Where(d => which?.Invoke(d) ?? true)
        .Select(d => new TensorSpec($"{d}.scalar", d, [], TensorRole.Buffer)),
        new("größe/尺寸 \"quoted\"", DType.Float32, [3]),
        new("empty.last", DType.Float64, [0]),
    ]);

    /// <summary>Finite values of both signs for every dtype; integers over their whole range.</summary>
    public static StateDict Random(TensorLayout layout, int seed)
    {
        var random = new Random(seed);
        var model = new StateDict(layout);
        foreach (var tensor in model)
        {
            switch (tensor.Spec.DType)
            {
                case DType.Float32: Fill(tensor.AsSpan<float>(), () => (float)Gaussian()); break;
                case DType.Float64: Fill(tensor.AsSpan<double>(), Gaussian); break;
                case DType.Float16: Fill(tensor.AsSpan<Half>(), () => (Half)Gaussian()); break;
                case DType.BFloat16: Fill(tensor.AsSpan<BFloat16>(), () => (BFloat16)(float)Gaussian()); break;
                case DType.Int8: Integers<sbyte>(tensor); break;
                case DType.Int16: Integers<short>(tensor); break;
                case DType.Int32: Integers<int>(tensor); break;
                case DType.Int64: Integers<long>(tensor); break;
                case DType.UInt8: Integers<byte>(tensor); break;
                case DType.UInt16: Integers<ushort>(tensor); break;
                case DType.UInt32: Integers<uint>(tensor); break;
                case DType.UInt64: Integers<ulong>(tensor); break;
                case DType.Bool: Fill(tensor.AsSpan<bool>(), () => random.Next(2) == 1); break;
            }
        }
        return model;

        double Gaussian() =>
            Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()) * 3;

        void Integers<T>(TensorView tensor) where T : unmanaged, IBinaryInteger<T> =>
            Fill(tensor.AsSpan<T>(), () => T.CreateTruncating(random.NextInt64(long.MinValue, long.MaxValue)));

        static void Fill<T>(Span<T> span, Func<T> next)
        {
            foreach (ref var element in span) element = next();
        }
    }

    /// <summary>
    /// Elements as numbers that hold every value of every dtype exactly: doubles of floats, and integers as they are.
    /// </summary>
    public static object[] Elements(TensorView tensor) => tensor.Spec.DType switch
    {
        DType.Float32 => [.. tensor.ToArray<float>().Select(x => (object)(double)x)],
        DType.Float64 => [.. tensor.ToArray<double>().Select(x => (object)x)],
        DType.Float16 => [.. tensor.ToArray<Half>().Select(x => (object)(double)x)],
        DType.BFloat16 => [.. tensor.ToArray<BFloat16>().Select(x => (object)(double)(float)x)],
        DType.Int8 => [.. tensor.ToArray<sbyte>().Select(x => (object)(BigInteger)x)],
        DType.Int16 => [.. tensor.ToArray<short>().Select(x => (object)(BigInteger)x)],
        DType.Int32 => [.. tensor.ToArray<int>().Select(x => (object)(BigInteger)x)],
        DType.Int64 => [.. tensor.ToArray<long>().Select(x => (object)(BigInteger)x)],
        DType.UInt8 => [.. tensor.ToArray<byte>().Select(x => (object)(BigInteger)x)],
        DType.UInt16 => [.. tensor.ToArray<ushort>().Select(x => (object)(BigInteger)x)],
        DType.UInt32 => [.. tensor.ToArray<uint>().Select(x => (object)(BigInteger)x)],
        DType.UInt64 => [.. tensor.ToArray<ulong>().Select(x => (object)(BigInteger)x)],
        _ => [.. tensor.ToArray<bool>().Select(x => (object)(BigInteger)(x ? 1 : 0))],
    };

    /// <summary>Smallest and largest value of an integer dtype.</summary>
    public static (BigInteger Min, BigInteger Max) Range(DType dtype) => dtype switch
    {
        DType.Int8 => (sbyte.MinValue, sbyte.MaxValue),
        DType.Int16 => (short.MinValue, short.MaxValue),
        DType.Int32 => (int.MinValue, int.MaxValue),
        DType.Int64 => (long.MinValue, long.MaxValue),
        DType.UInt8 => (0, byte.MaxValue),
        DType.UInt16 => (0, ushort.MaxValue),
        DType.UInt32 => (0, uint.MaxValue),
        DType.UInt64 => (0, ulong.MaxValue),
        _ => (0, 1),
    };

    /// <summary>A value rounded to a floating-point dtype, as a double.</summary>
    public static double Rounded(DType dtype, double value) => dtype switch
    {
        DType.Float32 => (float)value,
        DType.Float16 => (double)(Half)(float)value,
        DType.BFloat16 => (float)(BFloat16)(float)value,
        _ => value,
    };

    /// <summary>As Is.EqualTo, but quick on many elements.</summary>
    public static void AssertSame<T>(IReadOnlyList<T> actual, IReadOnlyList<T> expected, string? what = null)
    {
        if (actual.SequenceEqual(expected)) return;
        Assert.That(actual, Has.Count.EqualTo(expected.Count), what);
        var at = Enumerable.Range(0, actual.Count).First(i => !Equals(actual[i], expected[i]));
        Assert.Fail($"{what}: element {at} is {actual[at]} where {expected[at]} is expected.");
    }

    /// <summary>All bytes of the gaps between tensors.</summary>
    public static bool GapsAreZero(StateDict model)
    {
        var bytes = model.RunBytes(0, (int)model.Layout.ByteLength).ToArray();
        for (var i = 0; i < model.Count; i++)
            bytes.AsSpan((int)model.Layout.OffsetOf(i), (int)model.Layout[i].ByteLength).Clear();
        return !bytes.AsSpan().ContainsAnyExcept((byte)0);
    }
}

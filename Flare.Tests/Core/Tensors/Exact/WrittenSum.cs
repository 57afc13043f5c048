using System.Buffers;
using System.Numerics;

namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>Models of every type, and the written form of sums read from its description, with nothing of the
/// library's.</summary>
internal static class WrittenSum
{
    /// <summary>Every type; lengths around a block of 512 and of none.</summary>
    public static TensorLayout Layout { get; } = new(Enum.GetValues<DType>().Select((dtype, i) =>
        new TensorSpec($"t{i}", dtype, [i % 4 == 0 ? 513 : i % 4 == 1 ? 37 : 520 - 8 * i])).Append(
        new TensorSpec("empty", DType.Float32, [0])).Append(new TensorSpec("bias", DType.Float32, [1030])));

    public static byte[] Bytes(ExactSum sum)
    {
        var output = new ArrayBufferWriter<byte>();
        sum.WriteTo(output);
        return output.WrittenSpan.ToArray();
    }

    public static ExactSum Read(TensorLayout layout, byte[] bytes)
    {
        var sum = new ExactSum(layout);
        sum.Read(new ReadOnlySequence<byte>(bytes));
        return sum;
    }

    /// <summary>A model, some of whose tensors may be missing.</summary>
    public static StateDict Model(Random random, string kind, int contribution, bool whole = true)
    {
        var model = new StateDict(whole ? Layout : new TensorLayout(Layout.Where(_ => random.Next(4) != 0)));
        foreach (var tensor in model)
        {
            switch (tensor.Spec.DType)
            {
                case DType.Float32: Fill<float>(tensor, Sample); break;
                case DType.Float64: Fill<double>(tensor, i => Double(random, kind, i, contribution)); break;
                case DType.Float16: Fill<Half>(tensor, i => Finite((Half)Sample(i))); break;
                case DType.BFloat16: Fill<BFloat16>(tensor, i => Finite((BFloat16)Sample(i))); break;
                case DType.Int8: Fill<sbyte>(tensor, _ => (sbyte)random.Next(-128, 128)); break;
                case DType.Int16: Fill<short>(tensor, _ => (short)random.Next()); break;
                case DType.Int32: Fill<int>(tensor, _ => random.Next(int.MinValue, int.MaxValue)); break;
                case DType.Int64: Fill<long>(tensor, _ => random.NextInt64(long.MinValue, long.MaxValue)); break;
                case DType.UInt8: Fill<byte>(tensor, _ => (byte)random.Next()); break;
                case DType.UInt16: Fill<ushort>(tensor, _ => (ushort)random.Next()); break;
                case DType.UInt32: Fill<uint>(tensor, _ => (uint)random.NextInt64()); break;
                case DType.UInt64: Fill<ulong>(tensor, _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue));
                break;
            }
        }
        return model.Freeze();

        float Sample(int element) => ExactModels.Sample(random, kind, element, contribution);
    }

    /// <summary>An element in units of 2^-1074.</summary>
    public static BigInteger Element(TensorView tensor, int i) => tensor.Spec.DType switch
    {
        DType.Float32 => Oracle.Fixed(tensor.AsReadOnlySpan<float>()[i]),
        DType.Float64 => Oracle.Fixed(tensor.AsReadOnlySpan<double>()[i]),
        DType.Float16 => Oracle.Fixed((double)tensor.AsReadOnlySpan<Half>()[i]),
        DType.BFloat16 => Oracle.Fixed((float)tensor.AsReadOnlySpan<BFloat16>()[i]),
        DType.Int8 => (BigInteger)tensor.AsReadOnlySpan<sbyte>()[i] << 1074,
        DType.Int16 => (BigInteger)tensor.AsReadOnlySpan<short>()[i] << 1074,
        DType.Int32 => (BigInteger)tensor.AsReadOnlySpan<int>()[i] << 1074,
        DType.Int64 => (BigInteger)tensor.AsReadOnlySpan<long>()[i] << 1074,
        DType.UInt8 => (BigInteger)tensor.AsReadOnlySpan<byte>()[i] << 1074,
        DType.UInt16 => (BigInteger)tensor.AsReadOnlySpan<ushort>()[i] << 1074,
        DType.UInt32 => (BigInteger)tensor.AsReadOnlySpan<uint>()[i] << 1074,
        DType.UInt64 => (BigInteger)tensor.AsReadOnlySpan<ulong>()[i] << 1074,
        _ => throw new ArgumentException(tensor.Spec.ToString()),
    };

    /// <summary>The written form of contributions, made with rational arithmetic from what the form is described
    /// as.</summary>
    public static byte[] Expected(TensorLayout layout, IReadOnlyList<(StateDict Tensors, double Weight)> contributions)
    {
        var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        writer.Write("FLXS"u8);
        writer.Write(ExactSum.WrittenVersion);
        writer.Write(Convert.FromHexString(layout.Fingerprint));
        writer.Write((long)contributions.Count);
        var flags = new byte[(layout.Count + 7) / 8];
        for (var t = 0; t < layout.Count; t++) if (layout[t].DType != DType.Bool) flags[t / 8] |= (byte)(1 << t % 8);
        writer.Write(flags);
        foreach (var spec in layout)
        {
            var weights = Holding(spec).Select(c => Oracle.Fixed(c.Weight)).ToArray();
            writer.Write(weights.Length);
            var sum = weights.Aggregate(BigInteger.Zero, (a, b) => a + b) >> (1074 - 128);
            var words = sum.ToByteArray(isUnsigned: true);
            writer.Write([.. words, .. new byte[32 - words.Length]]);
        }
        foreach (var spec in layout)
        {
            var terms = Holding(spec).Select(c => (Tensor: c.Tensors[spec.Name], Weight: Oracle.Fixed(c.Weight)))
                .ToArray();
            if (spec.DType == DType.Bool || terms.Length == 0) continue;
            for (var first = 0; first < spec.Length; first += 512)
            {
                var sums = Enumerable.Range(first, (int)Math.Min(512, spec.Length - first)).Select(i =>
                    terms.Aggregate(BigInteger.Zero, (sum, term) => sum + Element(term.Tensor, i) * term.Weight))
                    .ToArray();
                WriteBlock(writer, sums);
            }
        }
        return bytes.ToArray();

        IEnumerable<(StateDict Tensors, double Weight)> Holding(TensorSpec spec) =>
            contributions.Where(c => c.Tensors.Layout.IndexOf(spec.Name) >= 0);
    }

    private static void WriteBlock(BinaryWriter writer, BigInteger[] sums)
    {
        var low = 0;
        if (sums.All(s => s.IsZero))
        {
            writer.Write(0);
            return;
        }
        foreach (var bits in new[] { 32, 1 })
            while (sums.All(s => (s >> bits) << bits == s))
                (sums, low) = ([.. sums.Select(s => s >> bits)], low + bits);
        var width = sums.Max(s => s.GetByteCount());
        writer.Write((short)(low - 2 * 1074));
        writer.Write((ushort)width);
        foreach (var sum in sums)
        {
            var bytes = sum.ToByteArray();
            writer.Write([.. bytes, .. Enumerable.Repeat((byte)(sum.Sign < 0 ? 0xFF : 0), width - bytes.Length)]);
        }
    }

    private static double Double(Random random, string kind, int i, int contribution)
    {
        if (kind is not ("any bits" or "huge" or "tiny"))
            return ExactModels.Sample(random, kind, i, contribution) / 3.0;
        if (kind == "huge") return (random.NextDouble() - 0.5) * double.MaxValue;
        if (kind == "tiny") return random.Next(-3, 4) * double.Epsilon;
        var value = BitConverter.Int64BitsToDouble(random.NextInt64(long.MinValue, long.MaxValue));
        return double.IsFinite(value) ? value : 1;
    }

    private static Half Finite(Half value) => Half.IsFinite(value) ? value : Half.MaxValue;

    private static BFloat16 Finite(BFloat16 value) => float.IsFinite((float)value) ? value : (BFloat16)1f;

    private static void Fill<T>(TensorView tensor, Func<int, T> value) where T : unmanaged
    {
        var elements = tensor.AsSpan<T>();
        for (var i = 0; i < elements.Length; i++) elements[i] = value(i);
    }
}

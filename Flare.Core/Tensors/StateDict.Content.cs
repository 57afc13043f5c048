using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Flare;

/// <content>Questions about the content as a whole.</content>
public sealed partial class StateDict
{
    // Small enough to stop soon at a bad element, large enough that the loop's ends do not count.
    private const int ScanChunk = 1 << 18;

    /// <summary>
    /// The name of the first tensor, in order, that holds a NaN or an infinity; null where all elements are finite.
    /// Integers always are.
    /// </summary>
    public string? FirstNonFiniteTensor() => FirstNonFinite()?.Tensor;

    /// <summary>
    /// Where the first NaN or infinity is: the tensor's name, and the element's place in it; null where there is none.
    /// </summary>
    internal (string Tensor, long Element)? FirstNonFinite()
    {
        foreach (var run in Layout.Runs)
        {
            if (!run.DType.IsFloatingPoint()) continue;
            foreach (var (start, length) in ChunksOf(run, ScanChunk))
            {
                var bytes = RunBytes(start, length);
                var at = run.DType switch
                {
                    DType.Float32 => NonFinite.IndexIn<uint>(bytes, 0x7F80_0000),
                    DType.Float64 => NonFinite.IndexIn<ulong>(bytes, 0x7FF0_0000_0000_0000),
                    DType.Float16 => NonFinite.IndexIn<ushort>(bytes, 0x7C00),
                    _ => NonFinite.IndexIn<ushort>(bytes, 0x7F80),
                };
                if (at < 0) continue;
                var tensor = Layout.IndexAt(start + at);
                return (Layout[tensor].Name, (start + at - Layout.OffsetOf(tensor)) / run.DType.Size());
            }
        }
        return null;
    }

    /// <summary>
    /// The L2 norm, the square root of the sum of squares, of the floating-point tensors taken as one vector. Summed in
    /// double in a fixed order: every machine gives the same bits. Infinite or NaN where an element is, or where a sum
    /// of squares exceeds double's range.
    /// </summary>
    /// <param name="which">The tensors to count, of those that are floating-point; all when null.</param>
    public double L2Norm(Predicate<TensorSpec>? which = null)
    {
        var sum = 0.0;
        for (var i = 0; i < Count; i++)
            if (Layout[i].DType.IsFloatingPoint() && (which is null || which(Layout[i]))) sum += SumOfSquares(i);
        return Math.Sqrt(sum);
    }

    /// <summary>
    /// SHA-256, in lower-case hex, over the layout's fingerprint (its 64 hex digits) and then every tensor's elements,
    /// little-endian, in order, without gaps: one model, one name.
    /// </summary>
    public string Sha256()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.ASCII.GetBytes(Layout.Fingerprint));
        foreach (var tensor in this)
            foreach (var chunk in tensor.Chunks()) hash.AppendData(tensor.BytesOf(chunk));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>
    /// Whether another state dict has the same layout and the same bits: a NaN equals itself, a negative zero does not
    /// equal a positive one.
    /// </summary>
    public bool ContentEquals(StateDict other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (!Layout.Equals(other.Layout)) return false;
        foreach (var (start, length) in new TensorChunks(Layout.ByteLength, TensorChunks.MostBytes))
            if (!RunBytes(start, length).SequenceEqual(other.RunBytes(start, length))) return false;
        return true;
    }

    /// <summary>A copy of some of the tensors, in their order.</summary>
    /// <param name="which">The tensors to take, as in <c>spec =&gt; spec.Role == TensorRole.Parameter</c>.</param>
    public StateDict Select(Predicate<TensorSpec> which)
    {
        ArgumentNullException.ThrowIfNull(which);
        int[] chosen = [.. Enumerable.Range(0, Count).Where(i => which(Layout[i]))];
        var selection = CreateUninitialized(new TensorLayout(chosen.Select(i => Layout[i])));
        for (var i = 0; i < chosen.Length; i++) this[chosen[i]].CopyTo(selection[i]);
        return selection;
    }

    /// <summary>
    /// Takes over the values of the tensors of <paramref name="source"/>; the others stay as they are. With
    /// <see cref="Select"/> a workflow changes a part of a model.
    /// </summary>
    /// <param name="source">Tensors that are here too, each with the same type and number of elements.</param>
    /// <exception cref="KeyNotFoundException">One of them is not here; those before it are replaced.</exception>
    /// <exception cref="ArgumentException">One of them has another type or number of elements here.</exception>
    /// <exception cref="InvalidOperationException">These tensors are frozen.</exception>
    public void Replace(StateDict source)
    {
        ArgumentNullException.ThrowIfNull(source);
        foreach (var tensor in source) tensor.CopyTo(this[tensor.Name]);
    }

    /// <summary>
    /// The name of the first tensor of bools with a byte other than 0 and 1, which no CLR bool may hold: for decoders.
    /// </summary>
    internal string? FirstInvalidBoolTensor()
    {
        for (var i = 0; i < Count; i++)
        {
            if (Layout[i].DType != DType.Bool) continue;
            foreach (var chunk in this[i].Chunks())
                if (Bytes(i, chunk).ContainsAnyExceptInRange((byte)0, (byte)1)) return Layout[i].Name;
        }
        return null;
    }

    // A run's parts in bytes from the model's begin; a multiple of the alignment each.
    private static RunChunks ChunksOf(TensorRun run, int most = TensorChunks.MostBytes) => new(run, most);

    private readonly struct RunChunks(TensorRun run, int most)
    {
        public Enumerator GetEnumerator() => new(run.Offset, new TensorChunks(run.ByteLength, most).GetEnumerator());

        internal struct Enumerator(long offset, TensorChunks.Enumerator chunks)
        {
            private TensorChunks.Enumerator _chunks = chunks;

            public readonly TensorChunk Current => _chunks.Current with { Start = offset + _chunks.Current.Start };

            public bool MoveNext() => _chunks.MoveNext();
        }
    }

    private double SumOfSquares(int index)
    {
        Span<float> widened = stackalloc float[SquaredNorm.Block];
        var (dtype, sum) = (Layout[index].DType, 0.0);
        foreach (var chunk in this[index].Chunks(SquaredNorm.Block))
        {
            ReadOnlySpan<byte> bytes = Bytes(index, chunk);
            switch (dtype)
            {
                case DType.Float32:
                    sum += SquaredNorm.OfBlock(MemoryMarshal.Cast<byte, float>(bytes));
                    break;
                case DType.Float64:
                    sum += SquaredNorm.OfBlock(MemoryMarshal.Cast<byte, double>(bytes));
                    break;
                case DType.Float16:
                    SmallFloats.Widen(MemoryMarshal.Cast<byte, Half>(bytes), widened);
                    sum += SquaredNorm.OfBlock(widened[..(bytes.Length / 2)]);
                    break;
                default:
                    SmallFloats.Widen(MemoryMarshal.Cast<byte, BFloat16>(bytes), widened);
                    sum += SquaredNorm.OfBlock(widened[..(bytes.Length / 2)]);
                    break;
            }
        }
        return sum;
    }
}

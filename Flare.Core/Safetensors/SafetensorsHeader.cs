using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Flare;

/// <summary>
/// The header of a safetensors file (https://huggingface.co/docs/safetensors): eight bytes of little-endian length,
/// JSON, then the data of all tensors without a gap. What the format has no place for is kept in its
/// <c>__metadata__</c>: <c>flare.buffers</c>, the names of the tensors that are buffers, and <c>flare.order</c>, the
/// names in the layout's order where the data has another; both JSON arrays in a string.
/// </summary>
/// <param name="Layout">The tensors in the state dict's order.</param>
/// <param name="DataOrder">Their indexes in the order of the data.</param>
/// <param name="DataLength">Bytes of the data.</param>
internal sealed record SafetensorsHeader(TensorLayout Layout, int[] DataOrder, long DataLength)
{
    /// <summary>Bytes of the length before the JSON.</summary>
    public const int PrefixLength = 8;

    /// <summary>The format's own limit on the JSON's bytes.</summary>
    public const int MaxLength = 100_000_000;

    /// <summary>
    /// Tensors in a file, entries of its metadata, names in a list: more than any model has, and what they take stays
    /// small.
    /// </summary>
    public const int MaxEntries = 1 << 17;

    internal const string Metadata = "__metadata__", Buffers = "flare.buffers", Order = "flare.order";

    // Nobody puts the header into HTML: names stay as they are, in UTF-8.
    private static readonly JsonWriterOptions Readable = new() {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>
    /// The header for a layout. Like the reference, it orders the data by falling element size, so that all tensors are
    /// aligned.
    /// </summary>
    public static SafetensorsHeader For(TensorLayout layout)
    {
        int[] order = [.. Enumerable.Range(0, layout.Count).OrderByDescending(i => layout[i].DType.Size())];
        return new(layout, order, layout.Sum(spec => spec.ByteLength));
    }

    /// <summary>Length and JSON, padded with spaces to a multiple of eight bytes.</summary>
    /// <exception cref="SafetensorsException">A tensor's name is the format's own, or the header exceeds its
    /// limit.</exception>
    public byte[] ToBytes(string target)
    {
        if (Layout.Count > MaxEntries)
        {
            throw new SafetensorsException(
                Invariant(
                    $"{target}: {Layout.Count:N0} tensors, where a file holds at most {MaxEntries:N0}. Save them in ")
                        + "several files.");
        }
        if (Layout.IndexOf(Metadata) >= 0)
            throw new SafetensorsException(
                $"{target}: no tensor can be named '{Metadata}', which "
                    + "the format keeps for itself. Rename the tensor.");
        var bytes = new ArrayBufferWriter<byte>(1024);
        bytes.Write(stackalloc byte[PrefixLength]);
        using (var json = new Utf8JsonWriter(bytes, Readable))
        {
            json.WriteStartObject();
            WriteMetadata(json);
            long begin = 0;
            foreach (var index in DataOrder)
            {
                var spec = Layout[index];
                json.WriteStartObject(spec.Name);
                json.WriteString("dtype", NameOf(spec.DType));
                json.WriteStartArray("shape");
                foreach (var dimension in spec.Shape) json.WriteNumberValue(dimension);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(begin);
                json.WriteNumberValue(begin += spec.ByteLength);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        var padding = -bytes.WrittenCount & 7;
        bytes.GetSpan(padding)[..padding].Fill((byte)' ');
        bytes.Advance(padding);
        var header = bytes.WrittenSpan.ToArray();
        if (header.Length - PrefixLength > MaxLength)
            throw new SafetensorsException(
                Invariant(
                    $"{target}: the header takes {header.Length - PrefixLength:N0} bytes, and the format allows ")
                        + Invariant($"{MaxLength:N0}. Save the tensors in several files."));
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - PrefixLength);
        return header;
    }

    // "format": "pt" is what PyTorch's tools, such as transformers, ask of a file whose tensors are row-major.
    private void WriteMetadata(Utf8JsonWriter json)
    {
        json.WriteStartObject(Metadata);
        json.WriteString("format", "pt");
        if (Layout.Any(spec => spec.Role == TensorRole.Buffer))
            json.WriteString(Buffers, Names(Layout.Where(spec => spec.Role == TensorRole.Buffer)));
        if (!DataOrder.SequenceEqual(Enumerable.Range(0, Layout.Count)))
            json.WriteString(Order, Names(Layout));
        json.WriteEndObject();
    }

    private static ReadOnlySpan<byte> Names(IEnumerable<TensorSpec> specs)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(bytes, Readable))
        {
            json.WriteStartArray();
            foreach (var spec in specs) json.WriteStringValue(spec.Name);
            json.WriteEndArray();
        }
        return bytes.WrittenSpan;
    }

    // The format's names, in the order of our numbers.
    private static readonly string[] DTypeNames =
        ["F32", "F64", "F16", "BF16", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"];

    private static string NameOf(DType dtype) => DTypeNames[(int)dtype - 1];

    public static DType? DTypeOf(string name) =>
        Array.IndexOf(DTypeNames, name) is >= 0 and var index ? (DType)(index + 1) : null;
}

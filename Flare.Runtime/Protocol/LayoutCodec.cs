using System.Buffers;
using System.Text;
using MessagePack;

namespace Flare.Runtime;

/// <summary>
/// Layouts as MessagePack: an array of layouts, each an array of tensors, each an array of name, dtype, role and
/// dimensions.
/// </summary>
internal static class LayoutCodec
{
    /// <summary>Layouts of one message at most: each makes objects that its byte does not pay for.</summary>
    public const int MostLayouts = 1024;

    private const int MostTensors = 1 << 20;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Writes layouts.</summary>
    /// <exception cref="FlareException">They are more than <see cref="MostLayouts"/>.</exception>
    public static byte[] Write(IReadOnlyList<StateDict> tensors)
    {
        if (tensors.Count == 0) return [];
        if (tensors.Count > MostLayouts)
        {
            throw new FlareException(
                ErrorIds.MalformedMessage,
                $"A message has tensors at {tensors.Count} places, and {MostLayouts} is the most: put them into fewer "
                    + "state dicts.");
        }
        var output = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(output);
        writer.WriteArrayHeader(tensors.Count);
        foreach (var dict in tensors)
        {
            writer.WriteArrayHeader(dict.Count);
            foreach (var spec in dict.Layout)
            {
                writer.WriteArrayHeader(3 + spec.Shape.Length);
                writer.Write(spec.Name);
                writer.Write((byte)spec.DType);
                writer.Write((byte)spec.Role);
                foreach (var dimension in spec.Shape) writer.Write(dimension);
            }
        }
        writer.Flush();
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Reads layouts from bytes of anybody's making; nothing is made that the bytes do not fill.</summary>
    /// <param name="bytes">The layouts.</param>
    /// <param name="most">How many there can be at most: each value that is one takes a byte or more.</param>
    /// <exception cref="FlareException">They are malformed.</exception>
    public static IReadOnlyList<TensorLayout> Read(ReadOnlyMemory<byte> bytes, int most)
    {
        if (bytes.Length == 0) return [];
        try
        {
            var reader = new MessagePackReader(bytes);
            // Each count is of no more than the remaining bytes can hold: the reader looks.
            var layoutCount = reader.ReadArrayHeader();
            if (layoutCount > Math.Min(most, MostLayouts))
                throw WireFormat.Malformed($"{layoutCount} layouts, more than {Math.Min(most, MostLayouts)}");
            var layouts = new TensorLayout[layoutCount];
            var left = MostTensors;
            for (var i = 0; i < layouts.Length; i++)
            {
                var count = reader.ReadArrayHeader();
                if ((left -= count) < 0) throw WireFormat.Malformed($"more than {MostTensors} tensors");
                var specs = new TensorSpec[count];
                for (var t = 0; t < count; t++) specs[t] = ReadSpec(ref reader);
                layouts[i] = new TensorLayout(specs);
            }
            return reader.End ? layouts : throw WireFormat.Malformed("bytes after the layouts");
        }
        catch (Exception e) when (e is EndOfStreamException or MessagePackSerializationException or ArgumentException
            or OverflowException or InvalidOperationException)
        {
            throw WireFormat.Malformed("layouts of tensors that are none", e);
        }
    }

    private static TensorSpec ReadSpec(ref MessagePackReader reader)
    {
        var fields = reader.ReadArrayHeader();
        if (fields is < 3 or > 3 + TensorSpec.MaxRank) throw WireFormat.Malformed($"a tensor of {fields} fields");
        var name = reader.ReadStringSequence() is { } text ? Utf8.GetString(text) : "";
        var (dtype, role) = ((DType)reader.ReadByte(), (TensorRole)reader.ReadByte());
        Span<long> shape = stackalloc long[fields - 3];
        for (var i = 0; i < shape.Length; i++) shape[i] = reader.ReadInt64();
        return new TensorSpec(name, dtype, shape, role);
    }
}

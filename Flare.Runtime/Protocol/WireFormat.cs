using System.Buffers;
using System.Buffers.Binary;

namespace Flare.Runtime;

/// <summary>
/// A message's bytes: the lengths of the two parts that follow (two 32-bit integers, little-endian), the layouts of its
/// tensors (<see cref="LayoutCodec"/>), its values (<see cref="FlareMapCodec"/>), and then each state dict's run of
/// memory, gaps included.
/// </summary>
internal static class WireFormat
{
    public const int PrefixSize = 8;

    // Messages nest as deep as Freeze allows, and the record adds some levels.
    public static FlareMapLimits Limits { get; } = new() { MaxDepth = 72 };

    public static FlareException Malformed(string what, Exception? inner = null) => new(
        ErrorIds.MalformedBytes,
        $"A message over the link is malformed: {what}. Use the same version of Flare at both ends; where they are, "
            + "what the peer sends is not Flare's.",
        inner);

    /// <summary>The bytes of a record's values; tensors stay where they are.</summary>
    public static ReadOnlySequence<byte> Write(FlareMap map)
    {
        var tensors = new List<StateDict>();
        var values = new ArrayBufferWriter<byte>(256);
        FlareMapCodec.Write(map, values, tensors, Limits);
        var layouts = LayoutCodec.Write(tensors);
        var start = new byte[PrefixSize + layouts.Length + values.WrittenCount];
        BinaryPrimitives.WriteInt32LittleEndian(start, layouts.Length);
        BinaryPrimitives.WriteInt32LittleEndian(start.AsSpan(4), values.WrittenCount);
        layouts.CopyTo(start.AsSpan(PrefixSize));
        values.WrittenSpan.CopyTo(start.AsSpan(PrefixSize + layouts.Length));
        if (tensors.Count == 0) return new(start);
        var first = new TensorSegment(start);
        var last = first;
        foreach (var dict in tensors)
            foreach (var chunk in new TensorChunks(dict.Layout.ByteLength, TensorChunks.MostBytes))
                last = last.Append(new TensorRunMemory(dict, chunk).Memory);
        return new(first, 0, last, last.Memory.Length);
    }

    private sealed class TensorSegment : ReadOnlySequenceSegment<byte>
    {
        public TensorSegment(ReadOnlyMemory<byte> memory) => Memory = memory;

        public TensorSegment Append(ReadOnlyMemory<byte> memory)
        {
            var next = new TensorSegment(memory) { RunningIndex = RunningIndex + Memory.Length };
            Next = next;
            return next;
        }
    }

    /// <summary>A stretch of a state dict's memory, which is pinned for good and lives as long as this.</summary>
    private sealed unsafe class TensorRunMemory(StateDict dict, TensorChunk chunk) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => dict.RunBytes(chunk.Start, chunk.Length);

        public override MemoryHandle Pin(int elementIndex = 0) =>
            new(dict.Pointer + chunk.Start + elementIndex, default, this);

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}

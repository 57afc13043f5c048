using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Flare;

// The written form: "FLXS", the version, the layout's fingerprint, the number of contributions, a bit for each tensor
// that says whether it is summed, a count and a sum of weights for each tensor, and the blocks of those that are summed
// and were contributed.
public sealed unsafe partial class ExactSum
{
    /// <summary>The version of the written form.</summary>
    public const int WrittenVersion = 1;

    private const uint Magic = 0x5358_4C46;
    private const int HeadBytes = 4 + 4 + 32 + 8;
    private const int WeightBytes = 4 + 4 * WeightSums.Words;

    private byte[] _block = [];

    /// <summary>
    /// Writes the sum, the weights and the counts in their one canonical form: the same bytes for the same
    /// contributions, whatever their order, however they were grouped into sums that were merged, and whatever was
    /// added and subtracted meanwhile. A <see cref="Read"/> elsewhere makes the sum again, bit by bit. Takes as a rule
    /// six or seven bytes for each element of 32-bit floats. The sum stays as it is.
    /// </summary>
    /// <param name="output">Takes the bytes; given a kilobyte to some 150 kilobytes at a time.</param>
    /// <exception cref="InvalidOperationException">An earlier call was cut short.</exception>
    public void WriteTo(IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        RequireWhole();
        WriteHead(output);
        for (var tensor = 0; tensor < Layout.Count; tensor++)
        {
            if (!_averaged[tensor] || _weights.CountOf(tensor) == 0) continue;
            for (var block = _firstBlocks[tensor]; block < _firstBlocks[tensor + 1]; block++)
                WrittenBlock.Write(output, _sums[block], CellsOf(block), PlaceOf(block, tensor).Count);
        }
    }

    /// <summary>
    /// Takes over a sum that <see cref="WriteTo"/> wrote, in place of what this one holds. What arrives is trusted in
    /// nothing: it is read to the end and checked before anybody can merge it, and nothing is allocated for lengths
    /// that it only claims. Reading needs this sum's own memory, as a first <c>Add</c> does.
    /// </summary>
    /// <param name="written">The bytes, all of them and no more; only read during the call.</param>
    /// <exception cref="FlareException">They are no written sum, or of another version, of another layout or with other
    /// tensors excluded, cut short or too long, not in the canonical form, or no contributions can have made such a
    /// sum. This sum is empty then.</exception>
    public void Read(in ReadOnlySequence<byte> written)
    {
        Reset();
        try
        {
            var reader = new SequenceReader<byte>(written);
            var count = ReadHead(ref reader);
            RentSums();
            for (var tensor = 0; tensor < Layout.Count; tensor++)
                if (_averaged[tensor] && _weights.CountOf(tensor) > 0) ReadTensor(ref reader, tensor);
            if (!reader.End) throw Refused($"{reader.Remaining} bytes follow its end");
            Count = count;
            (_additions, _contributions) = (count, count);
        }
        catch
        {
            Reset();
            throw;
        }
    }

    private void WriteHead(IBufferWriter<byte> output)
    {
        var head = output.GetSpan(HeadBytes)[..HeadBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(head, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(head[4..], WrittenVersion);
        Convert.FromHexString(Layout.Fingerprint).CopyTo(head[8..]);
        BinaryPrimitives.WriteInt64LittleEndian(head[40..], Count);
        output.Advance(HeadBytes);

        var flags = output.GetSpan((Layout.Count + 7) / 8)[..((Layout.Count + 7) / 8)];
        flags.Clear();
        for (var i = 0; i < _averaged.Length; i++) if (_averaged[i]) flags[i >> 3] |= (byte)(1 << (i & 7));
        output.Advance(flags.Length);

        for (var i = 0; i < Layout.Count; i++)
        {
            _weights.Write(i, output.GetSpan(WeightBytes));
            output.Advance(WeightBytes);
        }
    }

    private int ReadHead(ref SequenceReader<byte> reader)
    {
        Span<byte> head = stackalloc byte[HeadBytes];
        Take(ref reader, head);
        if (BinaryPrimitives.ReadUInt32LittleEndian(head) != Magic) throw Refused("it does not begin as one");
        if (BinaryPrimitives.ReadInt32LittleEndian(head[4..]) is var version and not WrittenVersion)
            throw Refused($"its version is {version}, and this library reads {WrittenVersion}");
        if (!head.Slice(8, 32).SequenceEqual(Convert.FromHexString(Layout.Fingerprint)))
            throw Refused("it is of another layout than this model's");
        var count = BinaryPrimitives.ReadInt64LittleEndian(head[40..]);
        if (count is < 0 or > MaxContributions) throw Refused($"it claims {count} contributions");

        for (var first = 0; first < Layout.Count; first += 8)
        {
            if (!reader.TryRead(out var flags)) throw CutShort();
            for (var i = first; i < first + 8; i++)
                if ((flags >> (i - first) & 1) != (i < Layout.Count && _averaged[i] ? 1 : 0))
                    throw Refused("it sums other tensors than this one");
        }

        Span<byte> weight = stackalloc byte[WeightBytes];
        for (var i = 0; i < Layout.Count; i++)
        {
            Take(ref reader, weight);
            if (!_weights.TryRead(i, weight, (int)count))
                throw Refused($"the weights of tensor '{Layout[i].Name}' are no sum of at most {count} weights");
        }
        return (int)count;
    }

    [SkipLocalsInit]
    private void ReadTensor(ref SequenceReader<byte> reader, int tensor)
    {
        var bounds = new SumBounds(Layout[tensor].DType, _weights.WordsOf(tensor));
        Span<byte> head = stackalloc byte[WrittenBlock.HeadBytes];
        for (var block = _firstBlocks[tensor]; block < _firstBlocks[tensor + 1]; block++)
        {
            Take(ref reader, head);
            var low = BinaryPrimitives.ReadInt16LittleEndian(head);
            var width = BinaryPrimitives.ReadUInt16LittleEndian(head[2..]);
            if (width == 0 && low == 0) continue;
            if (width == 0 || !bounds.Allows(low, width))
                throw Refused($"tensor '{Layout[tensor].Name}' holds no {bounds}");

            var at = PlaceOf(block, tensor);
            var bytes = at.Count * width;
            if (reader.Remaining < bytes) throw CutShort();
            // Eight bytes more, so that every element can be read as one word.
            if (_block.Length < bytes + 8) _block = GC.AllocateUninitializedArray<byte>(bytes + 8);
            Take(ref reader, _block.AsSpan(0, bytes));
            fixed (byte* elements = _block)
            {
                if (!WrittenBlock.IsCanonical(elements, at.Count, width))
                    throw Refused($"tensor '{Layout[tensor].Name}' is not written in the canonical form");
                if (bounds.FirstBeyond(elements, at.Count, low, width) is >= 0 and var beyond)
                    throw Refused($"tensor '{Layout[tensor].Name}' holds at {at.Start + beyond} no sum of its weights");
                AddWritten(at, block, elements, low, width);
            }
        }
    }

    private static void Take(scoped ref SequenceReader<byte> reader, scoped Span<byte> bytes)
    {
        if (!reader.TryCopyTo(bytes)) throw CutShort();
        reader.Advance(bytes.Length);
    }

    private static FlareException CutShort() => Refused("it is cut short");

    private static FlareException Refused(string reason) =>
        new(ErrorIds.MalformedBytes, $"The written sum is refused: {reason}.");
}

using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using MessagePack;

namespace Flare;

/// <summary>
/// Writes one map as MessagePack, within limits: each is checked before what would break it is written.
/// </summary>
internal ref struct FlareMapEncoder(IBufferWriter<byte> output, IList<StateDict>? tensors, FlareMapLimits limits)
{
    // Half a surrogate pair throws: MessagePack's own text would write it as U+FFFD, and two names could become one.
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private MessagePackWriter _writer = new(output);
    private long _written;
    private int _items;

    public void Whole(FlareMap map)
    {
        Map(map, depth: 1);
        _writer.Flush();
    }

    private void Map(FlareMap map, int depth)
    {
        Enter(depth, map.Count);
        if (map.Count > limits.MaxNames)
            throw FlareMapCodec.AboveLimit(nameof(FlareMapLimits.MaxNames), limits.MaxNames, map.Count);
        _writer.WriteMapHeader(map.Count);
        foreach (var (name, value) in map)
        {
            Text(name, name);
            Value(name, value, depth);
        }
    }

    private void Value(string name, FlareValue value, int depth)
    {
        switch (value.Kind)
        {
            case FlareValueKind.Null:
                Spend(1);
                _writer.WriteNil();
                break;
            case FlareValueKind.Boolean:
                Spend(1);
                _writer.Write(value.AsBoolean());
                break;
            case FlareValueKind.Integer:
                Spend(MessagePackWriter.GetEncodedLength(value.AsInteger()));
                _writer.Write(value.AsInteger());
                break;
            case FlareValueKind.Number:
                Spend(9);
                _writer.Write(value.AsNumber());
                break;
            case FlareValueKind.Text: Text(name, value.AsText()); break;
            case FlareValueKind.Bytes:
                var bytes = value.AsBytes().Span;
                Spend(HeadOf(bytes.Length, inOneByte: -1, inTwo: byte.MaxValue) + (long)bytes.Length);
                _writer.Write(bytes);
                break;
            case FlareValueKind.List:
                var list = value.AsList();
                Enter(depth + 1, list.Count);
                _writer.WriteArrayHeader(list.Count);
                foreach (var item in list) Value(name, item, depth + 1);
                break;
            case FlareValueKind.Map: Map(value.AsMap(), depth + 1); break;
            default: Tensors(name, value.AsTensors()); break;
        }
    }

    private void Text(string name, string text)
    {
        int length;
        try
        {
            length = Utf8.GetByteCount(text);
        }
        catch (EncoderFallbackException e)
        {
            throw new FlareException(
                ErrorIds.MalformedMessage,
                $"The value '{PlainText.Of(name, 200)}' holds text that is not Unicode: half of a surrogate pair at "
                    + $"index {e.Index}. Send bytes instead, or repair the text.",
                e);
        }
        if (length > limits.MaxTextBytes)
            throw FlareMapCodec.AboveLimit(nameof(FlareMapLimits.MaxTextBytes), limits.MaxTextBytes, length);
        Spend(HeadOf(length, inOneByte: 31, inTwo: byte.MaxValue) + (long)length);
        _writer.WriteStringHeader(length);
        Utf8.GetBytes(text, _writer.GetSpan(length));
        _writer.Advance(length);
    }

    private void Tensors(string name, StateDict value)
    {
        if (tensors is null)
        {
            throw new FlareException(
                ErrorIds.MalformedMessage,
                $"The value '{PlainText.Cut(name)}' holds tensors, which cannot be carried here. Keep tensors in "
                    + "named state dicts, and plain values in maps.");
        }
        var index = 0;
        while (index < tensors.Count && !ReferenceEquals(tensors[index], value)) index++;
        if (index == tensors.Count) tensors.Add(value);
        Spend(6);
        _writer.WriteExtensionFormatHeader(new ExtensionHeader(FlareMapCodec.TensorsExtension, sizeof(uint)));
        BinaryPrimitives.WriteUInt32BigEndian(_writer.GetSpan(sizeof(uint)), (uint)index);
        _writer.Advance(sizeof(uint));
    }

    // A map that holds itself ends here too.
    private void Enter(int depth, int count)
    {
        if (depth > limits.MaxDepth)
            throw FlareMapCodec.AboveLimit(nameof(FlareMapLimits.MaxDepth), limits.MaxDepth, depth);
        if (count > limits.MaxItems - _items)
            throw FlareMapCodec.AboveLimit(nameof(FlareMapLimits.MaxItems), limits.MaxItems, (long)_items + count);
        _items += count;
        Spend(HeadOf(count, inOneByte: 15, inTwo: -1));
    }

    // The writer does not say what it has written, and hands on what it has only when it is flushed.
    private void Spend(long bytes)
    {
        _written += bytes;
        FlareMapCodec.RequireTotal(_written, limits);
    }

    private static int HeadOf(int length, int inOneByte, int inTwo) =>
        length <= inOneByte ? 1 : length <= inTwo ? 2 : length <= ushort.MaxValue ? 3 : 5;
}

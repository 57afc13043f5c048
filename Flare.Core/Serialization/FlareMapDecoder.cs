using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using MessagePack;

namespace Flare;

/// <summary>
/// Reads one map from MessagePack, from bytes of anybody's making: a closed set of types, text that is UTF-8, each name
/// once, and each length, count and depth looked at before anything is made for it.
/// </summary>
internal ref struct FlareMapDecoder(
    in ReadOnlySequence<byte> bytes, IReadOnlyList<StateDict> tensors, FlareMapLimits limits)
{
    // MessagePack's own text reads what is no UTF-8 as U+FFFD, and two names could become one.
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly long _length = bytes.Length;
    private MessagePackReader _reader = new(bytes);
    private int _items;

    public FlareMap Whole()
    {
        try
        {
            if (_reader.NextMessagePackType != MessagePackType.Map)
                throw Malformed($"{_reader.NextMessagePackType} where a map is expected");
            var map = Map(depth: 1);
            return _reader.End ? map : throw Malformed($"{_length - _reader.Consumed} bytes after the end");
        }
        catch (EndOfStreamException e)
        {
            throw Malformed("they end where more is due, or a length or count is above what they can hold", e);
        }
        catch (MessagePackSerializationException e)
        {
            throw Malformed("a value of no known form", e);
        }
    }

    private FlareMap Map(int depth)
    {
        // The count is of no more names than the remaining bytes can hold; so are all lengths and counts.
        var count = _reader.ReadMapHeader();
        Enter(depth, count);
        if (count > limits.MaxNames)
            throw FlareMapCodec.AboveLimit(nameof(FlareMapLimits.MaxNames), limits.MaxNames, count);
        var map = new FlareMap();
        for (var i = 0; i < count; i++)
        {
            var name = _reader.NextMessagePackType == MessagePackType.String ? Text() : "";
            if (name.Length == 0) throw Malformed("a name that is no text, or empty");
            if (map.Contains(name)) throw Malformed($"the name '{PlainText.Cut(name)}' twice in one map");
            map[name] = Value(depth);
        }
        return map;
    }

    private FlareValue Value(int depth)
    {
        switch (_reader.NextMessagePackType)
        {
            case MessagePackType.Nil:
                _reader.ReadNil();
                return default;
            case MessagePackType.Boolean: return _reader.ReadBoolean();
            case MessagePackType.Integer: return Integer();
            case MessagePackType.Float: return _reader.ReadDouble();
            case MessagePackType.String: return Text();
            case MessagePackType.Binary: return Run(isText: false).ToArray();
            case MessagePackType.Map: return Map(depth + 1);
            case MessagePackType.Array: return List(depth + 1);
            case MessagePackType.Extension: return Tensors();
            default: throw Malformed($"the code 0x{_reader.NextCode:x2}, which MessagePack does not use");
        }
    }

    private FlareValue List(int depth)
    {
        var count = _reader.ReadArrayHeader();
        Enter(depth, count);
        var items = new FlareValue[count];
        for (var i = 0; i < items.Length; i++) items[i] = Value(depth);
        return FlareValue.ListOf(items);
    }

    private long Integer()
    {
        if (_reader.NextCode != MessagePackCode.UInt64) return _reader.ReadInt64();
        return _reader.ReadUInt64() is <= long.MaxValue and var value
            ? (long)value
            : throw Malformed("an integer above 2^63 - 1");
    }

    private string Text()
    {
        var run = Run(isText: true);
        if (run.Length > limits.MaxTextBytes)
            throw FlareMapCodec.AboveLimit(nameof(FlareMapLimits.MaxTextBytes), limits.MaxTextBytes, run.Length);
        var length = (int)run.Length;
        var rented = run.IsSingleSegment ? null : ArrayPool<byte>.Shared.Rent(length);
        try
        {
            if (rented is null) return Utf8.GetString(run.FirstSpan);
            run.CopyTo(rented);
            return Utf8.GetString(rented.AsSpan(0, length));
        }
        catch (DecoderFallbackException e)
        {
            throw Malformed("text that is not UTF-8", e);
        }
        finally
        {
            if (rented is not null) ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <summary>The bytes of a text, or of bytes, where they lie.</summary>
    private ReadOnlySequence<byte> Run(bool isText)
    {
        try
        {
            return (isText ? _reader.ReadStringSequence() : _reader.ReadBytes()) ?? default;
        }
        catch (ArgumentOutOfRangeException e)
        {
            // The reader takes a length of 2^31 and more for a negative one.
            throw Malformed("a length above what they can hold", e);
        }
    }

    private FlareValue Tensors()
    {
        if (_reader.NextCode != MessagePackCode.FixExt4)
            throw Malformed($"an extension with the code 0x{_reader.NextCode:x2}, which Flare does not use");
        var type = _reader.ReadExtensionFormatHeader().TypeCode;
        Span<byte> body = stackalloc byte[sizeof(uint)];
        _reader.ReadRaw(sizeof(uint)).CopyTo(body);
        var index = BinaryPrimitives.ReadUInt32BigEndian(body);
        if (type != FlareMapCodec.TensorsExtension)
            throw Malformed($"the extension type {type}, which Flare does not use");
        return index < tensors.Count
            ? tensors[(int)index]
            : throw Malformed($"tensors number {index} where {tensors.Count} came along");
    }

    private void Enter(int depth, int count)
    {
        if (depth > limits.MaxDepth)
            throw FlareMapCodec.AboveLimit(nameof(FlareMapLimits.MaxDepth), limits.MaxDepth, depth);
        if (count > limits.MaxItems - _items)
            throw FlareMapCodec.AboveLimit(nameof(FlareMapLimits.MaxItems), limits.MaxItems, (long)_items + count);
        _items += count;
    }

    private readonly FlareException Malformed(string what, Exception? inner = null) => new(
        ErrorIds.MalformedBytes,
        $"Encoded values are malformed: {what}, near byte {_reader.Consumed} of {_length}. They are damaged, or "
            + "their sender speaks another version: discard them.",
        inner);
}

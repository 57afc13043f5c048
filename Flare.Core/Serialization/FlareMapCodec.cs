using System.Buffers;
using System.Text;

namespace Flare.Runtime;

/// <summary>
/// <see cref="FlareMap"/> as MessagePack, which any language reads (Python: <c>msgpack.unpackb</c>). Tensors travel apart, since they
/// are large and MessagePack would copy them: in a map's encoding each stands as the extension of type
/// <see cref="TensorsExtension"/>, whose four bytes (big-endian) are the index into a list of state dicts carried beside.
/// </summary>
public static class FlareMapCodec
{
    /// <summary>The extension type that stands for a state dict; part of the wire contract.</summary>
    public const sbyte TensorsExtension = 1;

    /// <summary>Writes a map. Values keep their kinds and names their order; integers take their shortest form.</summary>
    /// <param name="map">What to write.</param>
    /// <param name="output">Where to; after an exception it holds part of an encoding.</param>
    /// <param name="tensors">
    /// Receives each state dict that the map holds, once, in the order of its first place; may already hold some. Null where tensors
    /// cannot be carried: a map that holds some is then refused.
    /// </param>
    /// <param name="limits">What the encoding may be at most; <see cref="FlareMapLimits.Default"/> if left out.</param>
    /// <exception cref="FlareException">The map is above a limit, holds text that is not Unicode, or tensors that cannot be carried.</exception>
    public static void Write(FlareMap map, IBufferWriter<byte> output, IList<StateDict>? tensors = null, FlareMapLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(output);
        var encoder = new Encoder(new MessagePackWriter(output), tensors, limits ?? FlareMapLimits.Default);
        encoder.Map(map, depth: 1);
    }

    /// <summary>Reads one map that fills the bytes exactly.</summary>
    /// <param name="bytes">The encoding; nothing in the result refers to it.</param>
    /// <param name="tensors">The state dicts carried beside; shared with the result, not copied.</param>
    /// <param name="limits">What the encoding may be at most; <see cref="FlareMapLimits.Default"/> if left out.</param>
    /// <exception cref="FlareException">The bytes are malformed, above a limit, name a value twice, go on after the map, or refer to
    /// tensors that are not there (<see cref="ErrorIds.MalformedBytes"/>); no other exception, whatever the bytes.</exception>
    public static FlareMap Read(ReadOnlySpan<byte> bytes, IReadOnlyList<StateDict>? tensors = null, FlareMapLimits? limits = null)
    {
        limits ??= FlareMapLimits.Default;
        RequireTotal(bytes.Length, limits);
        var decoder = new Decoder(new MessagePackReader(bytes), tensors ?? [], limits);
        return decoder.Whole();
    }

    /// <summary>Reads one map that fills the bytes exactly; as the overload on a span, of which it makes one where there are segments.</summary>
    /// <param name="bytes">The encoding; nothing in the result refers to it.</param>
    /// <param name="tensors">The state dicts carried beside; shared with the result, not copied.</param>
    /// <param name="limits">What the encoding may be at most; <see cref="FlareMapLimits.Default"/> if left out.</param>
    /// <exception cref="FlareException">As for the other overload.</exception>
    public static FlareMap Read(in ReadOnlySequence<byte> bytes, IReadOnlyList<StateDict>? tensors = null, FlareMapLimits? limits = null)
    {
        if (bytes.IsSingleSegment) return Read(bytes.FirstSpan, tensors, limits);
        RequireTotal(bytes.Length, limits ?? FlareMapLimits.Default);
        var length = (int)bytes.Length;
        var rented = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            bytes.CopyTo(rented);
            return Read(rented.AsSpan(0, length), tensors, limits);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private static void RequireTotal(long length, FlareMapLimits limits)
    {
        if (length > limits.MaxBytes) throw AboveLimit(nameof(FlareMapLimits.MaxBytes), limits.MaxBytes, length);
    }

    private static FlareException AboveLimit(string limit, int allowed, long found) =>
        new(ErrorIds.MalformedBytes, $"An encoding is above its limit: {limit} is {allowed:N0}, this needs {found:N0}. Send less at once, or raise the limit on both sides.");

    private ref struct Encoder(MessagePackWriter writer, IList<StateDict>? tensors, FlareMapLimits limits)
    {
        private MessagePackWriter _writer = writer;
        private int _items;

        public void Map(FlareMap map, int depth)
        {
            Enter(depth, map.Count);
            if (map.Count > limits.MaxNames) throw AboveLimit(nameof(FlareMapLimits.MaxNames), limits.MaxNames, map.Count);
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
                case FlareValueKind.Null: _writer.WriteNil(); break;
                case FlareValueKind.Boolean: _writer.WriteBoolean(value.AsBoolean()); break;
                case FlareValueKind.Integer: _writer.WriteInteger(value.AsInteger()); break;
                case FlareValueKind.Number: _writer.WriteNumber(value.AsNumber()); break;
                case FlareValueKind.Text: Text(name, value.AsText()); break;
                case FlareValueKind.Bytes:
                    var bytes = value.AsBytes().Span;
                    RequireTotal(_writer.Written + bytes.Length, limits);
                    _writer.WriteBytes(bytes);
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
            RequireTotal(_writer.Written, limits);
        }

        private void Text(string name, string text)
        {
            int length;
            try
            {
                length = MessagePackWriter.Utf8.GetByteCount(text);
            }
            catch (EncoderFallbackException e)
            {
                throw new FlareException(ErrorIds.MalformedMessage, $"The value '{name}' holds text that is not Unicode: half of a surrogate pair at index {e.Index}. Send bytes instead, or repair the text.", e);
            }
            if (length > limits.MaxTextBytes) throw AboveLimit(nameof(FlareMapLimits.MaxTextBytes), limits.MaxTextBytes, length);
            RequireTotal(_writer.Written + length, limits);
            _writer.WriteText(text, length);
        }

        private void Tensors(string name, StateDict value)
        {
            if (tensors is null) throw new FlareException(ErrorIds.MalformedMessage, $"The value '{name}' holds tensors, which cannot be carried here. Keep tensors in named state dicts, and plain values in maps.");
            var index = 0;
            while (index < tensors.Count && !ReferenceEquals(tensors[index], value)) index++;
            if (index == tensors.Count) tensors.Add(value);
            _writer.WriteExtension(TensorsExtension, (uint)index);
        }

        // A map that holds itself ends here too.
        private void Enter(int depth, int count)
        {
            if (depth > limits.MaxDepth) throw AboveLimit(nameof(FlareMapLimits.MaxDepth), limits.MaxDepth, depth);
            if (count > limits.MaxItems - _items) throw AboveLimit(nameof(FlareMapLimits.MaxItems), limits.MaxItems, (long)_items + count);
            _items += count;
        }
    }

    private ref struct Decoder(MessagePackReader reader, IReadOnlyList<StateDict> tensors, FlareMapLimits limits)
    {
        private MessagePackReader _reader = reader;
        private int _items;

        public FlareMap Whole()
        {
            var head = _reader.Read();
            if (head.Kind != MessagePackKind.Map) throw _reader.Malformed($"{head.Kind} where a map is expected");
            var map = Map(head.Length, depth: 1);
            return _reader.Remaining == 0 ? map : throw _reader.Malformed($"{_reader.Remaining} bytes after the end");
        }

        private FlareMap Map(int count, int depth)
        {
            Enter(depth, count);
            if (count > limits.MaxNames) throw AboveLimit(nameof(FlareMapLimits.MaxNames), limits.MaxNames, count);
            var map = new FlareMap();
            for (var i = 0; i < count; i++)
            {
                var head = _reader.Read();
                if (head.Kind != MessagePackKind.Text || head.Length == 0) throw _reader.Malformed("a name that is no text, or empty");
                var name = Text(head.Length);
                if (map.Contains(name)) throw _reader.Malformed($"the name '{name}' twice in one map");
                map[name] = Value(depth);
            }
            return map;
        }

        private FlareValue Value(int depth)
        {
            var head = _reader.Read();
            switch (head.Kind)
            {
                case MessagePackKind.Nil: return default;
                case MessagePackKind.Boolean: return head.Bits != 0;
                case MessagePackKind.Integer: return head.Bits;
                case MessagePackKind.Number: return BitConverter.Int64BitsToDouble(head.Bits);
                case MessagePackKind.Text: return Text(head.Length);
                case MessagePackKind.Bytes: return _reader.ReadBytes(head.Length).ToArray();
                case MessagePackKind.Map: return Map(head.Length, depth + 1);
                case MessagePackKind.Array:
                    Enter(depth + 1, head.Length);
                    var items = new FlareValue[head.Length];
                    for (var i = 0; i < items.Length; i++) items[i] = Value(depth + 1);
                    return FlareValue.List(items);
                default:
                    if (head.Type != TensorsExtension) throw _reader.Malformed($"the extension type {head.Type}, which Flare does not use");
                    return head.Bits < tensors.Count ? tensors[head.Length] : throw _reader.Malformed($"tensors number {head.Bits} where {tensors.Count} came along");
            }
        }

        private string Text(int length) =>
            length <= limits.MaxTextBytes ? _reader.ReadText(length) : throw AboveLimit(nameof(FlareMapLimits.MaxTextBytes), limits.MaxTextBytes, length);

        private void Enter(int depth, int count)
        {
            if (depth > limits.MaxDepth) throw AboveLimit(nameof(FlareMapLimits.MaxDepth), limits.MaxDepth, depth);
            if (count > limits.MaxItems - _items) throw AboveLimit(nameof(FlareMapLimits.MaxItems), limits.MaxItems, (long)_items + count);
            _items += count;
        }
    }
}

using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Flare.Runtime;

/// <summary>
/// One message as it arrives, in one part or in many: its tensors are filled as the bytes come. Nothing is made on the
/// word of the bytes but what the head's length says, which the receiver has looked at.
/// </summary>
internal sealed class MessageReader(FrameHead head)
{
    private readonly ArrayBufferWriter<byte> _start = new();
    private int _layouts = -1;
    private int _values;
    private StateDict[]? _tensors;
    private FlareMap? _map;
    private int _tensor;
    private long _filled;

    public FrameHead Head => head;

    /// <summary>Bytes that were read.</summary>
    public long Received { get; private set; }

    public bool IsComplete => Received == head.Length && _map is not null;

    /// <summary>The values, once complete.</summary>
    public FlareMap Values => _map!;

    /// <summary>Takes the next bytes.</summary>
    /// <exception cref="FlareException">They are malformed.</exception>
    public void Append(in ReadOnlySequence<byte> bytes)
    {
        foreach (var part in bytes) Append(part.Span);
        if (Received == head.Length) Finish();
    }

    /// <summary>Looks at the whole of it, once it is there.</summary>
    /// <exception cref="FlareException">It is malformed.</exception>
    public void Finish()
    {
        if (_map is null) throw WireFormat.Malformed("it ends before its values do");
        foreach (var dict in _tensors!)
        {
            dict.ClearPadding(); // whatever the sender had there
            if (dict.FirstInvalidBoolTensor() is { } name)
                throw WireFormat.Malformed($"the tensor '{PlainText.Cut(name)}' of bools holds other than 0 and 1");
        }
    }

    /// <summary>Takes the next bytes.</summary>
    /// <exception cref="FlareException">They are malformed.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (Received + bytes.Length > head.Length) throw WireFormat.Malformed("more bytes than its head says");
        Received += bytes.Length;
        if (_map is null)
        {
            Take(ref bytes, WireFormat.PrefixSize);
            if (_start.WrittenCount < WireFormat.PrefixSize) return;
            if (_layouts < 0) ReadPrefix();
            var total = WireFormat.PrefixSize + _layouts + _values;
            Take(ref bytes, total);
            if (_start.WrittenCount < total) return;
            ReadStart();
        }
        while (bytes.Length > 0)
        {
            var dict = _tensors![_tensor];
            var count = (int)Math.Min(bytes.Length, dict.Layout.ByteLength - _filled);
            bytes[..count].CopyTo(dict.RunBytes(_filled, count));
            bytes = bytes[count..];
            _filled += count;
            SkipFull();
        }
    }

    /// <summary>Adds all bytes that have come, in their order, to a hash.</summary>
    public void Feed(IncrementalHash hash)
    {
        const int step = 1 << 20;
        hash.AppendData(_start.WrittenSpan);
        for (var i = 0; _tensors is not null && i <= _tensor && i < _tensors.Length; i++)
        {
            var filled = i < _tensor ? _tensors[i].Layout.ByteLength : _filled;
            for (long at = 0; at < filled; at += step)
                hash.AppendData(_tensors[i].RunBytes(at, (int)Math.Min(step, filled - at)));
        }
    }

    private void SkipFull()
    {
        while (_tensor < _tensors!.Length && _filled == _tensors[_tensor].Layout.ByteLength)
            (_tensor, _filled) = (_tensor + 1, 0);
    }

    private void Take(ref ReadOnlySpan<byte> bytes, int until)
    {
        var count = Math.Min(bytes.Length, until - _start.WrittenCount);
        if (count <= 0) return;
        _start.Write(bytes[..count]);
        bytes = bytes[count..];
    }

    private void ReadPrefix()
    {
        _layouts = BinaryPrimitives.ReadInt32LittleEndian(_start.WrittenSpan);
        _values = BinaryPrimitives.ReadInt32LittleEndian(_start.WrittenSpan[4..]);
        if (_layouts != 0 && !MessageCodec.MayHoldTensors(head.Kind))
            throw WireFormat.Malformed($"tensors in a message of kind {head.Kind}");
        var most = WireFormat.Limits.MaxBytes;
        if (_layouts < 0 || _values < 0 || _layouts > 4 * most || _values > most
            || (long)_layouts + _values > head.Length - WireFormat.PrefixSize)
        {
            throw WireFormat.Malformed("parts that are longer than itself, or than their limits");
        }
    }

    private void ReadStart()
    {
        var layouts = LayoutCodec.Read(_start.WrittenMemory.Slice(WireFormat.PrefixSize, _layouts), most: _values);
        Int128 bytes = 0;
        foreach (var layout in layouts) bytes += layout.ByteLength;
        if (bytes != head.Length - WireFormat.PrefixSize - _layouts - _values)
            throw WireFormat.Malformed("tensors that are not as long as their layouts say");
        _tensors = [.. layouts.Select(StateDict.CreateUninitialized)];
        var map = FlareMapCodec.Read(
            _start.WrittenMemory.Slice(WireFormat.PrefixSize + _layouts, _values), _tensors, WireFormat.Limits);
        RequireUse(map);
        _map = map;
        SkipFull();
    }

    private void RequireUse(FlareMap map)
    {
        if (_tensors!.Length == 0) return;
        var unused = new HashSet<StateDict>(_tensors, ReferenceEqualityComparer.Instance);
        foreach (var (_, dict) in map.Tensors()) unused.Remove(dict);
        if (unused.Count > 0) throw WireFormat.Malformed($"{unused.Count} layouts of tensors that no value is");
    }
}

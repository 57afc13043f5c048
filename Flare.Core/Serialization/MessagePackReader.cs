using System.Buffers.Binary;
using System.Text;

namespace Flare.Runtime;

/// <summary>What a <see cref="MessagePackReader"/> has read.</summary>
internal enum MessagePackKind
{
    Nil,
    Boolean,
    Integer,
    Number,
    Text,
    Bytes,
    Array,
    Map,
    Extension,
}

/// <summary>The head of a value.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Bits">
/// The integer, the Boolean (0 or 1) or the number's bits; of text and bytes the length in bytes, of arrays and maps the count, each
/// at most what the remaining bytes can hold; of an extension its four bytes.
/// </param>
/// <param name="Type">An extension's type.</param>
internal readonly record struct MessagePackHead(MessagePackKind Kind, long Bits, sbyte Type = 0)
{
    /// <summary>The length or count.</summary>
    public int Length => (int)Bits;
}

/// <summary>
/// Reads what <see cref="MessagePackWriter"/> writes, integers and lengths of any width, and float 32 (which widens exactly): what
/// another encoder may choose for the same values. Every length is checked against the bytes at hand before it is believed.
/// </summary>
internal ref struct MessagePackReader(ReadOnlySpan<byte> bytes)
{
    private readonly ReadOnlySpan<byte> _bytes = bytes;

    /// <summary>Bytes read so far.</summary>
    public int Offset { get; private set; }

    /// <summary>Bytes not yet read.</summary>
    public readonly int Remaining => _bytes.Length - Offset;

    /// <summary>Reads a scalar, or the head of text, bytes, an array, a map or an extension of four bytes.</summary>
    /// <exception cref="FlareException">Truncated, unknown, or longer than the bytes at hand.</exception>
    public MessagePackHead Read()
    {
        var code = Take(1)[0];
        return code switch
        {
            <= 0x7f or >= 0xe0 => new(MessagePackKind.Integer, unchecked((sbyte)code)),
            < MessagePackCode.FixArray => Map((uint)code & 0x0f),
            < MessagePackCode.FixStr => Array((uint)code & 0x0f),
            < MessagePackCode.Nil => Text((uint)code & 0x1f),
            MessagePackCode.Nil => new(MessagePackKind.Nil, 0),
            MessagePackCode.False => new(MessagePackKind.Boolean, 0),
            MessagePackCode.True => new(MessagePackKind.Boolean, 1),
            MessagePackCode.Bin8 => Bytes(UInt8()),
            MessagePackCode.Bin16 => Bytes(UInt16()),
            MessagePackCode.Bin32 => Bytes(UInt32()),
            MessagePackCode.Float32 => Number(BitConverter.UInt32BitsToSingle(UInt32())),
            MessagePackCode.Float64 => new(MessagePackKind.Number, unchecked((long)UInt64())),
            MessagePackCode.UInt8 => Integer(UInt8()),
            MessagePackCode.UInt16 => Integer(UInt16()),
            MessagePackCode.UInt32 => Integer(UInt32()),
            MessagePackCode.UInt64 => UInt64() is <= long.MaxValue and var value ? Integer((long)value) : throw Malformed("an integer above 2^63 - 1"),
            MessagePackCode.Int8 => Integer(unchecked((sbyte)UInt8())),
            MessagePackCode.Int16 => Integer(unchecked((short)UInt16())),
            MessagePackCode.Int32 => Integer(unchecked((int)UInt32())),
            MessagePackCode.Int64 => Integer(unchecked((long)UInt64())),
            MessagePackCode.FixExt4 => Extension(unchecked((sbyte)UInt8()), UInt32()),
            MessagePackCode.Str8 => Text(UInt8()),
            MessagePackCode.Str16 => Text(UInt16()),
            MessagePackCode.Str32 => Text(UInt32()),
            MessagePackCode.Array16 => Array(UInt16()),
            MessagePackCode.Array32 => Array(UInt32()),
            MessagePackCode.Map16 => Map(UInt16()),
            MessagePackCode.Map32 => Map(UInt32()),
            _ => throw Malformed($"the code 0x{code:x2}, which Flare does not use"),
        };
    }

    /// <summary>Reads the bytes behind the head of text, strictly as UTF-8.</summary>
    public string ReadText(int length)
    {
        try
        {
            return MessagePackWriter.Utf8.GetString(Take(length));
        }
        catch (DecoderFallbackException e)
        {
            throw Malformed("text that is not UTF-8", e);
        }
    }

    /// <summary>Reads the bytes behind the head of bytes: a view, not a copy.</summary>
    public ReadOnlySpan<byte> ReadBytes(int length) => Take(length);

    /// <summary>The error for what has just been read.</summary>
    public readonly FlareException Malformed(string what, Exception? inner = null) =>
        new(ErrorIds.MalformedBytes, $"Encoded values are malformed: {what}, before byte {Offset} of {_bytes.Length}. They are damaged, or their sender speaks another version: discard them.", inner);

    private static MessagePackHead Integer(long value) => new(MessagePackKind.Integer, value);

    private static MessagePackHead Number(double value) => new(MessagePackKind.Number, BitConverter.DoubleToInt64Bits(value));

    private static MessagePackHead Extension(sbyte type, uint value) => new(MessagePackKind.Extension, value, type);

    // An item takes at least one byte, a name and its value at least two: no count can claim more than is there.
    private readonly MessagePackHead Text(uint length) => Sized(MessagePackKind.Text, length, 1);
    private readonly MessagePackHead Bytes(uint length) => Sized(MessagePackKind.Bytes, length, 1);
    private readonly MessagePackHead Array(uint count) => Sized(MessagePackKind.Array, count, 1);
    private readonly MessagePackHead Map(uint count) => Sized(MessagePackKind.Map, count, 2);

    private readonly MessagePackHead Sized(MessagePackKind kind, uint length, int unit) =>
        (long)length * unit <= Remaining ? new(kind, length) : throw Malformed($"the length {length} where {Remaining} bytes remain");

    private byte UInt8() => Take(1)[0];
    private ushort UInt16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));
    private uint UInt32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));
    private ulong UInt64() => BinaryPrimitives.ReadUInt64BigEndian(Take(8));

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length > Remaining) throw Malformed($"{length} bytes where {Remaining} remain");
        var taken = _bytes.Slice(Offset, length);
        Offset += length;
        return taken;
    }
}

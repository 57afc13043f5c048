using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Flare.Runtime;

/// <summary>
/// Writes the part of MessagePack that Flare uses (github.com/msgpack/msgpack, spec.md): nil, bool, the integers in their shortest
/// form, float 64, str, bin, array, map and ext. One value always gives the same bytes.
/// </summary>
internal ref struct MessagePackWriter(IBufferWriter<byte> output)
{
    // Unpaired surrogates throw: silently written as '?', two names could become one.
    internal static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly IBufferWriter<byte> _output = output;

    /// <summary>Bytes written so far.</summary>
    public long Written { get; private set; }

    public void WriteNil() => Byte(MessagePackCode.Nil);

    public void WriteBoolean(bool value) => Byte(value ? MessagePackCode.True : MessagePackCode.False);

    public void WriteInteger(long value)
    {
        switch (value)
        {
            case >= -32 and <= 127: Byte(unchecked((byte)value)); break;
            case > 0 and <= byte.MaxValue: Head8(MessagePackCode.UInt8, (byte)value); break;
            case > 0 and <= ushort.MaxValue: Head16(MessagePackCode.UInt16, (ushort)value); break;
            case > 0 and <= uint.MaxValue: Head32(MessagePackCode.UInt32, (uint)value); break;
            case > 0: Head64(MessagePackCode.UInt64, (ulong)value); break;
            case >= sbyte.MinValue: Head8(MessagePackCode.Int8, unchecked((byte)value)); break;
            case >= short.MinValue: Head16(MessagePackCode.Int16, unchecked((ushort)value)); break;
            case >= int.MinValue: Head32(MessagePackCode.Int32, unchecked((uint)value)); break;
            default: Head64(MessagePackCode.Int64, unchecked((ulong)value)); break;
        }
    }

    public void WriteNumber(double value) => Head64(MessagePackCode.Float64, BitConverter.DoubleToUInt64Bits(value));

    /// <param name="text">What to write.</param>
    /// <param name="byteLength">Its length in UTF-8, as <see cref="Utf8"/> counts it.</param>
    public void WriteText(string text, int byteLength)
    {
        if (byteLength < 32) Byte((byte)(MessagePackCode.FixStr | byteLength));
        else if (byteLength <= byte.MaxValue) Head8(MessagePackCode.Str8, (byte)byteLength);
        else if (byteLength <= ushort.MaxValue) Head16(MessagePackCode.Str16, (ushort)byteLength);
        else Head32(MessagePackCode.Str32, (uint)byteLength);
        Advance(Utf8.GetBytes(text, _output.GetSpan(byteLength)));
    }

    public void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length <= byte.MaxValue) Head8(MessagePackCode.Bin8, (byte)bytes.Length);
        else if (bytes.Length <= ushort.MaxValue) Head16(MessagePackCode.Bin16, (ushort)bytes.Length);
        else Head32(MessagePackCode.Bin32, (uint)bytes.Length);
        _output.Write(bytes);
        Written += bytes.Length;
    }

    public void WriteArrayHeader(int count) => Header(count, MessagePackCode.FixArray, MessagePackCode.Array16, MessagePackCode.Array32);

    public void WriteMapHeader(int count) => Header(count, MessagePackCode.FixMap, MessagePackCode.Map16, MessagePackCode.Map32);

    /// <summary>An extension of four bytes, big-endian.</summary>
    public void WriteExtension(sbyte type, uint value)
    {
        Head8(MessagePackCode.FixExt4, unchecked((byte)type));
        BinaryPrimitives.WriteUInt32BigEndian(_output.GetSpan(4), value);
        Advance(4);
    }

    private void Header(int count, byte fix, byte code16, byte code32)
    {
        if (count < 16) Byte((byte)(fix | count));
        else if (count <= ushort.MaxValue) Head16(code16, (ushort)count);
        else Head32(code32, (uint)count);
    }

    private void Byte(byte value)
    {
        _output.GetSpan(1)[0] = value;
        Advance(1);
    }

    private void Head8(byte code, byte value)
    {
        var span = _output.GetSpan(2);
        (span[0], span[1]) = (code, value);
        Advance(2);
    }

    private void Head16(byte code, ushort value)
    {
        var span = _output.GetSpan(3);
        span[0] = code;
        BinaryPrimitives.WriteUInt16BigEndian(span[1..], value);
        Advance(3);
    }

    private void Head32(byte code, uint value)
    {
        var span = _output.GetSpan(5);
        span[0] = code;
        BinaryPrimitives.WriteUInt32BigEndian(span[1..], value);
        Advance(5);
    }

    private void Head64(byte code, ulong value)
    {
        var span = _output.GetSpan(9);
        span[0] = code;
        BinaryPrimitives.WriteUInt64BigEndian(span[1..], value);
        Advance(9);
    }

    private void Advance(int count)
    {
        _output.Advance(count);
        Written += count;
    }
}

using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Flare.Transport;

/// <summary>
/// Values in the one form in which they are signed: each with its length before it, behind a label that no other kind
/// of signature has. So a file may be laid out in any way, and its signature covers what it says.
/// </summary>
internal sealed class SignedFields
{
    private readonly ArrayBufferWriter<byte> _bytes = new();

    public SignedFields(string label) => Add(label);

    public SignedFields Add(string text) => Add(Encoding.UTF8.GetBytes(text));

    public SignedFields Add(ReadOnlySpan<byte> bytes)
    {
        Length(bytes.Length);
        _bytes.Write(bytes);
        return this;
    }

    public SignedFields Add(long number)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, number);
        return Add(bytes);
    }

    /// <summary>Each of several, behind how many they are.</summary>
    public SignedFields AddAll<T>(IReadOnlyCollection<T> items, Action<SignedFields, T> add)
    {
        Length(items.Count);
        foreach (var item in items) add(this, item);
        return this;
    }

    public byte[] ToArray() => _bytes.WrittenSpan.ToArray();

    private void Length(int length)
    {
        BinaryPrimitives.WriteInt32BigEndian(_bytes.GetSpan(4), length);
        _bytes.Advance(4);
    }
}

using System.Buffers.Binary;
using System.Globalization;

namespace Flare.Crypto;

/// <summary>Names a key without telling anything of it: 128 bits of a one-way function of the key.</summary>
public readonly record struct KeyId
{
    /// <summary>Bytes in the binary form.</summary>
    public const int Size = 16;

    private readonly UInt128 _value;

    private KeyId(UInt128 value) => _value = value;

    /// <summary>Reads the binary form.</summary>
    /// <param name="bytes">16 bytes.</param>
    /// <exception cref="ArgumentException">There are not 16 bytes.</exception>
    public static KeyId FromBytes(ReadOnlySpan<byte> bytes)
        => bytes.Length == Size
            ? new(BinaryPrimitives.ReadUInt128BigEndian(bytes))
            : throw new ArgumentException($"A key id has {Size} bytes, not {bytes.Length}.", nameof(bytes));

    /// <summary>Reads the form that <see cref="ToString"/> writes.</summary>
    /// <param name="text">32 hexadecimal digits.</param>
    /// <exception cref="FormatException">The text is something else.</exception>
    public static KeyId Parse(string text)
        => text is { Length: 2 * Size }
            && UInt128.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            ? new(value)
            : throw new FormatException($"A key id has {2 * Size} hexadecimal digits: '{text}'.");

    /// <summary>Writes the binary form.</summary>
    /// <param name="destination">Room for 16 bytes.</param>
    public void CopyTo(Span<byte> destination) => BinaryPrimitives.WriteUInt128BigEndian(destination, _value);

    /// <summary>32 hexadecimal digits.</summary>
    public override string ToString() => _value.ToString("x32", CultureInfo.InvariantCulture);
}

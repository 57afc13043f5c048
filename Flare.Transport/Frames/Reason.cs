using System.Buffers;
using System.Text;

namespace Flare.Transport;

/// <summary>The text of a frame that says why.</summary>
internal static class Reason
{
    private const int MostCharacters = 500;

    /// <summary>UTF-8, cut where a character ends.</summary>
    public static byte[] Encode(string text, int mostBytes)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        if (bytes.Length <= mostBytes) return bytes;
        var end = mostBytes;
        while (end > 0 && (bytes[end] & 0xC0) == 0x80) end--;
        return bytes[..end];
    }

    public static string Decode(in ReadOnlySequence<byte> bytes) =>
        Words.Of(Encoding.UTF8.GetString(bytes), MostCharacters);
}

using System.Buffers;
using System.Text;

namespace Flare.Transport;

/// <summary>
/// Reasons on the wire: what comes from elsewhere is shown to an operator, and must not spoil a terminal.
/// </summary>
internal static class Readable
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

    /// <summary>What an error says, to stand in a sentence.</summary>
    public static string WordsOf(FlareException e) =>
        e.Message.Replace($" [{e.ErrorId}]", "", StringComparison.Ordinal).TrimEnd('.');

    public static string Decode(in ReadOnlySequence<byte> bytes) => Shown(Encoding.UTF8.GetString(bytes));

    /// <summary>Cut, and without what cannot be seen.</summary>
    public static string Shown(string text)
    {
        var shown = new StringBuilder(Math.Min(text.Length, MostCharacters));
        foreach (var c in text)
        {
            if (shown.Length == MostCharacters) break;
            shown.Append(char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029' ? '?' : c);
        }
        return shown.ToString();
    }
}

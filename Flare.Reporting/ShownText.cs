using System.Globalization;
using System.Text;

namespace Flare.Reporting;

/// <summary>
/// Makes what sites say of themselves fit to be shown: nothing of it moves a cursor or turns a line around.
/// </summary>
internal static class ShownText
{
    /// <summary>
    /// The text as it may be shown: what controls a terminal, a page or the direction of writing is U+FFFD.
    /// </summary>
    /// <param name="text">Text of unknown origin.</param>
    /// <param name="lines">Whether line ends and tabs stay; else they become spaces.</param>
    public static string Of(string text, bool lines = false)
    {
        var shown = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes()) // half a surrogate comes as U+FFFD
        {
            if (rune.Value is '\t' or '\n' or '\r') shown.Append(lines ? (char)rune.Value : ' ');
            else shown.Append((IsShown(rune) ? rune : Rune.ReplacementChar).ToString());
        }
        return shown.ToString();
    }

    private static bool IsShown(Rune rune) =>
        Rune.GetUnicodeCategory(rune) != UnicodeCategory.Control
        && rune.Value is not ((>= 0x202A and <= 0x202E)
            or (>= 0x2066 and <= 0x2069)) // embeddings, overrides and isolates
        && rune.Value is not (>= 0xFDD0 and <= 0xFDEF)
        && (rune.Value & 0xFFFE) != 0xFFFE; // no characters, in no encoding
}

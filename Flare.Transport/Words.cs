using System.Globalization;
using System.Text;

namespace Flare.Transport;

/// <summary>What comes from elsewhere, as it may be shown to an operator.</summary>
internal static class Words
{
    /// <summary>The text without what a terminal would take for more than text; its first characters where it is
    /// long.</summary>
    public static string Of(string text, int most = 120)
    {
        var shown = new StringBuilder(Math.Min(text.Length, most));
        foreach (var rune in text.EnumerateRunes())
        {
            if (shown.Length >= most) return shown.Append('…').ToString();
            shown.Append(Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format
                or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator ? "?" : rune.ToString());
        }
        return shown.ToString();
    }

    /// <summary>What an error says, to stand in a sentence.</summary>
    public static string Of(FlareException e) =>
        e.Message.Replace($" [{e.ErrorId}]", "", StringComparison.Ordinal).TrimEnd('.');

    /// <summary>A clause at the end of a sentence: with a full stop, unless it asks.</summary>
    public static string End(string clause) => clause.EndsWith('?') ? clause : $"{clause}.";

    /// <summary>A moment: <c>2026-11-25 16:04 UTC</c>.</summary>
    public static string At(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);

    /// <summary>The error of a kit, a roster or a key.</summary>
    public static FlareException Refuse(string source, string what, Exception? inner = null) =>
        new(ErrorIds.Identity, $"{source} cannot be used: {what}.", inner);
}

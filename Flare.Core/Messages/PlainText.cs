using System.Globalization;

namespace Flare;

/// <summary>
/// Makes text of unknown origin fit for reports and the journal: nothing a site says may make those grow at will, or
/// refuse to be written.
/// </summary>
internal static class PlainText
{
    /// <summary>
    /// The text without halves of characters, and cut where it is longer than <paramref name="most"/>.
    /// </summary>
    public static string Of(string text, int most)
    {
        if (text.Length > most)
        {
            var end = most - 64; // so that what was cut and is told its length is not cut again on its way
            text = string.Create(CultureInfo.InvariantCulture, $"{text.AsSpan(0, end)}… ({text.Length:N0} characters)");
        }
        // What is no character becomes U+FFFD.
        return IsWellFormed(text) ? text : string.Concat(text.EnumerateRunes().Select(r => r.ToString()));
    }

    /// <summary>
    /// The text as it is, its first characters and … where it is longer than that: for errors that name what may be
    /// megabytes.
    /// </summary>
    public static string Cut(string text, int most = 200) =>
        text.Length <= most ? text : string.Concat(text.AsSpan(0, most), "…");

    /// <summary>Whether the text is Unicode: no surrogate stands alone.</summary>
    public static bool IsWellFormed(ReadOnlySpan<char> text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[i + 1])) return false;
            i++;
        }
        return true;
    }

    /// <summary>The first of several names, and how many more there are.</summary>
    public static string Some(IReadOnlyCollection<string> names, int most) =>
        names.Count <= most ? string.Join(", ", names)
        : $"{string.Join(", ", names.Take(most))} and {names.Count - most} more";
}

using System.Globalization;
using System.Text;

namespace Flare;

/// <summary>
/// What may be the name of a site, a job or a project: at most 200 bytes of Unicode without what cannot be seen. It
/// goes into journals, certificates, ciphertexts, log lines and reports.
/// </summary>
public static class SiteName
{
    private const int MaxBytes = 200;

    /// <summary>Why something cannot be a name; null where it can.</summary>
    public static string? Fault(string? name)
    {
        try
        {
            Check(name!, "name");
            return null;
        }
        catch (ArgumentException e)
        {
            return string.IsNullOrEmpty(name) ? "a name must not be empty"
                : e.Message.Split(" (Parameter")[0].TrimEnd('.');
        }
    }

    /// <summary>Refuses what cannot be a name.</summary>
    /// <param name="name">The name.</param>
    /// <param name="parameter">What the exception calls it.</param>
    /// <exception cref="ArgumentException">The name cannot be.</exception>
    public static void Check(string name, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(name, parameter);
        if (!PlainText.IsWellFormed(name) || Encoding.UTF8.GetByteCount(name) > MaxBytes)
        {
            throw new ArgumentException($"A name must be Unicode text of at most {MaxBytes} bytes in UTF-8; "
                + $"'{PlainText.Of(name, 100)}' is not.", parameter);
        }
        if (string.IsNullOrWhiteSpace(name) || name != name.Trim())
            throw new ArgumentException(
                $"A name must not be blank, nor begin or end with space; '{name}' does.", parameter);
        foreach (var rune in name.EnumerateRunes())
        {
            if (Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format
                or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)) continue;
            throw new ArgumentException(
                "A name must hold no characters that cannot be seen, such as line ends and marks of direction; this "
                    + $"one has U+{rune.Value:X4}.", parameter);
        }
    }
}

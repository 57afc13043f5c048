using System.Globalization;

namespace Flare;

/// <summary>Numbers and times as people read them in reports, logs and tables: the same in every culture.</summary>
public static class Readable
{
    /// <summary>
    /// Such as <c>0.48 s</c>, <c>12.3 s</c>, <c>3 min 05 s</c>, <c>2 h 07 min</c> or <c>3 d 04 h</c>.
    /// </summary>
    public static string Duration(TimeSpan time)
    {
        if (time.TotalSeconds < 9.995)
            return string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.00} s");
        if (time.TotalSeconds < 59.95) return string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s");
        var whole = TimeSpan.FromSeconds(Math.Round(time.TotalSeconds));
        return whole switch
        {
            { TotalHours: < 1 } =>
                string.Create(CultureInfo.InvariantCulture, $"{whole.Minutes} min {whole.Seconds:00} s"),
            { TotalDays: < 1 } =>
            string.Create(CultureInfo.InvariantCulture, $"{whole.Hours} h {whole.Minutes:00} min"),
            _ => string.Create(CultureInfo.InvariantCulture, $"{whole.Days} d {whole.Hours:00} h"),
        };
    }

    /// <summary>A measurement to three digits, such as <c>0.953</c>.</summary>
    public static string Number(double value) => value.ToString("G3", CultureInfo.InvariantCulture);

    /// <summary>A number in one of .NET's formats, such as <c>N0</c>, as the invariant culture has it.</summary>
    /// <param name="value">The number.</param>
    /// <param name="format">The format.</param>
    public static string Format(IFormattable value, string format)
    {
        ArgumentNullException.ThrowIfNull(value);
        return value.ToString(format, CultureInfo.InvariantCulture);
    }

    /// <summary>Such as <c>1 tensor</c> or <c>1,024 tensors</c>.</summary>
    /// <param name="count">How many; wide enough for a sum of any <see cref="long"/>s.</param>
    /// <param name="noun">The noun, whose plural ends in s.</param>
    public static string Count(Int128 count, string noun) =>
        string.Create(CultureInfo.InvariantCulture, $"{count:N0} {Noun(count, noun)}");

    /// <summary>The noun alone, for a log message that has the number as a value of its own.</summary>
    internal static string Noun(Int128 count, string noun) => count == 1 ? noun : $"{noun}s";
}

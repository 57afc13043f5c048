using System.Globalization;

namespace Flare.Benchmarks.Transport;

/// <summary>Options of a command: <c>--name value</c>, or <c>--name</c> alone.</summary>
internal sealed class Options(string[] args)
{


    public int Number(string name, int otherwise) =>
        Text(name) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;

    public bool Has(string name)
    {
        return args.Contains(name);
    }

    /// <summary>A time such as 90s, 20m, 2h.</summary>
    public TimeSpan Time(string name, TimeSpan otherwise)
    {
        if (Text(name) is not { } text) return otherwise;
        var number = double.Parse(text[..^1], CultureInfo.InvariantCulture);
        return text[^1] switch
        {
            's' => TimeSpan.FromSeconds(number), 'm' => TimeSpan.FromMinutes(number),
            'h' => TimeSpan.FromHours(number), _ => throw new FormatException($"{name} {text}: 90s, 20m or 2h"),
        };
    }

    private string? Text(string name)
    {
        var at = Array.IndexOf(args, name);
        return at < 0 ? null : at + 1 < args.Length ? args[at + 1]
            : throw new FormatException($"{name} needs a value");
    }
}

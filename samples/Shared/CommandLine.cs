using System.Globalization;

/// <summary>Reads the options of a sample. Each method returns what is wrong; an empty text where nothing is.</summary>
internal static class CommandLine
{
    /// <summary>Goes through the arguments.</summary>
    /// <param name="args">The arguments.</param>
    /// <param name="flags">What to do at options that stand alone.</param>
    /// <param name="values">What to do with the values of the others, by name and value.</param>
    public static string Read(string[] args, Dictionary<string, Action> flags, Dictionary<string, Func<string, string, string>> values)
    {
        for (var i = 0; i < args.Length; i++)
        {
            var name = args[i];
            if (flags.TryGetValue(name, out var flag))
            {
                flag();
                continue;
            }
            if (!values.TryGetValue(name, out var set)) return $"'{name}' is no option";
            // What follows may be the next option, where the value was forgotten.
            if (++i == args.Length || args[i].Length == 0 || args[i].StartsWith("--", StringComparison.Ordinal)) return $"{name} needs a value";
            if (set(name, args[i]) is { Length: > 0 } error) return error;
        }
        return "";
    }

    /// <summary>Takes a whole number.</summary>
    public static Func<string, string, string> Whole(int least, int most, Action<int> set) => (name, text) =>
    {
        if (!int.TryParse(text, CultureInfo.InvariantCulture, out var value) || value < least || value > most) return $"{name} needs a whole number from {least} to {most}";
        set(value);
        return "";
    };
}

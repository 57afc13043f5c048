using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

/// <summary>
/// What the samples' options have in common. Numbers have no thousands separators: 0,5 is a mistake, not 5.
/// </summary>
internal static class CommandLine
{
    /// <summary>A whole number within bounds.</summary>
    public static Option<int> Whole(string name, int least, int most, int standard, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => standard,
        CustomParser = result =>
        {
            const NumberStyles Style = NumberStyles.AllowLeadingSign;
            if (IsForgotten(result, name)) return 0;
            var good = int.TryParse(result.Tokens[0].Value, Style, CultureInfo.InvariantCulture, out var value);
            if (!good || value < least || value > most)
                result.AddError($"{name} needs a whole number from {least} to {most}");
            return value;
        },
    };

    /// <summary>A number above 0.</summary>
    public static Option<double> Positive(string name, double most, double standard, string description) => new(name)
    {
        Description = description,
        HelpName = "A",
        DefaultValueFactory = _ => standard,
        CustomParser = result =>
        {
            const NumberStyles Style = NumberStyles.Float;
            if (IsForgotten(result, name)) return 0;
            var good = double.TryParse(result.Tokens[0].Value, Style, CultureInfo.InvariantCulture, out var value);
            if (!good || !(value > 0 && value <= most)) result.AddError($"{name} needs a number above 0");
            return value;
        },
    };

    /// <summary>
    /// Whether the program is to go on. Where not, the help that was asked for is printed, or what is wrong.
    /// </summary>
    public static bool Goes(RootCommand command, string[] args, out ParseResult parsed, out int exitCode)
    {
        parsed = command.Parse(args);
        exitCode = 0;
        if (parsed.Errors is [] && parsed.Action is null) return true;
        if (parsed.Errors is [var first, ..])
        {
            // An option without its value leaves words over that are no mistake of their own.
            var error = parsed.Errors.FirstOrDefault(e => e.SymbolResult is not CommandResult) ?? first;
            var message = error.SymbolResult is OptionResult { Tokens.Count: 0, Option.Name: var name }
                ? $"{name} needs a value"
                : error.Message.TrimEnd('.');
            Console.Error.WriteLine($"{message}; see --help");
            exitCode = 2;
            return false;
        }
        exitCode = parsed.Invoke();
        return false;
    }

    // What follows may be the next option, where the value was forgotten.
    private static bool IsForgotten(ArgumentResult result, string name)
    {
        var forgotten = result.Tokens[0].Value is "" or ['-', '-', ..];
        if (forgotten) result.AddError($"{name} needs a value");
        return forgotten;
    }
}

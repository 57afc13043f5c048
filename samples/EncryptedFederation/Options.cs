using System.Globalization;
using Flare.Crypto;

/// <summary>What the command line asks for.</summary>
internal sealed record Options
{
    public int Rounds { get; private set; } = 10;
    public int Sites { get; private set; } = 8;
    public int Seed { get; private set; } = 42;
    public int Parallelism { get; private set; } = Environment.ProcessorCount;
    public EncryptionScheme Scheme { get; private set; }
    public bool Json { get; private set; }

    public const string Usage = """
        usage: EncryptedFederation [--rounds N] [--sites N] [--seed N] [--parallelism N] [--scheme exact|ckks] [--json]

          --rounds N       rounds of training (10)
          --sites N        sites that share the digits, at most 100 (8)
          --seed N         same seed, same bits of the opened model (42)
          --parallelism N  how many sites train at once (the number of cores)
          --scheme NAME    exact, or ckks with NVIDIA FLARE's parameters (exact)
          --json           print the result as one JSON object on the last line
        """;

    /// <summary>Reads the arguments; null, with the reason, where they make no sense.</summary>
    public static Options? Parse(string[] args, out string error)
    {
        var options = new Options();
        error = "";
        for (var i = 0; i < args.Length && error.Length == 0; i++)
        {
            var name = args[i];
            if (name == "--json") options.Json = true;
            else if (name is not ("--rounds" or "--sites" or "--seed" or "--parallelism" or "--scheme")) error = $"'{name}' is no option";
            // What follows may be the next option, where the value was forgotten.
            else if (++i == args.Length || args[i].Length == 0 || args[i].StartsWith("--", StringComparison.Ordinal)) error = $"{name} needs a value";
            else error = options.Set(name, args[i]);
        }
        return error.Length == 0 ? options : null;
    }

    private string Set(string name, string value)
    {
        switch (name)
        {
            case "--rounds": return Whole(name, value, 1, 10_000, n => Rounds = n);
            case "--sites": return Whole(name, value, 1, 100, n => Sites = n);
            case "--seed": return Whole(name, value, 0, int.MaxValue, n => Seed = n);
            case "--parallelism": return Whole(name, value, 1, 1024, n => Parallelism = n);
            default:
                if (value is not ("exact" or "ckks")) return $"{name} is exact or ckks";
                Scheme = value == "ckks" ? EncryptionScheme.Ckks : EncryptionScheme.Exact;
                return "";
        }
    }

    private static string Whole(string name, string text, int least, int most, Action<int> set)
    {
        if (!int.TryParse(text, CultureInfo.InvariantCulture, out var value) || value < least || value > most) return $"{name} needs a whole number from {least} to {most}";
        set(value);
        return "";
    }
}

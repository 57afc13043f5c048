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
          --sites N        sites that share the digits (8)
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
            if (name == "--json")
            {
                options.Json = true;
                continue;
            }
            if (name is not ("--rounds" or "--sites" or "--seed" or "--parallelism" or "--scheme")) error = $"'{name}' is no option";
            else if (++i == args.Length) error = $"{name} needs a value";
            else if (name == "--scheme")
            {
                if (args[i] is not ("exact" or "ckks")) error = "--scheme is exact or ckks";
                options.Scheme = args[i] == "ckks" ? EncryptionScheme.Ckks : EncryptionScheme.Exact;
            }
            else if (!int.TryParse(args[i], CultureInfo.InvariantCulture, out var value) || value < (name == "--seed" ? 0 : 1) || value > 10_000) error = $"{name} needs a whole number up to 10000";
            else if (name == "--rounds") options.Rounds = value;
            else if (name == "--sites") options.Sites = Math.Min(value, 100);
            else if (name == "--seed") options.Seed = value;
            else options.Parallelism = value;
        }
        return error.Length == 0 ? options : null;
    }
}

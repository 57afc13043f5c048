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
        error = CommandLine.Read(args,
            new() { ["--json"] = () => options.Json = true },
            new()
            {
                ["--rounds"] = CommandLine.Whole(1, 10_000, n => options.Rounds = n),
                ["--sites"] = CommandLine.Whole(1, 100, n => options.Sites = n),
                ["--seed"] = CommandLine.Whole(0, int.MaxValue, n => options.Seed = n),
                ["--parallelism"] = CommandLine.Whole(1, 1024, n => options.Parallelism = n),
                ["--scheme"] = options.SetScheme,
            });
        return error.Length == 0 ? options : null;
    }

    private string SetScheme(string name, string value)
    {
        if (value is not ("exact" or "ckks")) return $"{name} is exact or ckks";
        Scheme = value == "ckks" ? EncryptionScheme.Ckks : EncryptionScheme.Exact;
        return "";
    }
}

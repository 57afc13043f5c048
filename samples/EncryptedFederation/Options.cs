using System.CommandLine;
using Flare.Crypto;

/// <summary>What the command line asks for.</summary>
internal sealed record Options(int Rounds, int Sites, int Seed, int Parallelism, EncryptionScheme Scheme, bool Json)
{
    /// <summary>Reads the arguments; null, with the exit code, where the program is not to go on.</summary>
    public static Options? Read(string[] args, out int exitCode)
    {
        var rounds = CommandLine.Whole("--rounds", 1, 10_000, 10, "rounds of training");
        var sites = CommandLine.Whole("--sites", 1, 100, 8, "sites that share the digits");
        var seed = CommandLine.Whole("--seed", 0, int.MaxValue, 42, "same seed, same bits of the opened model");
        var cores = Environment.ProcessorCount;
        var parallelism = CommandLine.Whole("--parallelism", 1, 1024, cores, "how many sites train at once");
        var scheme = new Option<EncryptionScheme>("--scheme")
        {
            Description = "exact, or ckks with NVIDIA FLARE's parameters",
            HelpName = "exact|ckks",
            DefaultValueFactory = _ => EncryptionScheme.Exact,
            CustomParser = result =>
            {
                var name = result.Tokens[0].Value;
                if (name.StartsWith("--", StringComparison.Ordinal)) result.AddError("--scheme needs a value");
                else if (name is not ("exact" or "ckks")) result.AddError("--scheme is exact or ckks");
                return name == "ckks" ? EncryptionScheme.Ckks : EncryptionScheme.Exact;
            },
        };
        var json = new Option<bool>("--json") { Description = "print the result as one JSON object on the last line" };
        var command = new RootCommand("A federation in the clear, and encrypted.")
        {
            rounds, sites, seed, parallelism, scheme, json,
        };
        return CommandLine.Goes(command, args, out var given, out exitCode)
            ? new(given.GetValue(rounds), given.GetValue(sites), given.GetValue(seed), given.GetValue(parallelism),
                given.GetValue(scheme), given.GetValue(json))
            : null;
    }
}

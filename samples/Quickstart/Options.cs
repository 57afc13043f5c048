using System.CommandLine;

/// <summary>What the command line asks for.</summary>
internal sealed record Options(
    int Rounds, int Sites, double Alpha, int Seed, int Parallelism, string? Journal, bool Resume, bool Json)
{
    /// <summary>Reads the arguments; null, with the exit code, where the program is not to go on.</summary>
    public static Options? Read(string[] args, out int exitCode)
    {
        var rounds = CommandLine.Whole("--rounds", 1, 10_000, 20, "rounds of training");
        var sites = CommandLine.Whole("--sites", 1, 100, 8, "sites that share the digits");
        var alpha = CommandLine.Positive(
            "--alpha", 1e6, 0.5, "0.1 gives every site other digits, 100 all the same mix");
        var seed = CommandLine.Whole("--seed", 0, int.MaxValue, 42, "same seed, same bits");
        var cores = Environment.ProcessorCount;
        var parallelism = CommandLine.Whole("--parallelism", 1, 1024, cores, "how many sites train at once");
        var journal = new Option<string?>("--journal") { Description = "keep each round on disk", HelpName = "DIR" };
        var resume = new Option<bool>("--resume") { Description = "go on after the journal's last round" };
        var json = new Option<bool>("--json") { Description = "print the result as one JSON object on the last line" };
        journal.Validators.Add(result =>
        {
            // What follows may be the next option, where the value was forgotten.
            if (result.Tokens is [{ Value: "" or ['-', '-', ..] }]) result.AddError("--journal needs a value");
        });
        var command = new RootCommand("Sites that share one task, and no data: they learn to read digits together.")
        {
            rounds, sites, alpha, seed, parallelism, journal, resume, json,
        };
        command.Validators.Add(result =>
        {
            var folder = result.GetResult(journal) is { Tokens: [var given] } ? given.Value : null;
            if (result.GetValue(resume) && folder is null) result.AddError("--resume needs --journal DIR");
            var begun = Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any();
            if (begun && !result.GetValue(resume))
                result.AddError(
                    $"'{folder}' is not empty; add --resume to go on with its journal, or name another folder");
        });
        return CommandLine.Goes(command, args, out var parsed, out exitCode)
            ? new(parsed.GetValue(rounds), parsed.GetValue(sites), parsed.GetValue(alpha), parsed.GetValue(seed),
                parsed.GetValue(parallelism), parsed.GetValue(journal), parsed.GetValue(resume), parsed.GetValue(json))
            : null;
    }
}

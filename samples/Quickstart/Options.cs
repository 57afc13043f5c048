using System.Globalization;

/// <summary>What the command line asks for.</summary>
internal sealed record Options
{
    public int Rounds { get; private set; } = 20;
    public int Sites { get; private set; } = 8;
    public double Alpha { get; private set; } = 0.5;
    public int Seed { get; private set; } = 42;
    public int Parallelism { get; private set; } = Environment.ProcessorCount;
    public string? Journal { get; private set; }
    public bool Resume { get; private set; }
    public bool Json { get; private set; }

    public const string Usage = """
        usage: Quickstart [--rounds N] [--sites N] [--alpha A] [--seed N] [--parallelism N] [--journal DIR [--resume]] [--json]

          --rounds N       rounds of training (20)
          --sites N        sites that share the digits, at most 100 (8)
          --alpha A        Dirichlet concentration: 0.1 gives every site other digits, 100 gives all the same mix (0.5)
          --seed N         same seed, same bits (42)
          --parallelism N  how many sites train at once (the number of cores); the result does not depend on it
          --journal DIR    keep a journal: every round is on disk before it is reported
          --resume         go on after the journal's last round
          --json           print the result as one JSON object on the last line
        """;

    /// <summary>Reads the arguments; null, with the reason, where they make no sense.</summary>
    public static Options? Parse(string[] args, out string error)
    {
        var options = new Options();
        error = CommandLine.Read(args,
            new() { ["--resume"] = () => options.Resume = true, ["--json"] = () => options.Json = true },
            new()
            {
                ["--rounds"] = CommandLine.Whole(1, 10_000, n => options.Rounds = n),
                ["--sites"] = CommandLine.Whole(1, 100, n => options.Sites = n),
                ["--seed"] = CommandLine.Whole(0, int.MaxValue, n => options.Seed = n),
                ["--parallelism"] = CommandLine.Whole(1, 1024, n => options.Parallelism = n),
                ["--alpha"] = options.SetAlpha,
                ["--journal"] = (_, value) =>
                {
                    options.Journal = value;
                    return "";
                },
            });
        if (error.Length == 0 && options is { Resume: true, Journal: null }) error = "--resume needs --journal DIR";
        if (error.Length == 0 && options is { Resume: false, Journal: { } journal } && Directory.Exists(journal) && Directory.EnumerateFileSystemEntries(journal).Any())
            error = $"'{journal}' is not empty; add --resume to go on with its journal, or name another folder";
        return error.Length == 0 ? options : null;
    }

    private string SetAlpha(string name, string value)
    {
        if (!double.TryParse(value, CultureInfo.InvariantCulture, out var alpha) || alpha is not (> 0 and <= 1e6)) return $"{name} needs a number above 0";
        Alpha = alpha;
        return "";
    }
}

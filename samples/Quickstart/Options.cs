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
          --sites N        sites that share the digits (8)
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
        error = "";
        for (var i = 0; i < args.Length; i++)
        {
            string Next(ref string problem)
            {
                if (i + 1 < args.Length) return args[++i];
                problem = $"{args[i]} needs a value";
                return "";
            }
            switch (args[i])
            {
                case "--rounds": options.Rounds = Whole(Next(ref error), "--rounds", 1, 10_000, ref error); break;
                case "--sites": options.Sites = Whole(Next(ref error), "--sites", 1, 100, ref error); break;
                case "--seed": options.Seed = Whole(Next(ref error), "--seed", 0, int.MaxValue, ref error); break;
                case "--parallelism": options.Parallelism = Whole(Next(ref error), "--parallelism", 1, 1024, ref error); break;
                case "--alpha":
                    if (double.TryParse(Next(ref error), CultureInfo.InvariantCulture, out var alpha) && alpha is > 0 and <= 1e6) options.Alpha = alpha;
                    else if (error.Length == 0) error = "--alpha needs a number above 0";
                    break;
                case "--journal": options.Journal = Next(ref error); break;
                case "--resume": options.Resume = true; break;
                case "--json": options.Json = true; break;
                default: error = $"'{args[i]}' is no option"; break;
            }
            if (error.Length > 0) return null;
        }
        if (options.Resume && options.Journal is null) error = "--resume needs --journal DIR";
        if (options.Journal is { } journal && !options.Resume && Directory.Exists(journal) && Directory.EnumerateFileSystemEntries(journal).Any())
            error = $"'{journal}' is not empty; add --resume to go on with its journal, or name another folder";
        return error.Length == 0 ? options : null;
    }

    private static int Whole(string text, string name, int least, int most, ref string error)
    {
        if (int.TryParse(text, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most) return value;
        if (error.Length == 0) error = $"{name} needs a whole number from {least} to {most}";
        return least;
    }
}

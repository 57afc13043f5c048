using System.CommandLine;

/// <summary>What the command line asks for.</summary>
internal sealed record Options(int Rounds, int Sites, int Seed, string Python, bool Managed, bool Kill, bool Json)
{
    /// <summary>Reads the arguments; null, with the exit code, where the program is not to go on.</summary>
    public static Options? Read(string[] args, out int exitCode)
    {
        var rounds = CommandLine.Whole("--rounds", 1, 10_000, 10, "rounds of training");
        var sites = CommandLine.Whole("--sites", 1, 100, 4, "sites that share the digits");
        var seed = CommandLine.Whole("--seed", 0, int.MaxValue, 42, "same seed, same bits");
        var python = new Option<string>("--python")
        {
            Description = "the interpreter; it must have numpy and msgpack", HelpName = "FILE",
            DefaultValueFactory = _ => "python3",
        };
        var managed = new Option<bool>("--managed") { Description = "the same federation with .NET's own trainer" };
        var kill = new Option<bool>("--kill") { Description = "kill a trainer in mid-run, and start it again" };
        var json = new Option<bool>("--json") { Description = "print the result as one JSON object on the last line" };
        var command = new RootCommand("Sites in .NET whose trainers are processes in Python.")
        {
            rounds, sites, seed, python, managed, kill, json,
        };
        return CommandLine.Goes(command, args, out var parsed, out exitCode)
            ? new(
                parsed.GetValue(rounds), parsed.GetValue(sites), parsed.GetValue(seed), parsed.GetValue(python)!,
                parsed.GetValue(managed), parsed.GetValue(kill), parsed.GetValue(json))
            : null;
    }
}

using System.CommandLine;

/// <summary>What the command line asks for.</summary>
internal sealed record Options(
    int Rounds, int Sites, int Seed, bool InProcess, bool Kill, bool Cut, bool Leave, bool Json, string? Role,
    string? Kit, string? Journal, int? Through)
{
    /// <summary>Reads the arguments; null, with the exit code, where the program is not to go on.</summary>
    public static Options? Read(string[] args, out int exitCode)
    {
        var rounds = CommandLine.Whole("--rounds", 1, 10_000, 5, "rounds of training");
        var sites = CommandLine.Whole("--sites", 1, 100, 3, "site processes that share the digits");
        var seed = CommandLine.Whole("--seed", 0, int.MaxValue, 42, "same seed, same bits");
        var inProcess = new Option<bool>("--in-process") { Description = "the same federation in one process" };
        var kill = new Option<bool>("--kill")
        {
            Description = "kill a site and then the server in mid-run, and start them again",
        };
        var cut = new Option<bool>("--cut") { Description = "cut all connections every second" };
        var leave = new Option<bool>("--leave")
        {
            Description = "each site leaves in mid-training every few rounds, and comes back within the round",
        };
        var json = new Option<bool>("--json") { Description = "print the result as one JSON object on the last line" };
        var role = new Option<string?>(
            "--role") { Description = "what a child process is: server or site", Hidden = true };
        var kit = new Option<string?>("--kit") { Description = "a child's startup kit", Hidden = true };
        var journal = new Option<string?>("--journal") { Description = "keep each round on disk", HelpName = "DIR" };
        var through = new Option<int?>("--through") { Description = "a child's way to the server", Hidden = true };
        var command = new RootCommand("A server and its sites, each a process of its own, talk over TLS.")
        {
            rounds, sites, seed, inProcess, kill, cut, leave, json, role, kit, journal, through,
        };
        return CommandLine.Goes(command, args, out var parsed, out exitCode)
            ? new(
                parsed.GetValue(rounds), parsed.GetValue(sites), parsed.GetValue(seed), parsed.GetValue(inProcess),
                parsed.GetValue(kill), parsed.GetValue(cut), parsed.GetValue(leave), parsed.GetValue(json),
                parsed.GetValue(role), parsed.GetValue(kit), parsed.GetValue(journal), parsed.GetValue(through))
            : null;
    }
}

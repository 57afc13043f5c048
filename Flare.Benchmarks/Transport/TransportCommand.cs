namespace Flare.Benchmarks.Transport;

/// <summary><c>transport NAME [--option value …]</c>: what a transport does at scale (docs/benchmarks.md).</summary>
internal static class TransportCommand
{
    private static readonly Dictionary<string, Func<Options, Task<int>>> Commands = new(StringComparer.Ordinal)
    {
        ["noop"] = NoOpRounds.RunAsync,
        ["scale"] = ManySites.RunAsync,
        ["slow"] = SlowSite.RunAsync,
        ["beside"] = BesideUpload.RunAsync,
        ["soak"] = TransportSoak.RunAsync,
    };

    public static int Run(string[] args)
    {
        if (args.Length > 0 && Commands.TryGetValue(args[0], out var command))
            return command(new Options(args[1..])).GetAwaiter().GetResult();
        Console.Error.WriteLine($"usage: transport {string.Join('|', Commands.Keys)} [--option value …]");
        return 2;
    }
}

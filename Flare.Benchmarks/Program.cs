using BenchmarkDotNet.Running;
using Flare.Benchmarks.Durability;
using Flare.Benchmarks.Ratios;
using Flare.Benchmarks.Soak;
using Flare.Benchmarks.Transport;

return args switch
{
    ["ratios", .. var rest] => RatiosCommand.Run(rest),
    ["kills", .. var rest] => KillCommand.Run(rest),
    ["memory"] => MemoryCommand.Run(),
    ["transport", "--half-open" or "--flood", ..] => HalfOpenCommand.RunAsync(args[1..]).GetAwaiter().GetResult(),
    ["soak", .. var rest] => Soak.Run(rest),
    ["mutations", .. var rest] => MutationsCommand.Run(new Options(rest)),
    ["transport", .. var rest] => TransportCommand.Run(rest),
    _ => RunSuites(args),
};

static int RunSuites(string[] args)
{
    BenchmarkSwitcher.FromAssembly(typeof(RatiosCommand).Assembly).Run(args);
    return 0;
}

using BenchmarkDotNet.Running;
using Flare.Benchmarks.Ratios;

return args switch
{
    ["ratios", .. var rest] => RatiosCommand.Run(rest),
    _ => RunSuites(args),
};

static int RunSuites(string[] args)
{
    BenchmarkSwitcher.FromAssembly(typeof(RatiosCommand).Assembly).Run(args);
    return 0;
}

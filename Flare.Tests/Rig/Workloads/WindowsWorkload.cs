using Flare.Testing;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// Large results asked of one site at a time: the next candidate becomes eligible when the window of the one before is
/// over.
/// </summary>
internal static class WindowsWorkload
{
    private const int Rounds = 6;

    public static Simulation Configure(Simulation plan) => plan with
    {
        Sites = 4,
        Executor = site => new Trainer(site.Name, handsOver: true),
        Controllers = () => [new OneByOne()],
        Limits = Simulation.ShortLimits with { MaxConcurrentUploads = 1, SmallResultBytes = 0 },
        Check = run => Fold.Check(run, Rounds, Fold.PassOn),
    };

    private sealed class OneByOne : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            for (var round = federation.LastCommittedRound + 1; round <= Rounds; round++)
            {
                var order = federation.Sites.Skip(round % 2).Concat(federation.Sites.Take(round % 2)).ToArray();
                var options = new SendOptions
                {
                    Targets = order,
                    Order = round % 2 == 0 ? SendOrder.Any : SendOrder.Sequential,
                    AssignmentTimeout = TimeSpan.FromMilliseconds(700),
                    Timeout = TimeSpan.FromSeconds(6),
                };
                var model = federation.Model;
                try
                {
                    using var answer = await federation.SendAsync(
                        FlareTask.Train(round, federation.Model), options, abort);
                    model = answer.ToWeights();
                }
                catch (TaskFailedException)
                {
                    // The round goes without training; its report says why.
                }
                await federation.CommitAsync(round, model.Clone(), abort);
            }
        }
    }
}

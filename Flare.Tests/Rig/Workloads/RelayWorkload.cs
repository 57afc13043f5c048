using Flare.Testing;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// Cyclic weight transfer: the model goes from site to site, each trains what the one before made of it.
/// </summary>
internal static class RelayWorkload
{
    private const int Rounds = 3;

    public static Simulation Configure(Simulation plan) => plan with
    {
        Sites = 4,
        Controllers = () => [new Cyclic(Rounds)],
        Check = run => Fold.Check(run, Rounds, Fold.PassOn),
    };

    internal sealed class Cyclic(int rounds) : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            for (var round = federation.LastCommittedRound + 1; round <= rounds; round++)
            {
                var model = federation.Model;
                var options = new RelayOptions { AssignmentTimeout = TimeSpan.FromSeconds(2),
                    ResultTimeout = TimeSpan.FromSeconds(4) };
                var number = round;
                await foreach (var answer in federation.RelayAsync(_ => FlareTask.Train(number, model), options, abort))
                    model = answer.ToWeights();
                await federation.CommitAsync(round, model.Clone(), abort);
            }
        }
    }
}

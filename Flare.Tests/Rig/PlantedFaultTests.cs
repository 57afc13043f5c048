using Flare.Runtime;
using Flare.Testing;
using Flare.Tests.Rig.Workloads;
using Flare.Workflows;

namespace Flare.Tests.Rig;

/// <summary>The rig's own test: bugs planted in the runtime, each of which it must find.</summary>
public class PlantedFaultTests
{
    private const ulong Seeds = 500;

    [TestCase(nameof(PlantedFaults.NoDuplicateCheck), "fedavg", "is not the fold")]
    [TestCase(nameof(PlantedFaults.StaleRoundAccepted), "fedavg", "is not the fold")]
    [TestCase(nameof(PlantedFaults.AnnounceBeforeFlush), "fedavg", "announced")]
    [TestCase(nameof(PlantedFaults.LostWakeup), "flights", "the job is not over")]
    [TestCase(nameof(PlantedFaults.LeakedUploadPermit), "large", "the job is not over")]
    public void The_rig_finds(string fault, string workload, string finding) =>
        RequireFound(seed => Workload.Named(workload).Create(seed, Enum.Parse<PlantedFaults>(fault)), finding);

    [Test]
    public void The_rig_finds_a_sum_in_the_order_of_arrival() => RequireFound(seed =>
    {
        var plan = Workload.Named("sampling").Create(seed);
        return plan with
        {
            Controllers = () => [new FedAvg { Rounds = 6, SitesPerRound = 3, Grace = TimeSpan.FromSeconds(2), Validation = ValidationMode.None, Aggregator = new ArrivalOrderSum() }],
        };
    }, "is not the fold");

    [Test]
    public void The_rig_finds_an_executor_that_leaves_the_loop() => RequireFound(
        seed => Workload.Named("fedavg").Create(seed) with { Executor = _ => new Escaping() },
        "came from other threads");

    private static void RequireFound(Func<ulong, Simulation> plan, string finding)
    {
        for (var seed = 1UL; seed <= Seeds; seed++)
        {
            var run = plan(seed).Run();
            if (run.IsSuccess) continue;
            TestContext.Out.WriteLine($"found at seed {seed}: {run.Failures[0]}");
            Assert.That(run.Failures, Has.Some.Contains(finding), run.ToString());
            return;
        }
        Assert.Fail($"{Seeds} seeds did not find it.");
    }

    /// <summary>What the exact aggregator is there to prevent: a mean in float whose rounding depends on who came first.</summary>
    private sealed class ArrivalOrderSum : Aggregator
    {
        private ControllerContext? _federation;
        private StateDict? _sum;
        private float _weight;

        public override ResultContract Refine(ResultContract contract) => contract with { Kinds = [DataKind.WeightDiff], RequireNumSteps = true };

        public override void Begin(ControllerContext federation, int round) => (_federation, _sum, _weight) = (federation, new StateDict(federation.Model.Layout), 0);

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
        {
            _sum!.AddScaledInPlace(contribution.Tensors, contribution.NumSteps!.Value);
            _weight += contribution.NumSteps.Value;
            return ValueTask.CompletedTask;
        }

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) => ValueTask.FromResult(_federation!.Model + _sum! * (1 / _weight));
    }

    private sealed class Escaping : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            await Task.Delay(1, abort).ConfigureAwait(false); // the wall clock, and then the thread pool
            return Dxo.Metrics(("accuracy", 0)).ToShareable();
        }
    }
}

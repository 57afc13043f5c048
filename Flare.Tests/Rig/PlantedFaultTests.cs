using Flare.Runtime;
using Flare.Testing;
using Flare.Tests.Rig.Workloads;
using Flare.Workflows;

namespace Flare.Tests.Rig;

/// <summary>The rig's own test: bugs planted in the runtime, each of which it must find.</summary>
public class PlantedFaultTests
{
    private const ulong Seeds = 500;

    [Test]
    public void The_rig_finds_a_contribution_that_counts_twice() =>
        RequireFound(seed => Averaging(seed, () => new Tampered(c => c.Site == "site-1" ? 2 : 1)), "is not the fold");

    [Test]
    public void The_rig_finds_a_model_that_misses_a_contribution() =>
        RequireFound(seed => Averaging(seed, () => new Tampered(c => c.Site == "site-1" ? 0 : 1)), "is not the fold");

    [Test]
    public void The_rig_finds_a_disk_that_forgets_what_it_confirmed() => RequireFound(seed =>
    {
        var appended = 0;
        return Planted(
            "fedavg", seed, o =>
            o with { Journal = async () => new Forgetting(await o.Journal!(), () => ++appended > 3) });
    }, "announced");

    [Test]
    public void The_rig_finds_a_task_that_never_reaches_its_site() => RequireFound(
        seed =>
        Planted(
            "large", seed, o =>
            o with { Link = new Swallowing(o.Link, m => m is { Kind: FrameKind.TaskOffer, Number: > 6 }) }),
            "the job is not over");

    [Test]
    public void The_rig_finds_a_permit_that_is_never_given() => RequireFound(
        seed =>
        Planted(
            "large", seed, o =>
            o with { Link = new Swallowing(o.Link, m => m is { Kind: FrameKind.UploadPermit, Number: > 5 }) }),
            "the job is not over");

    [Test]
    public void The_rig_finds_a_sum_in_the_order_of_arrival() => RequireFound(seed =>
    {
        var plan = Workload.Named("sampling").Create(seed);
        return plan with
        {
            Controllers = () =>
                [new FedAvg { Rounds = 6, SitesPerRound = 3, MinSites = 1, Grace = TimeSpan.FromSeconds(2),
                    Validation = ValidationMode.None, Aggregator = new ArrivalOrderSum() }],
        };
    }, "is not the fold");

    [Test]
    public void The_rig_finds_an_executor_that_leaves_the_loop() => RequireFound(
        seed => Workload.Named("fedavg").Create(seed) with { Executor = _ => new Escaping() },
        "came from other threads");

    private static Simulation Averaging(ulong seed, Func<Aggregator> aggregator) =>
        Workload.Named("fedavg").Create(seed) with
    {
        Controllers = () => [new FedAvg
        {
            Rounds = 5, MinSites = 2, Grace = TimeSpan.FromSeconds(1), TrainTimeout = TimeSpan.FromSeconds(20),
            ValidationTimeout = TimeSpan.FromSeconds(2), Aggregator = aggregator(),
        }],
    };

    // A bug of the runtime shows as what it does to links and disks, so that is where it is planted: the product has no
    // switches for it.
    private static Simulation Planted(string workload, ulong seed, Func<JobServerOptions, JobServerOptions> bug)
    {
        var plan = Workload.Named(workload).Create(seed);
        return plan with { ConfigureServer = options => bug(plan.ConfigureServer?.Invoke(options) ?? options) };
    }

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

    /// <summary>
    /// What the exact aggregator is there to prevent: a mean in float whose rounding depends on who came first.
    /// </summary>
    private sealed class ArrivalOrderSum : Aggregator
    {
        private ControllerContext? _federation;
        private StateDict? _sum;
        private float _weight;

        public override bool NeedsSingleUpdates => false;

        public override ResultContract Refine(ResultContract contract) =>
            contract with { Kinds = [DataKind.WeightDiff], RequireNumSteps = true };

        public override void Begin(ControllerContext federation, int round) =>
            (_federation, _sum, _weight) = (federation, new StateDict(federation.Model.Layout), 0);

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
        {
            _sum!.AddScaledInPlace(contribution.Tensors, contribution.NumSteps!.Value);
            _weight += contribution.NumSteps.Value;
            return ValueTask.CompletedTask;
        }

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) =>
            ValueTask.FromResult(_federation!.Model + _sum! * (1 / _weight));
    }

    /// <summary>The exact mean of contributions that count as often as a function says.</summary>
    private sealed class Tampered(Func<Contribution, int> times) : Aggregator
    {
        private readonly ExactAggregator _exact = new();

        public override bool NeedsSingleUpdates => false;

        public override ResultContract Refine(ResultContract contract) => _exact.Refine(contract);
        public override void Begin(ControllerContext federation, int round) => _exact.Begin(federation, round);
        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) => _exact.CompleteAsync(abort);

        public override async ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
        {
            for (var i = times(contribution); i > 0; i--) await _exact.AcceptAsync(contribution, abort);
        }
    }

    private sealed class Forgetting(IJournalStorage inner, Func<bool> forgets) : IJournalStorage
    {
        public string Location => inner.Location;
        public Task<IReadOnlyList<string>> ListAsync() => inner.ListAsync();
        public Task<T> ReadAsync<T>(string name, Func<Stream, T> read) => inner.ReadAsync(name, read);
        public Task TruncateAsync(string name, long length) => inner.TruncateAsync(name, length);
        public Task<T> ReplaceAsync<T>(string name, Func<Stream, T> write) => inner.ReplaceAsync(name, write);
        public Task DeleteAsync(string name) => inner.DeleteAsync(name);
        public ValueTask DisposeAsync() => inner.DisposeAsync();

        public Task AppendAsync(string name, ReadOnlyMemory<byte> bytes) =>
            forgets() ? Task.CompletedTask : inner.AppendAsync(name, bytes);
    }

    private sealed class Swallowing(IServerLink inner, Func<FrameHead, bool> isSwallowed) : IServerLink
    {
        public LinkPromise Promise => inner.Promise;

        public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change) =>
            inner.Start(receive, change);

        public void Send(string site, LinkMessage message)
        {
            if (!isSwallowed(message.Head)) inner.Send(site, message);
        }
    }

    private sealed class Escaping : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            await new FromElsewhere();
            return Dxo.Metrics(("accuracy", 0)).ToShareable();
        }
    }
}

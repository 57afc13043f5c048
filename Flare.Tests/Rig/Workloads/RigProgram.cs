using Flare.Runtime;
using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// A program as a user writes it, on the rig's clock and scheduler: it uses public classes alone, and its models must
/// be what the oracle makes of their reports.
/// </summary>
internal abstract class RigProgram
{
    protected const int Rounds = 5;

    private readonly string _workload;
    private readonly List<string> _failures = [];

    protected RigProgram(ulong seed, string workload, bool keepLog)
    {
        (Seed, _workload) = (seed, workload);
        Loop = new SimulationLoop(seed, keepLog);
        Random = Loop.Random.Fork();
        int[] sizes = [0, 200, 2000, 20_000];
        Ballast = sizes[Random.NextInt32(sizes.Length)];
    }

    protected ulong Seed { get; }
    protected SimulationLoop Loop { get; }
    protected SimulationRandom Random { get; }

    /// <summary>How long things go wrong.</summary>
    protected static TimeSpan AttackTime => TimeSpan.FromSeconds(15);

    protected bool IsUnderAttack => Loop.Now < AttackTime;

    protected int Ballast { get; }

    /// <summary>The rounds of the run's last job, all of them.</summary>
    protected IReadOnlyList<RoundReport> Announced { get; set; } = [];

    protected StateDict? Model { get; set; }

    protected int Restarts { get; set; }

    protected int Aborts { get; set; }

    protected SimulatedTransport? Transport { get; init; }

    protected abstract Task RunAsync();

    public SimulationResult Run()
    {
        if (Transport is not null) Loop.After(AttackTime, () => Transport.Faults = FrameFaults.None);
        var end = Loop.Run(GuardedAsync, AttackTime + TimeSpan.FromMinutes(4));
        if (end != SimulationEnd.Completed)
            _failures.Add($"the program is not over ({end}): {Announced.Count} rounds were announced");
        if (Loop.Escapes > 0)
            _failures.Insert(0, $"{Loop.Escapes} callbacks came from other threads: {Loop.FirstEscape}");
        _failures.AddRange(Loop.Unhandled.Select(e => $"an exception that nobody awaited: {e}"));
        var result = new SimulationResult
        {
            Seed = Seed,
            Failures = _failures,
            TraceHash = Loop.TraceHash,
            Rounds = Announced,
            InitialModel = Fold.InitialModel(Ballast),
            Model = Model ?? Fold.InitialModel(Ballast),
            Statistics = new(
                Loop.Now, Loop.Steps, 0, 0, 0, Restarts, Aborts, 0, 0, Transport?.Cuts ?? 0, 0, 0),
            Log = Loop.Log,
            Reproduction = Workload.HowToRepeat(Seed, _workload),
        };
        if (end == SimulationEnd.Completed && _failures.Count == 0)
            _failures.AddRange(Fold.Check(result, Rounds, Fold.Average));
        return result;

        async Task GuardedAsync()
        {
            try
            {
                await RunAsync();
            }
            catch (Exception e)
            {
                Fail($"the program failed: {e}"); // whatever it is, it is not to be
            }
        }
    }

    protected void Fail(string failure)
    {
        Loop.Trace("FAILURE " + failure);
        _failures.Add(failure);
    }

    protected Task PauseAsync(TimeSpan most) => Task.Delay(Random.Between(TimeSpan.Zero, most), Loop.Time);

    protected static FedAvg Workflow() => new()
    {
        Rounds = Rounds,
        MinSites = 2,
        Grace = TimeSpan.FromSeconds(1),
        TrainTimeout = TimeSpan.FromSeconds(20),
        ValidationTimeout = TimeSpan.FromSeconds(2),
    };

    protected RuntimeLimits Limits { get; } = Simulation.ShortLimits with
    {
        MaxConcurrentUploads = 2, SmallResultBytes = 0,
    };

    protected Executor NewExecutor(string site) => new Owned(
        new GuardedExecutor(new Trainer(site), site, Loop.Time, Limits.AbortGrace, Fail), site, Fail);

    /// <summary>Whether a job may fail so, and be run again.</summary>
    protected static bool MayFail(Exception e) => e is OperationCanceledException or IOException
        or FlareException { IsTransient: true }
        or FlareException { ErrorId: ErrorIds.Journal or ErrorIds.TooFewResponses };

    /// <summary>Is disposed of once, and not while it works.</summary>
    private sealed class Owned(Executor inner, string site, Action<string> fail) : DelegatingExecutor(inner)
    {
        private int _working;
        private bool _isDisposed;

        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            if (_isDisposed) fail($"{site} was given a task after it was disposed of");
            _working++;
            try
            {
                return await base.ExecuteAsync(taskName, input, context, abort);
            }
            finally
            {
                _working--;
            }
        }

        public override ValueTask DisposeAsync()
        {
            if (_isDisposed) fail($"the executor of {site} was disposed of twice");
            if (_working > 0) fail($"the executor of {site} was disposed of while it worked");
            _isDisposed = true;
            return base.DisposeAsync();
        }
    }
}

using System.Diagnostics.CodeAnalysis;
using Flare.Runtime;

namespace Flare.Testing;

/// <summary>
/// One run of a <see cref="Simulation"/>: starts and stops the processes, and holds the runtime to its promises.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A server ends in a crash or by itself.")]
internal sealed class SimulatedFederation
{
    public const string JobId = "job";

    private readonly Simulation _plan;
    private readonly SimulationLoop _loop;
    private readonly SimulationRandom _random;
    private readonly IRigNetwork _network;
    private readonly SimulatedDisk _disk;
    private readonly RoundLedger _ledger;
    private readonly UploadWatch _uploads;
    private readonly Nemesis _nemesis;
    private readonly List<string> _failures = [];
    private readonly TaskCompletionSource _finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private JobServer? _server;
    private SynchronizationContext _own;
    private StateDict? _model;
    private Exception? _lastFailure;
    private CancellationTokenSource? _abort;
    private TimeSpan? _aborted;
    private int _restarts;

    public SimulatedFederation(Simulation plan, FaultProfile faults, SimulationLoop loop)
    {
        (_plan, _loop, _own, _random) = (plan, loop, loop, loop.Random.Fork());
        _network = faults.Frames is { } frames
            ? new FramedNetwork(loop, frames, Fail) : new SimulatedNetwork(loop) { Faults = faults.Network };
        _disk = new SimulatedDisk(loop) { Faults = faults.Disk };
        _ledger = new RoundLedger(plan.Controllers().Count, Fail);
        _uploads = new UploadWatch(plan.Limits, Fail);
        _network.Watch(_uploads);
        var slots = plan.ExecutorsAtOnce is { } most ? new ExecutorSlots(most) : null;
        Sites = [.. Enumerable.Range(0, plan.Sites).Select(i => new SimulatedSite(
            plan, new SiteInfo(i, $"site-{i + 1}"), loop, _network, _uploads, () => _finished.Task.IsCompleted, Fail,
            slots))];
        _nemesis = new Nemesis(this, faults, plan.AttackTime, loop, _network, _disk);
    }

    public IReadOnlyList<SimulatedSite> Sites { get; }

    public bool ServerIsUp => _server is not null;

    public async Task RunAsync()
    {
        var isReliable = _network.IsReliable;
        StartServer();
        foreach (var site in Sites)
            _loop.After(_random.Between(TimeSpan.Zero, TimeSpan.FromSeconds(isReliable ? 0 : 2)), site.Start);
        _nemesis.Start();
        await _finished.Task;
        _nemesis.Stop();
        if (!isReliable) await ReopenAsync();
        while (Sites.Any(s => !s.HasEnded)) await Task.Delay(TimeSpan.FromMilliseconds(50), _loop.Time);
        await _network.FinishAsync();
    }

    /// <summary>The server's machine dies: whatever it had told nobody is gone.</summary>
    public void CrashServer()
    {
        if (_server is not { } server) return;
        _loop.Trace("crashes", "server", server.Epoch);
        while (server.Reports.TryRead(out var report)) Announced(report); // what it had told somebody
        _server = null;
        _aborted = null;
        _network.CrashServer();
        _disk.Crash();
        SimulatedJobLoop.Enter(_own, server.Dispose);
    }

    /// <summary>The operator aborts the job, and starts it again once it has ended.</summary>
    public void AbortJob()
    {
        if (_server is null || _abort is null) return;
        _loop.Trace("aborted", "server");
        _aborted ??= _loop.Now;
        Aborts++;
        _abort.Cancel();
    }

    public int Aborts { get; private set; }

    public void StartServer()
    {
        if (_server is not null || _finished.Task.IsCompleted) return;
        _ = SuperviseAsync(NewServer());
    }

    public SimulationResult Result(SimulationEnd end)
    {
        if (end != SimulationEnd.Completed) _failures.Add(DescribeEnd(end));
        if (_loop.Escapes > 0)
            _failures.Insert(
                0, $"{_loop.Escapes} callbacks came from other threads: something left the loop. Look for "
                    + "ConfigureAwait(false), Task.Run, Task.WhenAny and the like, and for the wall clock. The first "
                    + $"came from:\n{_loop.FirstEscape}");
        _failures.AddRange(_loop.Unhandled.Select(e => $"an exception that nobody awaited: {e}"));
        var (sent, dropped, duplicated) = _network.Counts;
        var result = new SimulationResult
        {
            Seed = _plan.Seed,
            Failures = _failures,
            TraceHash = _loop.TraceHash,
            Rounds = _ledger.Announced,
            InitialModel = _plan.InitialModel(),
            Model = _model ?? _plan.InitialModel(),
            Statistics = new(
                _loop.Now, _loop.Steps, _nemesis.ServerCrashes, _nemesis.SiteCrashes, _nemesis.Partitions, _restarts,
                Aborts, _disk.Torn + Sites.Sum(s => s.Disk?.Torn ?? 0), sent, dropped, duplicated, _uploads.Most),
            Log = _loop.Log,
            Reproduction = _plan.Reproduction ?? $"the same simulation with Seed = {_plan.Seed}",
        };
        if (end == SimulationEnd.Completed && _plan.Check is not null) _failures.AddRange(_plan.Check(result));
        return result;
    }

    private JobServer NewServer()
    {
        _loop.Trace("starts", "server");
        _ledger.ServerStarts();
        _uploads.ServerStarts();
        _own = _network.NewLoop();
        var options = new JobServerOptions
        {
            JobId = JobId,
            Seed = _plan.Seed,
            Loop = _own,
            Link = new CheckedLink(_network.StartServer(_own, _plan.Limits), _uploads.Check),
            Controllers = _plan.Controllers(),
            Components = [_uploads],
            InitialModel = _plan.InitialModel(),
            Sites = [.. Sites.Select(s => s.Name)],
            Journal = () => Task.FromResult(_disk.Open()),
            Time = _loop.Time,
            Compute = _loop.Compute,
            Limits = _plan.Limits,
        };
        return _server = new JobServer(_plan.ConfigureServer?.Invoke(options) ?? options);
    }

    private async Task SuperviseAsync(JobServer server)
    {
        var failure = await RunToEndAsync(server);
        if (_server != server) return; // it has crashed since
        _server = null;
        _network.EndServer();
        _model = server.Model;
        _aborted = failure is null ? null : _aborted; // one that came too late
        if (failure is null)
        {
            _ledger.ServerEnds();
            _finished.TrySetResult();
        }
        else if ((failure is OperationCanceledException && _aborted is not null)
            || failure is IOException or FlareException { IsTransient: true }
            or FlareException { ErrorId: ErrorIds.Journal or ErrorIds.TooFewResponses })
        {
            // What is on its way to the disk is waited for; all else is bounded.
            var bound = _plan.Limits.AbortGrace + _plan.Limits.DrainTimeout + 10 * _disk.Faults.MaxLatency
                + TimeSpan.FromSeconds(1);
            if (_aborted is { } aborted && _loop.Now - aborted > bound)
                Fail($"the job was aborted and took {_loop.Now - aborted} to end, where {bound} would do");
            _aborted = null;
            _restarts++;
            _lastFailure = failure;
            _loop.Trace("job failed", failure.GetType().Name);
            // The sites were told that the job is over: they start again with it.
            await Task.Delay(_random.Between(TimeSpan.Zero, TimeSpan.FromSeconds(1)), _loop.Time);
            foreach (var site in Sites) site.Crash();
            foreach (var site in Sites) site.Start();
            StartServer();
        }
        else
        {
            Fail($"the job failed: {failure}");
            _finished.TrySetResult();
        }
    }

    private async Task<Exception?> RunToEndAsync(JobServer server)
    {
        _abort = new CancellationTokenSource();
        var running = Task.CompletedTask;
        SimulatedJobLoop.Enter(_own, () => running = server.RunAsync(_abort.Token));
        try
        {
            // Not ReadAllAsync, which leaves the loop: it awaits with ConfigureAwait(false).
            while (await server.Reports.WaitToReadAsync())
                while (server.Reports.TryRead(out var report))
                {
                    if (_server != server) Fail($"round {report.Number} was announced by a server that had crashed");
                    else Announced(report);
                }
        }
        catch (Exception e)
        {
            // The job's own failure, whatever it is: the caller decides what follows.
            await running;
            return e;
        }
        await running;
        return null;
    }

    /// <summary>
    /// A job that is complete stays so: opened once more, it has the same rounds and the same model, and its sites end.
    /// </summary>
    private async Task ReopenAsync()
    {
        var rounds = _ledger.Announced.Count;
        foreach (var site in Sites) site.Start();
        var server = NewServer();
        if (await RunToEndAsync(server) is { } failure) Fail($"the completed job, opened again, failed: {failure}");
        _network.EndServer();
        _ledger.ServerEnds();
        if (_ledger.Announced.Count != rounds)
            Fail($"the completed job, opened again, went on with round {_ledger.Announced[^1].Number}");
        if (!server.Model.ContentEquals(_model!)) Fail("the completed job, opened again, has another model");
    }

    private void Announced(RoundReport report)
    {
        _loop.Trace("announced", report.ModelSha256 ?? "", report.Number, report.Accepted);
        _ledger.Announce(report);
    }

    private void Fail(string failure)
    {
        _loop.Trace("FAILURE " + failure);
        _failures.Add(failure);
    }

    private string DescribeEnd(SimulationEnd end)
    {
        var why = end switch
        {
            SimulationEnd.OutOfTime => $"the job is not over {_plan.RecoveryTime} after everything healed",
            SimulationEnd.OutOfSteps => "the run takes more steps than it may: something spins",
            _ => "nothing is left to happen, and the job is not over: a wakeup was lost",
        };
        var server = ServerIsUp ? "the server is up" : _finished.Task.IsCompleted ? "the server is done"
            : "the server is down";
        var last = _lastFailure is null ? "" : $"; the job last failed with: {_lastFailure.Message}";
        return $"{why}: {_ledger.Announced.Count} rounds were announced, {server}, ended are "
            + $"{Sites.Count(s => s.HasEnded)} of {Sites.Count} sites{last}";
    }

    /// <summary>Has the bound on uploads looked at after every message.</summary>
    private sealed class CheckedLink(IServerLink inner, Action check) : IServerLink
    {
        public LinkPromise Promise => inner.Promise;
        public void Send(string site, LinkMessage message) => inner.Send(site, message);

        public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change) => inner.Start(
            (site, message) =>
            {
                receive(site, message);
                check();
            }, change);
    }
}

using Flare.Testing;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// A federation in one process (<see cref="Federation.InProcess"/>) with a journal, which is read slowly, left after
/// some round, aborted, disposed of in mid-run, and run again until it is done.
/// </summary>
internal sealed class InProcessProgram : RigProgram
{
    private readonly bool _inFrames;
    private readonly SimulatedDisk _disk;
    private readonly RoundLedger _ledger;

    public InProcessProgram(ulong seed, string workload, bool keepLog, bool inFrames) : base(seed, workload, keepLog)
    {
        _inFrames = inFrames;
        _disk = new SimulatedDisk(Loop) { Faults = new() { Failure = Random.Chance(0.3) ? 0.003 : 0 } };
        _ledger = new RoundLedger(1, Fail);
        if (inFrames) Transport = new SimulatedTransport(Loop) { Faults = FrameFaults.Mixed(seed) };
    }

    private enum Fate
    {
        RunsThrough,
        IsLeft,
        IsAborted,
        IsDisposedOf,
    }

    protected override async Task RunAsync()
    {
        Loop.After(AttackTime, () => _disk.Faults = DiskFaults.None);
        for (var isDone = false; !isDone; Restarts++)
        {
            var fate = IsUnderAttack ? (Fate)Random.NextInt32(4) : Fate.RunsThrough;
            Loop.Trace($"{fate}", "program", Restarts);
            isDone = await RunOnceAsync(fate);
            Announced = _ledger.Announced;
        }
        if (!await RunOnceAsync(Fate.RunsThrough)) Fail("the completed job, run again, did not end well");
        if (_ledger.Announced.Count != Rounds) Fail("the completed job, run again, went on");
    }

    /// <returns>Whether the job has come to its end.</returns>
    private async Task<bool> RunOnceAsync(Fate fate)
    {
        var federation = Build();
        _ledger.ServerStarts();
        using var abort = new CancellationTokenSource();
        Task? disposing = null;
        TimeSpan? told = null;
        var (isOver, hasEnded) = (false, false);
        if (fate is Fate.IsAborted or Fate.IsDisposedOf)
        {
            Loop.After(Random.Between(TimeSpan.Zero, TimeSpan.FromSeconds(4)), () =>
            {
                if (hasEnded) return;
                told = Loop.Now;
                Aborts++;
                if (fate == Fate.IsAborted) abort.Cancel();
                else disposing = federation.DisposeAsync().AsTask();
            });
        }
        var leavesAfter = 1 + Random.NextInt32(Rounds);
        try
        {
            await foreach (var round in federation.RunAsync(Fold.InitialModel(Ballast), abort.Token))
            {
                Loop.Trace("announced", round.ModelSha256 ?? "", round.Number, round.Accepted);
                _ledger.Announce(round);
                RequireItsModel(federation, round);
                if (Random.Chance(0.3)) await PauseAsync(TimeSpan.FromSeconds(2));
                RequireItsModel(federation, round); // however long it was looked at
                if (Random.Chance(0.1)) await federation.GoOnWithoutAsync("site-1");
                if (fate != Fate.IsLeft || --leavesAfter > 0) continue;
                told = Loop.Now;
                break;
            }
            isOver = told is null;
        }
        catch (Exception e) when (MayFail(e) || (e is ObjectDisposedException && disposing is not null))
        {
            Loop.Trace("the run ended", e.GetType().Name);
        }
        hasEnded = true;
        if (isOver) Model = federation.Model;
        await federation.DisposeAsync();
        if (disposing is not null) await disposing;
        var bound = Limits.AbortGrace + Limits.DrainTimeout + TimeSpan.FromSeconds(3);
        if (told is { } at && Loop.Now - at > bound) Fail($"the end took {Loop.Now - at}, where {bound} would do");
        return isOver;
    }

    private void RequireItsModel(Federation federation, RoundReport round)
    {
        // Of those that a journal tells of again only the last is still there.
        if (!round.HasModel) return;
        if (round.Model.Sha256() != round.ModelSha256) Fail($"round {round.Number} has another round's model");
        if (federation.Model.Sha256() != round.ModelSha256)
            Fail($"the federation has another model than round {round.Number}, which is being looked at");
    }

    private Federation Build() => Federation.InProcess(f =>
    {
        f.RunOn(Loop).UseSeed(Seed).UseLimits(Limits).UseJournal(_disk.Open()).UseController(Workflow())
            .UseParallelism(1 + Random.NextInt32(5)).AddSites(5, site => NewExecutor(site.Name));
        if (_inFrames) f.UseTransport(Transport!, FramedNetwork.ShortLimits(Random));
    });
}

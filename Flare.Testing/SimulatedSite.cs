using System.Diagnostics.CodeAnalysis;
using Flare.Runtime;

namespace Flare.Testing;

/// <summary>
/// A site's process: it starts, crashes, and starts again with a higher incarnation and a new executor.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A site ends in a crash or by itself.")]
internal sealed class SimulatedSite(
    Simulation plan, SiteInfo info, SimulationLoop loop, IRigNetwork network, UploadWatch uploads,
    Func<bool> isOver, Action<string> fail,
    ExecutorSlots? slots)
{
    private SiteRuntime? _runtime;
    private SynchronizationContext _own = loop;
    private long _incarnation;

    /// <summary>Where its states lie; null where they are in memory, and end with it.</summary>
    public SimulatedDisk? Disk { get; } = plan.SitesHaveDisks ? new SimulatedDisk(loop) : null;

    public string Name => info.Name;
    public bool IsUp => _runtime is not null;
    public bool HasEnded => _runtime is { Ended.IsCompleted: true };

    public void Start()
    {
        if (IsUp) return;
        loop.Trace("starts", Name, ++_incarnation);
        uploads.SiteStarts(Name);
        var executor = new GuardedExecutor(plan.Executor(info), Name, loop.Time, plan.Limits.AbortGrace, fail);
        var definition = new SiteDefinition(Name, executor);
        plan.ConfigureSite?.Invoke(definition, info);
        _own = network.NewLoop();
        _runtime = new SiteRuntime(definition, new SiteRuntimeOptions
        {
            JobId = SimulatedFederation.JobId,
            Seed = plan.Seed,
            Loop = _own,
            Link = network.StartSite(Name, _incarnation, _own),
            Time = loop.Time,
            Compute = loop.Compute,
            NewProcess = loop.NewProcess,
            Limits = plan.Limits,
            Incarnation = _incarnation,
            Slots = slots,
            State = Disk is { } disk ? () => Task.FromResult(disk.Open()) : null,
        });
        SimulatedJobLoop.Enter(_own, _runtime.Start);
        _ = StartAgainAsync(_runtime);
    }

    /// <summary>
    /// A site that was told that its job has failed is started again, as its operator would: the server may have died
    /// before anyone could see there that the job had failed, and have gone on with it since.
    /// </summary>
    private async Task StartAgainAsync(SiteRuntime runtime)
    {
        try
        {
            await runtime.Ended;
        }
        catch (OperationCanceledException)
        {
            return; // it has crashed, and starts again without being told
        }
        await Task.Delay(TimeSpan.FromSeconds(2), loop.Time);
        if (_runtime != runtime || isOver()) return;
        Crash();
        Start();
    }

    public void Crash()
    {
        if (_runtime is null) return;
        loop.Trace("crashes", Name, _incarnation);
        network.CrashSite(Name);
        Disk?.Crash();
        SimulatedJobLoop.Enter(_own, _runtime.Crash);
        _runtime = null;
    }
}

using Flare.Testing;
using Flare.Transport;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// A <see cref="FederationServer"/> and its <see cref="FederationSite"/>s over the real frames: sites that come late,
/// leave, rejoin and start again; a job that is aborted and run again, and a server that shuts down and starts again,
/// both from the journal. A second job beside it has the same sites.
/// </summary>
internal sealed class ServedProgram : RigProgram
{
    private const string Main = "main", Beside = "beside";
    private const int Sites = 4;

    private readonly LinkLimits _links;
    private readonly Dictionary<string, Job> _jobs;
    private long _starts;

    public ServedProgram(ulong seed, string workload, bool keepLog) : base(seed, workload, keepLog)
    {
        Transport = new SimulatedTransport(Loop) { Faults = FrameFaults.Mixed(seed) };
        _links = FramedNetwork.ShortLimits(Random);
        _jobs = new[] { Main, Beside }.ToDictionary(n => n, _ => new Job(Loop, new RoundLedger(1, Fail)));
    }

    private sealed class Job(SimulationLoop loop, RoundLedger ledger)
    {
        public SimulatedDisk Disk { get; } = new(loop);
        public RoundLedger Ledger => ledger;
        public StateDict? Model { get; set; }
        public bool IsDone { get; set; }
    }

    protected override async Task RunAsync()
    {
        var sites = Enumerable.Range(1, Sites).Select(i => BeSiteAsync($"site-{i}")).ToArray();
        while (!_jobs.Values.All(j => j.IsDone)) await ServeAsync();
        foreach (var site in sites) await site;
        Announced = _jobs[Main].Ledger.Announced;
        Model = _jobs[Main].Model;
        var other = _jobs[Beside].Ledger.Announced;
        if (other.Count != Rounds || _jobs[Beside].Model!.Sha256() != other[^1].ModelSha256)
            Fail("the job beside has not come to its end with its own model");
        await Task.Delay(TimeSpan.FromSeconds(5), Loop.Time);
        if (Transport!.Open > 0) Fail($"{Transport.Open} connections are there though nobody has them");
    }

    // From the start of a server to its orderly end.
    private async Task ServeAsync()
    {
        await PauseAsync(TimeSpan.FromSeconds(1));
        Loop.Trace("starts", "server");
        await using var server = Transport!.StartServer(_links);
        var running = _jobs.Where(j => !j.Value.IsDone).Select(j => RunJobAsync(server, j.Key, j.Value)).ToArray();
        if (IsUnderAttack && Random.Chance(0.5))
        {
            await PauseAsync(TimeSpan.FromSeconds(6));
            Aborts++;
            Loop.Trace("shuts down", "server");
            await server.DisposeAsync();
        }
        foreach (var job in running) await job;
        if (server.ConnectedSites.Count > 0) Fail("sites take part in jobs though none is left");
    }

    private async Task RunJobAsync(FederationServer server, string name, Job job)
    {
        while (!job.IsDone)
        {
            job.Ledger.ServerStarts();
            await using var plan = new ServerBuilder().RunOn(Loop).UseJobId(name).UseSeed(Seed).UseLimits(Limits)
                .AddSites([.. Enumerable.Range(1, Sites).Select(i => $"site-{i}")])
                .UseController(Workflow()).UseInitialModel(Fold.InitialModel(Ballast))
                .UseJournal(job.Disk.Open()).Build();
            var abort = new CancellationTokenSource();
            if (IsUnderAttack && Random.Chance(0.4))
                Loop.After(Random.Between(TimeSpan.Zero, TimeSpan.FromSeconds(5)), abort.Cancel);
            ServedJob served;
            try
            {
                served = server.Run(plan, abort.Token);
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            try
            {
                await foreach (var round in served.ReadRoundsAsync())
                {
                    Loop.Trace("announced", round.ModelSha256 ?? "", round.Number, round.Accepted);
                    job.Ledger.Announce(round);
                }
                (job.Model, job.IsDone) = (served.Model, true);
                job.Ledger.ServerEnds();
            }
            catch (Exception e) when (MayFail(e))
            {
                Loop.Trace("job failed", name);
                Restarts++;
            }
            await served.OverAsync();
            await PauseAsync(TimeSpan.FromSeconds(1));
        }
    }

    // A site's operator: starts it, has it take part, and sometimes stops it.
    private async Task BeSiteAsync(string name)
    {
        while (!_jobs.Values.All(j => j.IsDone))
        {
            await PauseAsync(TimeSpan.FromSeconds(2));
            Loop.Trace("starts", name, ++_starts);
            await using var site = Transport!.ConnectSite(name, _starts, _links);
            var stop = new CancellationTokenSource();
            if (IsUnderAttack && Random.Chance(0.6))
                Loop.After(Random.Between(TimeSpan.Zero, TimeSpan.FromSeconds(6)), stop.Cancel);
            var parts = _jobs.Select(j => TakePartAsync(site, name, j.Key, j.Value, stop)).ToArray();
            foreach (var part in parts) await part;
        }
    }

    private async Task TakePartAsync(FederationSite site, string name, string id, Job job, CancellationTokenSource stop)
    {
        while (!job.IsDone && !stop.IsCancellationRequested)
        {
            await using var plan = new SiteBuilder(name).RunOn(Loop).UseJobId(id).UseSeed(Seed).UseLimits(Limits)
                .UseExecutor(() => NewExecutor(name)).Build();
            var joined = site.Join(plan);
            // Who leaves may come again, with a new plan.
            var leaves = IsUnderAttack && Random.Chance(0.3) ? Loop.Now + TimeSpan.FromSeconds(3) : TimeSpan.MaxValue;
            while (!joined.Ended.IsCompleted && !job.IsDone && !stop.IsCancellationRequested && Loop.Now < leaves)
                await Task.Delay(TimeSpan.FromMilliseconds(100), Loop.Time);
            // The end of a job may still be on its way.
            if (job.IsDone) await Task.Delay(TimeSpan.FromSeconds(2), Loop.Time);
            await joined.LeaveAsync();
            await joined.OverAsync();
            if (joined.Ended is { IsFaulted: true, Exception.InnerException: { } error })
                Fail($"{name} was turned away from job '{id}': {error}");
            Loop.Trace($"{joined.Ended.Status}", name);
            await PauseAsync(TimeSpan.FromSeconds(0.5));
        }
    }
}

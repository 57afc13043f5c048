using Flare;
using Flare.Transport;

/// <summary>What each process does.</summary>
internal static class Roles
{
    /// <summary>The same federation without any connection.</summary>
    public static async Task<StateDict> InProcessAsync(Study study, Options options)
    {
        var federation = Federation.InProcess(f =>
        {
            foreach (var site in study.Sites) f.AddSite(site, _ => study.Trainer(site));
            f.UseController(study.Workflow()).UseSeed((ulong)options.Seed);
        });
        await using (federation)
            await foreach (var round in federation.RunAsync(study.InitialModel())) Console.WriteLine(round);
        return federation.Model;
    }

    /// <summary>The server's process.</summary>
    public static async Task<StateDict> ServerAsync(Study study, Options options)
    {
        using var identity = FlareIdentity.Load(options.Kit!);
        await using var server = FederationServer.Start(identity);
        var builder = new ServerBuilder().AddSites(study.Sites).UseController(study.Workflow())
            .UseInitialModel(study.InitialModel()).UseSeed((ulong)options.Seed);
        if (options.Journal is { } folder) builder.UseJournal(folder);
        await using var plan = builder.Build();
        var job = server.Run(plan);
        await foreach (var round in job.ReadRoundsAsync()) Console.WriteLine(round);
        return job.Model;
    }

    /// <summary>A site's process.</summary>
    public static async Task SiteAsync(Study study, Options options)
    {
        using var identity = FlareIdentity.Load(options.Kit!);
        await using var site = options.Through is { } port
            ? FederationSite.Connect(SocketTransport.Tls("127.0.0.1", port, identity), identity.Name)
            : FederationSite.Connect(identity);
        var turn = Array.IndexOf(study.Sites, identity.Name);
        for (var left = 0; ;)
        {
            var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var stays = left;
            bool IsDue(int round)
            {
                // Each round another one, and each but once: it is given the same task when it comes back.
                if (!options.Leave || round <= stays || round % study.Sites.Length != turn) return false;
                left = round;
                return true;
            }
            await using var plan = new SiteBuilder(identity.Name).UseSeed((ulong)options.Seed)
                .UseExecutor(() => new LeavingTrainer(study.Trainer(identity.Name), IsDue, begun)).Build();
            var job = site.Join(plan);
            if (await Task.WhenAny(job.Ended, begun.Task) == job.Ended)
            {
                await job.Ended;
                return;
            }
            await job.LeaveAsync(reason: "it comes back at once");
            Console.Error.WriteLine($"{identity.Name} has left in round {left}, and comes back");
        }
    }
}

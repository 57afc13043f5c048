using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>Runs a server and sites that were built by themselves, as separate hosts would.</summary>
internal static class Hosts
{
    public static async Task<IReadOnlyList<RoundReport>> RunAsync(ServerPlan serverPlan, params SitePlan[] sitePlans)
    {
        var loop = new JobLoop(_ => { });
        var link = new InProcessLink(loop);
        var server = serverPlan.CreateServer(loop, link);
        var sites = sitePlans.Select(p => p.CreateSite(loop, link.ConnectSite(p.Name))).ToArray();
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        loop.Post(_ => _ = RunOnLoopAsync(), null);
        var reports = new List<RoundReport>();
        await foreach (var report in server.Reports.ReadAllAsync()) reports.Add(report);
        await done.Task.WaitAsync(Patience.Long);
        return reports;

        async Task RunOnLoopAsync()
        {
            var running = server.RunAsync(CancellationToken.None);
            foreach (var site in sites) site.Start();
            await running;
            done.SetResult();
        }
    }
}

using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>A server and a site that were built by themselves, at work on one loop; nobody reads the reports.</summary>
internal sealed class Side : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ServerPlan _server;
    private readonly SitePlan _site;

    public Side(ServerBuilder server, SiteBuilder site)
    {
        var loop = new JobLoop(_ => { });
        var link = new InProcessLink(loop);
        (_server, _site) = (server.Build(), site.Build());
        Server = _server.CreateServer(loop, link);
        Site = _site.CreateSite(loop, link.ConnectSite(_site.Name));
        loop.Post(_ => _ = RunAsync(), null);
    }

    public JobServer Server { get; }

    public SiteRuntime Site { get; }

    /// <summary>Completes with the server's run.</summary>
    public Task Done => _done.Task;

    /// <summary>Why the site was refused.</summary>
    public FlareException Refused() =>
        Assert.ThrowsAsync<FlareException>(() => Site.Ended.WaitAsync(Patience.Long))!;

    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        await Done.WaitAsync(Patience.Long);
        await _server.DisposeAsync();
        await _site.DisposeAsync();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        var running = Server.RunAsync(_stop.Token);
        Site.Start();
        await running;
        _done.SetResult();
    }
}

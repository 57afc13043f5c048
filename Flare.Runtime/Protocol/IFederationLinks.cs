using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>What links of one run share with their federation.</summary>
/// <param name="Time">The federation's clock.</param>
/// <param name="Logger">Where the federation logs.</param>
public sealed record LinkSurroundings(TimeProvider Time, ILogger Logger);

/// <summary>
/// The links of a federation whose server and sites are in one process: a transport shows here that it gives the bits
/// of the federation without one. Made for one run.
/// </summary>
public interface IFederationLinks : IAsyncDisposable
{
    /// <summary>The server's end. Called once, before any site's.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="jobLoop">The loop that callbacks must go to.</param>
    /// <param name="limits">The job's.</param>
    IServerLink ConnectServer(string job, SynchronizationContext jobLoop, RuntimeLimits limits);

    /// <summary>A site's end. Called once for each site.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="site">The site's name.</param>
    /// <param name="jobLoop">The loop that callbacks must go to.</param>
    /// <param name="fail">Called, from any thread, when the site cannot ever take part: that ends it.</param>
    ISiteLink ConnectSite(string job, string site, SynchronizationContext jobLoop, Action<FlareException> fail);
}

/// <summary>Messages change hands as they are.</summary>
internal sealed class InProcessLinks : IFederationLinks
{
    private InProcessLink? _link;

    public IServerLink ConnectServer(string job, SynchronizationContext jobLoop, RuntimeLimits limits) =>
        _link = new(jobLoop);

    public ISiteLink ConnectSite(
        string job, string site, SynchronizationContext jobLoop, Action<FlareException> fail) =>
        _link!.ConnectSite(site);

    public ValueTask DisposeAsync() => default;
}

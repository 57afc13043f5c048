using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>Calls the factories of a federation's sites, and disposes of what they made where that comes to
/// nothing.</summary>
internal static class SiteFactory
{
    public static SiteDefinition[] Make(
        IReadOnlyList<(SiteInfo Info, Func<SiteInfo, Executor>? Executor)> sites,
        IReadOnlyList<Action<SiteDefinition, SiteInfo>> parts)
    {
        var made = new List<SiteDefinition>(sites.Count);
        try
        {
            foreach (var (info, make) in sites)
            {
                var site = make is null ? new SiteDefinition(info.Name)
                    : new SiteDefinition(info.Name, Make(info, make, ""));
                made.Add(site);
                foreach (var part in parts) part(site, info);
                if (site.Executors.Count > 0) continue;
                throw new FlareException(ErrorIds.Configuration, $"The federation cannot be built: {info.Name} has no "
                    + "executor. Give AddSite one, or add one by task: AddExecutor.");
            }
            RequireOwnExecutors(made);
            foreach (var site in made) site.Seal();
        }
        catch
        {
            // Nobody else knows of them. Off this thread, which may be one that continuations wait for.
            ThreadPool.QueueUserWorkItem(
                _ => _ = Disposal.DisposeAllAsync(made.SelectMany(s => s.Components)).AsTask());
            throw;
        }
        return [.. made];
    }

    /// <summary>Calls a factory.</summary>
    /// <exception cref="FlareException">It threw; the message names the site.</exception>
    /// <exception cref="InvalidOperationException">It made nothing.</exception>
    public static Executor Make(SiteInfo site, Func<SiteInfo, Executor> make, string what)
    {
        Executor? executor;
        try
        {
            executor = make(site);
        }
        catch (Exception e)
        {
            throw new FlareException(ErrorIds.Configuration, "The federation cannot be built: the executor of "
                + $"{site.Name}{what} could not be made: {e.Message}", e);
        }
        return executor ?? throw new InvalidOperationException(
            $"No executor was made for {site.Name}{what}: its factory returned null.");
    }

    /// <summary>Disposes of what a site is made of once its executor, which ignored its abort, has stopped.</summary>
    public static async Task DisposeOnceIdleAsync(
        SiteDefinition site, Task idle, ILogger logger, string job)
    {
        try
        {
            await idle;
            await Disposal.DisposeAllAsync(site.Components);
        }
        catch (Exception e)
        {
            // Nobody waits for it any more: the log is what is left to say so.
            Log.DisposalFailed(ScopedLogger.Of(logger, job, site.Name), e, site.Name);
        }
    }

    /// <summary>
    /// Takes the executors for a run: one is called once at a time, and two runs at once would mix it up.
    /// </summary>
    /// <exception cref="FlareException">One is at work elsewhere; none is taken.</exception>
    public static void Claim(IEnumerable<SiteDefinition> sites)
    {
        var claimed = new Stack<Executor>();
        foreach (var site in sites)
            foreach (var executor in site.Executors)
            {
                if (executor.TryClaim())
                {
                    claimed.Push(executor);
                    continue;
                }
                while (claimed.TryPop(out var taken)) taken.Release();
                throw new FlareException(
                    ErrorIds.Configuration,
                    $"The executor {executor.GetType().Name} of {site.Name} is at work in another federation. "
                    + "Make a new one for each: AddSites(n, site => new …).");
            }
    }

    public static void Release(SiteDefinition site)
    {
        foreach (var executor in site.Executors) executor.Release();
    }

    // A site runs one task at a time, and that is all the locking an executor has: two sites would run a shared one
    // side by side.
    private static void RequireOwnExecutors(IEnumerable<SiteDefinition> sites)
    {
        var owners = new Dictionary<Executor, string>(ReferenceEqualityComparer.Instance);
        foreach (var site in sites)
            foreach (var executor in site.Executors)
                for (var part = executor; part is not null; part = part.Wrapped)
                {
                    if (owners.TryAdd(part, site.Name) || owners[part] == site.Name) continue;
                    throw new FlareException(
                        ErrorIds.Configuration, $"The federation cannot be built: {owners[part]} and "
                        + $"{site.Name} share one {part.GetType().Name}. Make a new executor for each site: "
                        + "AddSites(n, site => new …).");
                }
    }
}

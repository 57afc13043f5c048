using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>Calls the factories of a federation's sites, and disposes of what they made where that comes to
/// nothing.</summary>
internal static class SiteFactory
{
    public static SiteDefinition[] Make(
        IReadOnlyList<(SiteInfo Info, Func<SiteInfo, Executor>? Executor)> sites,
        IReadOnlyList<Action<SiteDefinition, SiteInfo>> parts, IReadOnlyList<FLComponent> server,
        bool hasApprover = false)
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
            RequireOwnParts(made, server);
            foreach (var site in made) SiteRuntime.RequireApprover(site.Name, site.Policy, hasApprover);
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
    /// Takes what sites are made of for a run: two runs at once would mix it up.
    /// </summary>
    /// <exception cref="FlareException">Some of it is at work elsewhere; nothing is taken.</exception>
    public static void Claim(IReadOnlyList<SiteDefinition> sites)
    {
        foreach (var site in sites)
            foreach (var part in OwnParts(site))
            {
                if (part.TryClaim(site)) continue;
                foreach (var taken in sites) Release(taken);
                throw new FlareException(
                    ErrorIds.Configuration,
                    $"The {Kind(part)} {part.GetType().Name} of {site.Name} is at work in another federation, "
                    + $"or at another site. Make a new one for each{Advice(part)}.");
            }
    }

    public static void Release(SiteDefinition site)
    {
        foreach (var part in OwnParts(site)) part.Release(site);
    }

    // What a shared one keeps would be that of all: an executor's call, a filter's noise and its budget.
    private static void RequireOwnParts(
        List<SiteDefinition> sites, IReadOnlyList<FLComponent> server)
    {
        if (sites.Count + server.Count < 2) return;
        var owners = new Dictionary<FLComponent, List<string>>(ReferenceEqualityComparer.Instance);
        Add(server.SelectMany(WithWrapped), "the server");
        foreach (var site in sites) Add(OwnParts(site), site.Name);
        string[] shared = [.. owners.Where(o => o.Value.Count > 1).Select(o => Words(o.Key, o.Value)).Take(3)];
        if (shared.Length > 0)
            throw new FlareException(
                ErrorIds.Configuration, $"The federation cannot be built: {string.Join(". ", shared)}.");

        void Add(IEnumerable<FLComponent> parts, string owner)
        {
            foreach (var part in parts)
            {
                if (part.CanBeShared) continue;
                if (!owners.TryGetValue(part, out var names)) owners[part] = names = [];
                if (names.Count == 0 || names[^1] != owner) names.Add(owner);
            }
        }
    }

    private static string Words(FLComponent part, List<string> owners) =>
        $"{(owners.Count == 2 ? $"{owners[0]} and {owners[1]}" : PlainText.Some(owners, 5))} share one "
        + $"{part.GetType().Name}. Make a new {Kind(part)} for each site{Advice(part)}"
        + (part is Executor ? ""
            : $". One that keeps nothing from call to call may override {nameof(part.CanBeShared)}");

    private static string Kind(FLComponent part) =>
        part switch { Executor => "executor", Filter => "filter", _ => "component" };

    private static string Advice(FLComponent part) => part switch
    {
        Executor => ": AddSites(n, site => new …)",
        Filter => $": ConfigureSites((site, info) => site.AddFilter(place, new {part.GetType().Name}(…)))",
        _ => $": ConfigureSites((site, info) => site.AddComponent(new {part.GetType().Name}(…)))",
    };

    private static IEnumerable<FLComponent> OwnParts(SiteDefinition site) =>
        site.Components.SelectMany(WithWrapped).Where(p => !p.CanBeShared);

    private static IEnumerable<FLComponent> WithWrapped(FLComponent component)
    {
        for (var part = component; part is not null; part = part.Wrapped) yield return part;
    }
}

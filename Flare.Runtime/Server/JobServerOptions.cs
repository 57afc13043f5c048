using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Runtime;

/// <summary>What a <see cref="JobServer"/> works with.</summary>
public sealed record JobServerOptions
{
    /// <summary>The job's id.</summary>
    public required string JobId { get; init; }

    /// <summary>The job's seed, the same at the server and all sites.</summary>
    public ulong Seed { get; init; }

    /// <summary>The loop that the job's state belongs to.</summary>
    public required SynchronizationContext Loop { get; init; }

    /// <summary>The server's end of the transport.</summary>
    public required IServerLink Link { get; init; }

    /// <summary>The workflows, run one after the other.</summary>
    public required IReadOnlyList<Controller> Controllers { get; init; }

    /// <summary>The first global model; frozen by the server.</summary>
    public required StateDict InitialModel { get; init; }

    /// <summary>The sites that are known from the start; others may join.</summary>
    public IReadOnlyList<string> Sites { get; init; } = [];

    /// <summary>
    /// Whether only <see cref="Sites"/> may join; whoever else says hello is refused, and told so. Off unless set.
    /// </summary>
    public bool IsRosterClosed { get; init; }

    /// <summary>
    /// The fingerprint of the policy that sites must hold, such as one of encryption, as they state it in
    /// <see cref="SiteRuntimeOptions.PolicyFingerprint"/>; empty, for any, unless set.
    /// </summary>
    public string PolicyFingerprint { get; init; } = "";

    /// <summary>Components that see the server's events, besides the controllers.</summary>
    public IReadOnlyList<FLComponent> Components { get; init; } = [];

    /// <summary>
    /// Makes the aggregator of workflows that only aggregate (<see cref="Controller.PlaintextAccess"/>); null for their
    /// own.
    /// </summary>
    public Func<Aggregator>? CreateAggregator { get; init; }

    /// <summary>
    /// Opens where the job keeps its journal; null for none. The server takes it over and disposes of it.
    /// </summary>
    public Func<Task<IJournalStorage>>? Journal { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where heavy arithmetic runs.</summary>
    public ComputeScheduler Compute { get; init; } = ComputeScheduler.ThreadPool;

    /// <summary>Where to log.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>Limits and intervals.</summary>
    public RuntimeLimits Limits { get; init; } = new();

    /// <summary>Filters of sites of this process that were never called; the sites log them.</summary>
    internal Func<IEnumerable<(string Text, bool IsMisspelt)>> NeverCalledAtSites { get; init; } = static () => [];

    /// <summary>Slots that the sites share where they are in this process; null where they are not.</summary>
    internal ExecutorSlots? Slots { get; init; }

    /// <summary>Where the journal is, in words.</summary>
    internal string JournalPlace { get; init; } = "in a storage of the application's";

    /// <summary>How extensions are set.</summary>
    internal IReadOnlyList<Description> Descriptions { get; init; } = [];

    /// <summary>Whether a round is committed only once its report was asked for, by
    /// <see cref="JobServer.ReadReportsAsync"/>.</summary>
    internal bool WaitsForReader { get; init; }

    /// <summary>What is wrong with the options, with the limits and the workflows among them; nothing where all is
    /// well.</summary>
    public IEnumerable<string> Validate()
    {
        if (SiteName.Fault(JobId) is { } fault) yield return $"{nameof(JobId)}: {fault}";
        foreach (var error in Missing()) yield return error;
        foreach (var error in Limits?.Validate() ?? []) yield return error;
        foreach (var site in Sites ?? [])
            if (site == FLContext.Server) yield return $"a site is named '{site}', which is the server's own name";
            else if (SiteName.Fault(site) is { } wrong) yield return $"{nameof(Sites)}: {wrong}";
        foreach (var twice in (Sites ?? []).GroupBy(s => s, StringComparer.Ordinal).Where(g => g.Count() > 1))
            yield return $"{nameof(Sites)} names '{twice.Key}' twice";
        if (Controllers is { Count: 0 }) yield return $"there is no workflow among the {nameof(Controllers)}";
        foreach (var controller in Controllers ?? [])
            foreach (var error in Validate(controller, Sites is { Count: > 0 } sites ? sites.Count : null))
                yield return error;
    }

    private IEnumerable<string> Missing() =>
        from needed in new (string Name, object? Value)[]
        {
            (nameof(Loop), Loop), (nameof(Link), Link), (nameof(Controllers), Controllers),
            (nameof(InitialModel), InitialModel), (nameof(Sites), Sites), (nameof(Components), Components),
            (nameof(Time), Time), (nameof(Compute), Compute), (nameof(Logger), Logger), (nameof(Limits), Limits),
        }
        where needed.Value is null
        select $"{needed.Name} is null";

    /// <summary>What is wrong with a workflow.</summary>
    /// <param name="controller">The workflow.</param>
    /// <param name="sites">How many sites there are; null where that is open.</param>
    internal static IReadOnlyList<string> Validate(Controller? controller, int? sites)
    {
        if (controller is null) return ["a workflow is null"];
        try
        {
            return [.. controller.Validate(sites ?? int.MaxValue).Select(e => $"{controller.Name}: {e}")];
        }
        catch (Exception e)
        {
            // Somebody else's code: what it threw is among all that is wrong.
            return [$"{controller.Name}: its {nameof(Controller.Validate)} threw {e.GetType().Name}: {e.Message}"];
        }
    }

    // Never changed once they are here: copies of these options share them.
    internal FilterChain FiltersOut { get; private set; } = new();
    internal FilterChain FiltersIn { get; private set; } = new();

    /// <summary>A copy of its own, of which no other server notes which filters were called.</summary>
    internal JobServerOptions Own() => this with { FiltersOut = FiltersOut.Copy(), FiltersIn = FiltersIn.Copy() };

    /// <summary>Adds a filter of the server behind those that are there. Returns this instance.</summary>
    /// <param name="place"><see cref="FilterPlace.ServerOut"/> or <see cref="FilterPlace.ServerIn"/>.</param>
    /// <param name="filter">The filter; name it among <see cref="Components"/> too if it is to see events.</param>
    /// <param name="tasks">The tasks that it is for; none for all.</param>
    public JobServerOptions AddFilter(FilterPlace place, Filter filter, params string[] tasks)
    {
        ArgumentNullException.ThrowIfNull(filter);
        ArgumentNullException.ThrowIfNull(tasks);
        var chain = place switch
        {
            FilterPlace.ServerOut => FiltersOut = FiltersOut.Copy(),
            FilterPlace.ServerIn => FiltersIn = FiltersIn.Copy(),
            _ => throw new ArgumentOutOfRangeException(
                nameof(place), place,
                "The server has filters at ServerOut and ServerIn; SiteIn and SiteOut are a site's."),
        };
        chain.Add(filter, tasks);
        return this;
    }
}

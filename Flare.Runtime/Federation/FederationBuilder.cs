using Flare.Runtime;

namespace Flare;

/// <summary>
/// Describes a federation whose server and sites live in one process: the builder of a server and of its sites at once.
/// Every verb returns the builder. It builds once, and the federation does not change with it any more.
/// </summary>
public sealed class FederationBuilder : JobBuilder<FederationBuilder>
{
    private readonly ServerParts _server = new();
    private readonly List<(SiteInfo Info, Func<SiteInfo, Executor>? Executor)> _sites = [];
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private readonly List<Action<SiteDefinition, SiteInfo>> _siteParts = [];
    private int _parallelism = Environment.ProcessorCount;
    private SiteStateFolder? _state;
    private Func<LinkSurroundings, IFederationLinks> _makeLinks = static _ => new InProcessLinks();

    /// <summary>The workflows added so far.</summary>
    public IReadOnlyList<Controller> Controllers => _server.Controllers;

    /// <summary>How many sites were added so far.</summary>
    public int SiteCount => _sites.Count;

    /// <summary>Whether the job keeps a journal, so that another process may have to go on with it.</summary>
    public bool KeepsJournal => _server.Journal is not null;

    /// <summary>Adds sites named <c>site-1</c> to <c>site-count</c>, counted on from those that are there.</summary>
    /// <param name="count">How many; at least 1.</param>
    /// <param name="executor">Makes a site's executor; called once for each site, when the federation is built.</param>
    public FederationBuilder AddSites(int count, Func<SiteInfo, Executor> executor)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        for (var i = 0; i < count; i++) AddSite($"site-{_sites.Count + 1}", executor);
        return this;
    }

    /// <summary>Adds one site.</summary>
    /// <param name="name">Its name, unique in the federation.</param>
    /// <param name="executor">Makes its executor; called once, when the federation is built. What it makes is the
    /// federation's, which disposes of it (<see cref="IAsyncDisposable"/> before <see cref="IDisposable"/>).</param>
    /// <exception cref="ArgumentException">The name is taken, blank, longer than 200 bytes, or has characters that
    /// cannot be seen.</exception>
    public FederationBuilder AddSite(string name, Func<SiteInfo, Executor> executor)
    {
        ArgumentNullException.ThrowIfNull(executor);
        return Add(name, executor);
    }

    /// <summary>
    /// Adds one site whose executors are all added by task: <see cref="AddExecutor"/>, <see cref="ConfigureSites"/>.
    /// </summary>
    /// <param name="name">Its name, unique in the federation.</param>
    /// <exception cref="ArgumentException">The name is taken, blank, longer than 200 bytes, or has characters that
    /// cannot be seen.</exception>
    public FederationBuilder AddSite(string name) => Add(name, null);

    private FederationBuilder Add(string name, Func<SiteInfo, Executor>? executor)
    {
        SiteName.Check(name, nameof(name));
        if (name == FLContext.Server)
            throw new ArgumentException(
                $"The name '{name}' is the server's own, in contexts, logs and events: name the site otherwise.",
                nameof(name));
        if (!_names.Add(name))
            throw new ArgumentException($"The name '{name}' is taken; every site has a name of its own.", nameof(name));
        _sites.Add((new SiteInfo(_sites.Count, name), executor));
        return this;
    }

    /// <summary>
    /// Gives every site, those added later included, an executor for a task; the one of
    /// <see cref="AddSite(string, Func{SiteInfo, Executor})"/> answers the rest. For some sites only, use
    /// <see cref="ConfigureSites"/> and <see cref="SiteDefinition.AddExecutor"/>.
    /// </summary>
    /// <param name="task">The task's name.</param>
    /// <param name="executor">Makes a site's executor; called once for each site, when the federation is built.</param>
    public FederationBuilder AddExecutor(string task, Func<SiteInfo, Executor> executor)
    {
        ArgumentException.ThrowIfNullOrEmpty(task);
        ArgumentNullException.ThrowIfNull(executor);
        return ConfigureSites(
            (site, info) => site.AddExecutor(task, SiteFactory.Make(info, executor, $" for the task '{task}'")));
    }

    /// <summary>
    /// Adds executors by task, filters, components or a policy to every site, those added later included.
    /// </summary>
    /// <param name="part">Called once for each site, when the federation is built; make a new instance of whatever
    /// keeps state. What it adds is the federation's, which disposes of it.</param>
    public FederationBuilder ConfigureSites(Action<SiteDefinition, SiteInfo> part)
    {
        ArgumentNullException.ThrowIfNull(part);
        _siteParts.Add(part);
        return this;
    }

    /// <summary>Adds a workflow; several run one after the other.</summary>
    public FederationBuilder UseController(Controller controller)
    {
        _server.Add(controller);
        return this;
    }

    /// <summary>
    /// Has workflows aggregate with what an extension provides. For packages that extend federations; such a one also
    /// checks that every workflow
    /// <see cref="Controller.PlaintextAccess"/>.
    /// </summary>
    /// <param name="make">Called for every run of a workflow.</param>
    public FederationBuilder UseAggregator(Func<Aggregator> make)
    {
        _server.UseAggregator(make);
        return this;
    }

    /// <summary>Adds a filter at the server. Those of sites are added by <see cref="ConfigureSites"/>.</summary>
    /// <param name="place"><see cref="FilterPlace.ServerOut"/> or <see cref="FilterPlace.ServerIn"/>.</param>
    /// <param name="filter">The filter.</param>
    /// <param name="tasks">The tasks that it is for; none for all.</param>
    public FederationBuilder AddServerFilter(FilterPlace place, Filter filter, params string[] tasks)
    {
        _server.Add(place, filter, tasks);
        return this;
    }

    /// <summary>Adds a component that sees the server's events.</summary>
    public FederationBuilder AddServerComponent(FLComponent component)
    {
        _server.Add(component);
        return this;
    }

    /// <summary>
    /// Sets how many executors run at once; as many as there are cores unless set. The result does not depend on it.
    /// The thread pool's minimum is raised to a little more, so that the job's loop finds a thread while they compute.
    /// </summary>
    public FederationBuilder UseParallelism(int executors)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(executors, 1);
        _parallelism = executors;
        return this;
    }

    /// <summary>Keeps a journal in a directory: every round is on disk before it is announced, and a job that died goes
    /// on after its last one. A job that is complete only reports its rounds again: for more rounds, begin another with
    /// its model.</summary>
    /// <param name="directory">Created if it does not exist. One job a directory.</param>
    public FederationBuilder UseJournal(string directory)
    {
        _server.UseJournal(directory);
        return this;
    }

    /// <summary>
    /// Keeps a journal in a storage of the application's own, which the federation takes over and disposes of.
    /// </summary>
    public FederationBuilder UseJournal(IJournalStorage storage)
    {
        _server.UseJournal(storage);
        return this;
    }

    /// <summary>
    /// Keeps what executors put into <see cref="FLContext.SiteState"/> in a folder, each site in one of its own within
    /// it, so that it outlives the process; in memory unless set. Written before the answer of its task leaves;
    /// docs/site-state.md.
    /// </summary>
    /// <param name="folder">Created if it does not exist. One process a folder: a second one is refused.</param>
    /// <param name="startsOver">Whether a site that has lost the state which the server names begins with an empty one,
    /// rather than fail its tasks.</param>
    public FederationBuilder UseSiteState(string folder, bool startsOver = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        _state = new(Path.GetFullPath(folder), startsOver);
        return this;
    }

    /// <summary>
    /// Has the server and its sites talk over links of a transport; unless set, messages change hands as they are.
    /// </summary>
    /// <param name="make">Makes the links of one run, which disposes of them; it is given the federation's clock and
    /// log.</param>
    public FederationBuilder UseLinks(Func<LinkSurroundings, IFederationLinks> make)
    {
        ArgumentNullException.ThrowIfNull(make);
        _makeLinks = make;
        return this;
    }

    /// <summary>Builds the federation. Once.</summary>
    /// <exception cref="FlareException">The configuration is incomplete or contradicts itself; the message lists
    /// everything that is wrong. What the builder has taken over is disposed of.</exception>
    /// <exception cref="InvalidOperationException">The builder has built already.</exception>
    public Federation Build() => Building(() =>
    {
        BeginBuild("federation");
        return new Federation(
            Settings, _server.Copy(), SiteFactory.Make(_sites, _siteParts, _server.Components), _parallelism, _state,
            _makeLinks);
    });

    private protected override void Configure(IFederationExtension extension)
    {
        extension.Configure(new ServerHalf(this, _server, isInProcess: true));
        extension.Configure((ISiteBuilder)new SiteHalf(this));
    }

    private protected override IEnumerable<string> Faults() =>
    [
        .. _sites.Count == 0 ? ["there are no sites; call AddSites"] : Array.Empty<string>(),
        .. _server.Validate(_sites.Count),
    ];

    private protected override int CountSites() => SiteCount;

    private protected override IEnumerable<object> TakenOver() => _server.Journal?.Unopened() ?? [];

    private sealed class SiteHalf(FederationBuilder builder) : Half(builder, true), ISiteBuilder
    {
        public void ConfigureSites(Action<SiteDefinition> part)
        {
            ArgumentNullException.ThrowIfNull(part);
            builder.ConfigureSites((site, _) => part(site));
        }
    }
}

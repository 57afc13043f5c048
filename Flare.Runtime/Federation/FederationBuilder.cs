using Flare.Runtime;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare;

/// <summary>
/// Describes a federation whose server and sites live in one process. Every method returns the builder.
/// </summary>
public sealed class FederationBuilder
{
    private readonly List<(SiteInfo Info, Func<SiteInfo, Executor>? Executor)> _sites = [];
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private readonly List<Action<SiteDefinition, SiteInfo>> _siteParts = [];
    private readonly List<(FilterPlace Place, Filter Filter, string[] Tasks)> _serverFilters = [];
    private readonly List<(Func<FederationBuilder, IEnumerable<string>> Check, string ErrorId)> _checks = [];
    private readonly Dictionary<Type, (object Feature, bool Owned)> _features = [];
    private readonly List<Controller> _controllers = [];
    private readonly List<FLComponent> _components = [];

    internal FederationBuilder() { }

    /// <summary>The workflows added so far.</summary>
    public IReadOnlyList<Controller> Controllers => _controllers;

    /// <summary>How many sites were added so far.</summary>
    public int SiteCount => _sites.Count;

    /// <summary>Whether the job keeps a journal, so that another process may have to go on with it.</summary>
    public bool KeepsJournal => Journal is not null;

    internal Func<Aggregator>? CreateAggregator { get; private set; }
    internal ulong Seed { get; private set; }
    internal string JobId { get; private set; } = "job";
    internal int Parallelism { get; private set; } = Environment.ProcessorCount;
    internal RuntimeLimits Limits { get; private set; } = new();
    internal ILoggerFactory LoggerFactory { get; private set; } = NullLoggerFactory.Instance;
    internal TimeProvider Time { get; private set; } = TimeProvider.System;
    internal Func<ComputeScheduler, Task<IJournalStorage>>? Journal { get; private set; }

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
        if (name == "server" || !_names.Add(name))
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
        ArgumentNullException.ThrowIfNull(controller);
        _controllers.Add(controller);
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
        ArgumentNullException.ThrowIfNull(make);
        CreateAggregator = make;
        return this;
    }

    /// <summary>Adds a filter at the server. Those of sites are added by <see cref="ConfigureSites"/>.</summary>
    /// <param name="place"><see cref="FilterPlace.ServerOut"/> or <see cref="FilterPlace.ServerIn"/>.</param>
    /// <param name="filter">The filter.</param>
    /// <param name="tasks">The tasks that it is for; none for all.</param>
    public FederationBuilder AddServerFilter(FilterPlace place, Filter filter, params string[] tasks)
    {
        ArgumentNullException.ThrowIfNull(filter);
        if (place is not (FilterPlace.ServerOut or FilterPlace.ServerIn))
            throw new ArgumentOutOfRangeException(
                nameof(place), place,
                "The server has filters at ServerOut and ServerIn; add those of sites by ConfigureSites.");
        _serverFilters.Add((place, filter, tasks));
        return AddServerComponent(filter);
    }

    /// <summary>Adds a component that sees the server's events.</summary>
    public FederationBuilder AddServerComponent(FLComponent component)
    {
        ArgumentNullException.ThrowIfNull(component);
        _components.Add(component);
        return this;
    }

    /// <summary>Sets the seed that all randomness derives from: same seed, same bits. 0 unless set.</summary>
    public FederationBuilder UseSeed(ulong seed)
    {
        Seed = seed;
        return this;
    }

    /// <summary>Names the job; <c>job</c> unless set.</summary>
    public FederationBuilder UseJobId(string jobId)
    {
        SiteName.Check(jobId, nameof(jobId));
        JobId = jobId;
        return this;
    }

    /// <summary>
    /// Sets how many executors run at once; as many as there are cores unless set. The result does not depend on it.
    /// The thread pool's minimum is raised to a little more, so that the job's loop finds a thread while they compute.
    /// </summary>
    public FederationBuilder UseParallelism(int executors)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(executors, 1);
        Parallelism = executors;
        return this;
    }

    /// <summary>Keeps a journal in a directory: every round is on disk before it is announced, and a job that died goes
    /// on after its last one. A job that is complete only reports its rounds again: for more rounds, begin another with
    /// its model.</summary>
    /// <param name="directory">Created if it does not exist. One job a directory.</param>
    public FederationBuilder UseJournal(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        Journal = async compute => await DirectoryJournalStorage.OpenAsync(directory, compute);
        return this;
    }

    /// <summary>
    /// Keeps a journal in a storage of the application's own, which the federation takes over and disposes of.
    /// </summary>
    public FederationBuilder UseJournal(IJournalStorage storage)
    {
        ArgumentNullException.ThrowIfNull(storage);
        Journal = _ => Task.FromResult(storage);
        return this;
    }

    /// <summary>Sets the runtime's limits and intervals.</summary>
    public FederationBuilder UseLimits(RuntimeLimits limits)
    {
        ArgumentNullException.ThrowIfNull(limits);
        Limits = limits;
        return this;
    }

    /// <summary>Sets where to log; nowhere unless set.</summary>
    public FederationBuilder UseLogging(ILoggerFactory factory)
    {
        ArgumentNullException.ThrowIfNull(factory);
        LoggerFactory = factory;
        return this;
    }

    /// <summary>Sets the clock; the system's unless set.</summary>
    public FederationBuilder UseTime(TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(time);
        Time = time;
        return this;
    }

    /// <summary>
    /// Adds a check of the whole configuration, run when the federation is built: it returns what is wrong, and what to
    /// do about it. For packages that extend federations.
    /// </summary>
    /// <param name="check">Returns what is wrong; nothing where all is well.</param>
    /// <param name="errorId">The id of the error that the federation is then refused with. Where several checks find
    /// something, the first id that is not <see cref="ErrorIds.Configuration"/> counts; the message lists
    /// everything.</param>
    public FederationBuilder AddCheck(
        Func<FederationBuilder, IEnumerable<string>> check, string errorId = ErrorIds.Configuration)
    {
        ArgumentNullException.ThrowIfNull(check);
        ArgumentException.ThrowIfNullOrEmpty(errorId);
        _checks.Add((check, errorId));
        return this;
    }

    /// <summary>
    /// Adds an object that the application finds again with <see cref="Federation.Feature{T}"/>. For packages that
    /// extend federations.
    /// </summary>
    /// <typeparam name="T">What it is looked up by.</typeparam>
    /// <param name="feature">The object.</param>
    /// <param name="owned">Whether the federation disposes of it, when it is itself disposed of.</param>
    /// <exception cref="InvalidOperationException">There is one of the type already.</exception>
    public FederationBuilder AddFeature<T>(T feature, bool owned = false) where T : class
    {
        ArgumentNullException.ThrowIfNull(feature);
        if (!_features.TryAdd(typeof(T), (feature, owned)))
            throw new InvalidOperationException($"The federation has a {typeof(T).Name} already; add it once.");
        return this;
    }

    internal Federation Build()
    {
        var errors = new List<string>();
        var errorId = ErrorIds.Configuration;
        if (_sites.Count == 0) errors.Add("there are no sites; call AddSites");
        if (_controllers.Count == 0) errors.Add("there is no workflow; call UseController, with FedAvg for example");
        errors.AddRange(Limits.Errors());
        foreach (var controller in _controllers)
            errors.AddRange(controller.Validate(_sites.Count).Select(e => $"{controller.Name}: {e}"));
        foreach (var (check, id) in _checks)
        {
            var before = errors.Count;
            errors.AddRange(check(this));
            if (errors.Count > before && errorId == ErrorIds.Configuration) errorId = id;
        }
        if (errors.Count > 0)
            throw new FlareException(errorId, $"The federation cannot be built: {string.Join("; ", errors)}.");
        var sites = SiteFactory.Make(_sites, _siteParts);
        return new Federation(this, sites, _controllers, _components, _serverFilters, _features);
    }
}

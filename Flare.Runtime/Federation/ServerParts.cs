namespace Flare.Runtime;

/// <summary>What a server is made of, while it is being built; a copy of it is what was built.</summary>
internal sealed class ServerParts
{
    private readonly List<Controller> _controllers = [];
    private readonly List<FLComponent> _components = [];
    private readonly List<(FilterPlace Place, Filter Filter, string[] Tasks)> _filters = [];
    private readonly List<(Controller Controller, Aggregator Aggregator)> _aggregators = []; // that were claimed

    public ServerParts() { }

    private ServerParts(ServerParts other)
    {
        _controllers = [.. other._controllers];
        _components = [.. other._components];
        _filters = [.. other._filters];
        (CreateAggregator, Journal) = (other.CreateAggregator, other.Journal);
    }

    public IReadOnlyList<Controller> Controllers => _controllers;
    public IReadOnlyList<FLComponent> Components => _components;
    public Func<Aggregator>? CreateAggregator { get; private set; }
    public JournalSource? Journal { get; private set; }

    /// <summary>The parts as they are now, whatever becomes of these.</summary>
    public ServerParts Copy() => new(this);

    public void Add(Controller controller)
    {
        ArgumentNullException.ThrowIfNull(controller);
        _controllers.Add(controller);
    }

    public void Add(FLComponent component)
    {
        ArgumentNullException.ThrowIfNull(component);
        _components.Add(component);
    }

    public void Add(FilterPlace place, Filter filter, string[] tasks)
    {
        ArgumentNullException.ThrowIfNull(filter);
        ArgumentNullException.ThrowIfNull(tasks);
        if (place is not (FilterPlace.ServerOut or FilterPlace.ServerIn))
            throw new ArgumentOutOfRangeException(
                nameof(place), place,
                "The server has filters at ServerOut and ServerIn; add those of sites by ConfigureSites.");
        _filters.Add((place, filter, [.. tasks]));
        Add(filter);
    }

    public void UseAggregator(Func<Aggregator> make)
    {
        ArgumentNullException.ThrowIfNull(make);
        CreateAggregator = make;
    }

    public void UseJournal(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        Journal = new(directory);
    }

    public void UseJournal(IJournalStorage storage)
    {
        ArgumentNullException.ThrowIfNull(storage);
        Journal = new(storage);
    }

    /// <summary>What is wrong.</summary>
    /// <param name="sites">How many sites there are; null where that is open.</param>
    public IEnumerable<string> Validate(int? sites)
    {
        if (_controllers.Count == 0) yield return "there is no workflow; call UseController, with FedAvg for example";
        foreach (var controller in _controllers)
            foreach (var error in JobServerOptions.Validate(controller, sites)) yield return error;
    }

    /// <summary>The server's options.</summary>
    public JobServerOptions ToOptions(
        JobSettings job, SynchronizationContext loop, IServerLink link, StateDict initialModel,
        IReadOnlyList<string> sites, ComputeScheduler compute, Microsoft.Extensions.Logging.ILogger logger)
    {
        var options = new JobServerOptions
        {
            JobId = job.JobId,
            Seed = job.Seed,
            Loop = loop,
            Link = link,
            Controllers = _controllers,
            Components = _components,
            CreateAggregator = CreateAggregator,
            InitialModel = initialModel,
            Sites = sites,
            Journal = Journal is { } journal ? () => journal.OpenAsync(compute) : null,
            Time = job.Time,
            Compute = compute,
            Logger = logger,
            JournalPlace = Journal?.Place ?? "",
            Descriptions = job.Descriptions,
            Limits = job.Limits,
            PolicyFingerprint = job.PolicyFingerprint,
        };
        foreach (var (place, filter, tasks) in _filters) options.AddFilter(place, filter, tasks);
        return options;
    }

    /// <summary>
    /// Takes the workflows and their aggregators for a run: they keep their rounds' sums, and two runs at once would
    /// mix them up.
    /// </summary>
    /// <exception cref="FlareException">One is at work elsewhere.</exception>
    public void Claim()
    {
        foreach (var controller in _controllers)
            foreach (var aggregator in controller.Aggregators) _aggregators.Add((controller, aggregator));
        for (var i = 0; i < _controllers.Count; i++)
        {
            if (_controllers[i].TryClaim()) continue;
            for (var taken = 0; taken < i; taken++) _controllers[taken].Release();
            _aggregators.Clear();
            throw new FlareException(
                ErrorIds.Configuration,
                $"The workflow {_controllers[i].Name} is at work in another federation, or was added twice. Make a "
                + "new one for each: UseController(new …).");
        }
        foreach (var (controller, aggregator) in _aggregators)
        {
            if (aggregator.TryClaim(this)) continue;
            Release();
            throw new FlareException(
                ErrorIds.Configuration,
                $"The aggregator {aggregator.GetType().Name} of the workflow {controller.Name} is at work in another "
                + "federation, and would fold the sites of both into the models of both. Make a new one for each: "
                + $"new {aggregator.GetType().Name}().");
        }
    }

    public void Release()
    {
        // What goes on though its run is over keeps its aggregators, too.
        var atWork = _controllers.Where(c => !c.Release()).ToArray();
        foreach (var (controller, aggregator) in _aggregators)
            if (!atWork.Contains(controller)) aggregator.Release(this);
        _aggregators.Clear();
    }
}

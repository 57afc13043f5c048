namespace Flare;

/// <summary>What a site is made of: its name, its executors, its filters and its components. Once its builder
/// has built, a verb of it throws <see cref="InvalidOperationException"/>.</summary>
public sealed class SiteDefinition
{
    internal FilterChain FiltersIn { get; } = new();
    internal FilterChain FiltersOut { get; } = new();
    internal ExecutorTable Table { get; }
    private readonly List<FLComponent> _components = [];
    private bool _isSealed;

    /// <summary>Describes a site whose executors are added by task: see <see cref="AddExecutor"/>.</summary>
    /// <param name="name">Its name, unique in the federation.</param>
    /// <exception cref="ArgumentException">The name is blank, longer than 200 bytes, or has characters that cannot be
    /// seen.</exception>
    public SiteDefinition(string name)
    {
        SiteName.Check(name, nameof(name));
        Name = name;
        Table = new(name);
    }

    /// <summary>Describes a site.</summary>
    /// <param name="name">Its name, unique in the federation.</param>
    /// <param name="executor">What answers its tasks, but for those of <see cref="AddExecutor"/>. One instance a
    /// site.</param>
    /// <exception cref="ArgumentException">The name is blank, longer than 200 bytes, or has characters that cannot be
    /// seen.</exception>
    public SiteDefinition(string name, Executor executor) : this(name)
    {
        ArgumentNullException.ThrowIfNull(executor);
        Table.AddRest(executor);
        _components.Add(executor);
    }

    /// <summary>The site's name.</summary>
    public string Name { get; }

    /// <summary>What answers its tasks: each executor once, the one for the rest first where there is one.</summary>
    public IReadOnlyList<Executor> Executors => Table.All;

    /// <summary>All that sees the site's events, in the order in which it was added.</summary>
    public IReadOnlyList<FLComponent> Components => _components;

    /// <summary>What the site lets out; null where the runtime's own default counts.</summary>
    public SitePolicy? Policy { get; private set; }

    /// <summary>Sets what the site lets out. Returns this instance.</summary>
    /// <exception cref="FlareException">The policy contradicts itself.</exception>
    public SiteDefinition UsePolicy(SitePolicy policy)
    {
        RequireOpen();
        ArgumentNullException.ThrowIfNull(policy);
        policy.ThrowIfInvalid();
        Policy = policy;
        return this;
    }

    /// <summary>
    /// Adds an executor for a task; the one that the site was made with answers the rest. Add it again for further
    /// tasks. A task that no executor is for is answered with <see cref="ReturnCode.TaskUnknown"/>; a name that no
    /// workflow sent is told of at the end of the run.
    /// </summary>
    /// <param name="task">The task's name, one of <see cref="TaskNames"/> or a workflow's own.</param>
    /// <param name="executor">What answers it. A site runs one task at a time, whichever executor answers.</param>
    /// <exception cref="ArgumentException">The task has an executor already.</exception>
    public SiteDefinition AddExecutor(string task, Executor executor)
    {
        RequireOpen();
        ArgumentException.ThrowIfNullOrEmpty(task);
        ArgumentNullException.ThrowIfNull(executor);
        Table.Add(task, executor);
        return AddComponent(executor);
    }

    /// <summary>Adds a component that sees the site's events. Returns this instance.</summary>
    public SiteDefinition AddComponent(FLComponent component)
    {
        RequireOpen();
        ArgumentNullException.ThrowIfNull(component);
        // A filter at two places gets its events once.
        if (!_components.Contains(component, ReferenceEqualityComparer.Instance)) _components.Add(component);
        return this;
    }

    /// <summary>Adds a filter behind those that are there, but for the outermost ones.</summary>
    /// <param name="place"><see cref="FilterPlace.SiteIn"/> or <see cref="FilterPlace.SiteOut"/>.</param>
    /// <param name="filter">The filter; one instance a site.</param>
    /// <param name="tasks">The tasks that it is for; none for all. That a filter guarded nothing, since no workflow
    /// sent any of its tasks, is an error in the log at the end of the run, and ends it with one where a name is
    /// misspelt.</param>
    public SiteDefinition AddFilter(FilterPlace place, Filter filter, params string[] tasks)
    {
        RequireOpen();
        ArgumentNullException.ThrowIfNull(filter);
        ArgumentNullException.ThrowIfNull(tasks);
        ChainAt(place).Add(filter, tasks);
        return AddComponent(filter);
    }

    /// <summary>
    /// Adds a filter next to the link, whatever was added before or is added later: the first of all at
    /// <see cref="FilterPlace.SiteIn"/>, the last of all at <see cref="FilterPlace.SiteOut"/>. For what others cannot
    /// look through, such as encryption. Of several, the one added last is the outermost.
    /// </summary>
    /// <param name="place"><see cref="FilterPlace.SiteIn"/> or <see cref="FilterPlace.SiteOut"/>.</param>
    /// <param name="filter">The filter; one instance a site.</param>
    /// <param name="tasks">The tasks that it is for; none for all.</param>
    public SiteDefinition AddOutermostFilter(FilterPlace place, Filter filter, params string[] tasks)
    {
        RequireOpen();
        ArgumentNullException.ThrowIfNull(filter);
        ArgumentNullException.ThrowIfNull(tasks);
        var chain = ChainAt(place);
        if (place == FilterPlace.SiteIn) chain.AddFirst(filter, tasks);
        else chain.AddLast(filter, tasks);
        return AddComponent(filter);
    }

    /// <summary>The tasks that came to the site.</summary>
    internal TaskWatch Watch { get; } = new();

    /// <summary>
    /// Filters that were for tasks which never came: what they were to guard left the site as it was.
    /// </summary>
    internal IEnumerable<(string Text, bool IsMisspelt)> FiltersNeverCalled() =>
        [.. FiltersIn.NeverCalled(Watch, Name), .. FiltersOut.NeverCalled(Watch, Name)];

    /// <summary>Names of tasks that matched nothing, and cost no more than that.</summary>
    internal IEnumerable<string> UnusedNames() =>
        [.. Table.Unused(Watch), .. FiltersIn.UnusedNames(Watch, Name), .. FiltersOut.UnusedNames(Watch, Name)];

    /// <summary>The site is built: it does not change any more.</summary>
    internal void Seal() => _isSealed = true;

    private void RequireOpen()
    {
        if (_isSealed)
            throw new InvalidOperationException(
                $"The site {Name} is built, and does not change any more: add to it while it is configured.");
    }

    private FilterChain ChainAt(FilterPlace place) => place switch
    {
        FilterPlace.SiteIn => FiltersIn,
        FilterPlace.SiteOut => FiltersOut,
        _ => throw new ArgumentOutOfRangeException(nameof(place), place,
            "A site has filters at SiteIn and SiteOut; ServerOut and ServerIn are the server's."),
    };
}

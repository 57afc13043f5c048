namespace Flare;

/// <summary>What a site is made of: its name, its executor, its filters and its components.</summary>
public sealed class SiteDefinition
{
    internal FilterChain FiltersIn { get; } = new();
    internal FilterChain FiltersOut { get; } = new();
    private readonly List<FLComponent> _components = [];

    /// <summary>Describes a site.</summary>
    /// <param name="name">Its name, unique in the federation.</param>
    /// <param name="executor">What answers its tasks. One instance a site.</param>
    public SiteDefinition(string name, Executor executor)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(executor);
        (Name, Executor) = (name, executor);
        _components.Add(executor);
    }

    /// <summary>The site's name.</summary>
    public string Name { get; }

    /// <summary>What answers its tasks.</summary>
    public Executor Executor { get; }

    /// <summary>All that sees the site's events: the executor, then the rest in the order in which it was added.</summary>
    public IReadOnlyList<FLComponent> Components => _components;

    /// <summary>Adds a component that sees the site's events. Returns this instance.</summary>
    public SiteDefinition AddComponent(FLComponent component)
    {
        ArgumentNullException.ThrowIfNull(component);
        if (!_components.Contains(component, ReferenceEqualityComparer.Instance)) _components.Add(component); // a filter at two places gets its events once
        return this;
    }

    /// <summary>Adds a filter behind those that are there, but for the outermost ones.</summary>
    /// <param name="place"><see cref="FilterPlace.SiteIn"/> or <see cref="FilterPlace.SiteOut"/>.</param>
    /// <param name="filter">The filter; one instance a site.</param>
    /// <param name="tasks">The tasks that it is for; none for all.</param>
    public SiteDefinition AddFilter(FilterPlace place, Filter filter, params string[] tasks)
    {
        ArgumentNullException.ThrowIfNull(filter);
        ArgumentNullException.ThrowIfNull(tasks);
        ChainAt(place).Add(filter, tasks);
        return AddComponent(filter);
    }

    /// <summary>
    /// Adds a filter next to the link, whatever was added before or is added later: the first of all at <see cref="FilterPlace.SiteIn"/>, the last of
    /// all at <see cref="FilterPlace.SiteOut"/>. For what others cannot look through, such as encryption. Of several, the one added last is the outermost.
    /// </summary>
    /// <param name="place"><see cref="FilterPlace.SiteIn"/> or <see cref="FilterPlace.SiteOut"/>.</param>
    /// <param name="filter">The filter; one instance a site.</param>
    /// <param name="tasks">The tasks that it is for; none for all.</param>
    public SiteDefinition AddOutermostFilter(FilterPlace place, Filter filter, params string[] tasks)
    {
        ArgumentNullException.ThrowIfNull(filter);
        ArgumentNullException.ThrowIfNull(tasks);
        var chain = ChainAt(place);
        if (place == FilterPlace.SiteIn) chain.AddFirst(filter, tasks);
        else chain.AddLast(filter, tasks);
        return AddComponent(filter);
    }

    private FilterChain ChainAt(FilterPlace place) => place switch
    {
        FilterPlace.SiteIn => FiltersIn,
        FilterPlace.SiteOut => FiltersOut,
        _ => throw new ArgumentOutOfRangeException(nameof(place), place, "A site has filters at SiteIn and SiteOut; ServerOut and ServerIn are the server's."),
    };
}

namespace Flare;

/// <summary>The filters of one place, in order; each for all tasks or for some.</summary>
internal sealed class FilterChain
{
    private readonly List<(Filter Filter, string[] Tasks)> _filters = [];
    private int _last;

    public IEnumerable<Filter> Filters => _filters.Select(f => f.Filter);

    /// <summary>Adds a filter behind those that are there, but for those of <see cref="AddLast"/>.</summary>
    public void Add(Filter filter, string[] tasks) => _filters.Insert(_filters.Count - _last, (filter, tasks));

    public void AddFirst(Filter filter, string[] tasks) => _filters.Insert(0, (filter, tasks));

    /// <summary>Adds a filter that stays behind all that come after it.</summary>
    public void AddLast(Filter filter, string[] tasks)
    {
        _filters.Add((filter, tasks));
        _last++;
    }

    public bool AppliesTo(string taskName)
    {
        foreach (var (_, tasks) in _filters)
            if (tasks.Length == 0 || tasks.Contains(taskName)) return true;
        return false;
    }

    public async ValueTask<Shareable> ProcessAsync(string taskName, Shareable message, FLContext context, CancellationToken abort)
    {
        foreach (var (filter, tasks) in _filters)
        {
            if (tasks.Length > 0 && !tasks.Contains(taskName)) continue;
            message = Checked(await filter.ProcessAsync(message, context, abort), filter, taskName);
        }
        return message;
    }

    private static Shareable Checked(Shareable? message, Filter filter, string taskName)
    {
        if (message is null)
        {
            throw new FlareException(
                ErrorIds.Filter,
                $"The filter {filter.GetType().Name} returned no message for task '{taskName}'. Return the message, or throw to stop it.");
        }
        try
        {
            message.RequireDepth();
        }
        catch (FlareException e)
        {
            throw new FlareException(
                ErrorIds.Filter, $"What the filter {filter.GetType().Name} returned for task '{taskName}' cannot be sent: {e.Message}", e);
        }
        return message;
    }
}

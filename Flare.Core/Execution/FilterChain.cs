namespace Flare;

/// <summary>The filters of one place, in order; each for all tasks or for some.</summary>
internal sealed class FilterChain
{
    private readonly List<(Filter Filter, string[] Tasks)> _filters = [];
    private int _last;

    public IEnumerable<Filter> Filters => _filters.Select(f => f.Filter);

    /// <summary>The filters' types, with the tasks of those that are for some.</summary>
    public IEnumerable<string> Names => _filters.Select(f => f.Filter.GetType().Name
        + (f.Tasks.Length == 0 ? "" : $" ({string.Join(", ", f.Tasks)})"));

    /// <summary>The tasks that <see cref="AppliesTo"/> was asked for.</summary>
    public TaskWatch Watch { get; } = new();

    /// <summary>The same filters, for whatever becomes of these; no task has come yet.</summary>
    public FilterChain Copy()
    {
        var copy = new FilterChain { _last = _last };
        copy._filters.AddRange(_filters);
        return copy;
    }

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
        Watch.Note(taskName);
        foreach (var (_, tasks) in _filters)
            if (tasks.Length == 0 || tasks.Contains(taskName, StringComparer.OrdinalIgnoreCase)) return true;
        return false;
    }

    public async ValueTask<Shareable> ProcessAsync(
        string taskName, Shareable message, FLContext context, CancellationToken abort)
    {
        foreach (var (filter, tasks) in _filters)
        {
            if (!IsFor(filter, tasks, taskName)) continue;
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
                $"The filter {filter.GetType().Name} returned no message for task "
                    + $"'{taskName}'. Return the message, or throw to stop it.");
        }
        try
        {
            message.RequireDepth();
        }
        catch (FlareException e)
        {
            throw new FlareException(
                ErrorIds.Filter,
                $"What the filter {filter.GetType().Name} returned for task '{taskName}' cannot be sent: {e.Message}",
                e);
        }
        return message;
    }

    /// <summary>Filters that no task was for: nothing of what they were to do was done. With each, whether a name that
    /// was sent is so near that it must have been meant.</summary>
    /// <param name="watch">The tasks that were sent.</param>
    /// <param name="place">Where the filters are, for the message.</param>
    public IEnumerable<(string Text, bool IsMisspelt)> NeverCalled(TaskWatch watch, string place) =>
        from f in _filters
        where !watch.IsEmpty && f.Tasks.Length > 0 && !f.Tasks.Any(watch.Has)
        select ($"{place}: the filter {f.Filter.GetType().Name} is for "
            + string.Join(", and for ", f.Tasks.Select(watch.Missing)), f.Tasks.Any(watch.IsNear));

    /// <summary>Names without a task, of filters that another of their names called.</summary>
    /// <param name="watch">The tasks that were sent.</param>
    /// <param name="place">Where the filters are, for the message.</param>
    public IEnumerable<string> UnusedNames(TaskWatch watch, string place) =>
        from f in _filters
        where f.Tasks.Any(watch.Has)
        from task in f.Tasks
        where !watch.Has(task)
        select $"{place}: the filter {f.Filter.GetType().Name} is also for {watch.Missing(task)}";

    // Nobody means by 'Train' another task than 'train': what such a filter guards stays where it is.
    private static bool IsFor(Filter filter, string[] tasks, string taskName)
    {
        if (tasks.Length == 0 || tasks.Contains(taskName)) return true;
        if (tasks.FirstOrDefault(t => t.Equals(taskName, StringComparison.OrdinalIgnoreCase)) is not { } almost)
            return false;
        throw new FlareException(
            ErrorIds.Filter, $"The filter {filter.GetType().Name} is for the task '{almost}', and the "
            + $"task is '{taskName}': names of tasks differ by case, so the message would pass unfiltered. It goes no "
            + $"further; name the task '{taskName}' where the filter is added.");
    }
}

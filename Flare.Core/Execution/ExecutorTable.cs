namespace Flare;

/// <summary>A site's executors: those for tasks by name, and the one for the rest.</summary>
internal sealed class ExecutorTable(string site)
{
    private readonly Dictionary<string, Executor> _byTask = new(StringComparer.Ordinal);
    private readonly List<Executor> _all = [];

    /// <summary>Each executor once, in the order in which they were added.</summary>
    public IReadOnlyList<Executor> All => _all;

    /// <summary>Answers tasks that none is named for; null where there is none.</summary>
    public Executor? Rest { get; private set; }

    /// <summary>The tasks that have an executor by name, in order.</summary>
    public IReadOnlyList<string> Tasks => [.. _byTask.Keys.Order(StringComparer.Ordinal)];

    public void AddRest(Executor executor)
    {
        Rest = executor;
        _all.Add(executor);
    }

    public void Add(string task, Executor executor)
    {
        if (!_byTask.TryAdd(task, executor))
            throw new ArgumentException(
                $"{site} has an executor for the task '{task}' already; a task has one.", nameof(task));
        if (!_all.Contains(executor, ReferenceEqualityComparer.Instance)) _all.Add(executor);
    }

    public Executor? For(string task) => _byTask.GetValueOrDefault(task) ?? Rest;

    /// <summary>The answer to a task that no executor is for.</summary>
    public Shareable Unknown(string task)
    {
        var known = string.Join(", ", _byTask.Keys.Select(k => $"'{k}'"));
        return Shareable.Reply(ReturnCode.TaskUnknown, $"{site} has no executor for the task '{task}'"
            + $"{DidYouMean.Suggest(task, _byTask.Keys)}; it has executors for "
            + $"{(known.Length > 0 ? known : "none")}. Add one "
            + $"with {nameof(SiteDefinition)}.{nameof(SiteDefinition.AddExecutor)}.");
    }

    /// <summary>Executors whose task no workflow sent: one text for each name.</summary>
    public IEnumerable<string> Unused(TaskWatch watch)
    {
        if (watch.IsEmpty) yield break;
        foreach (var (task, executor) in _byTask)
            if (!watch.Has(task))
                yield return $"{site}: the executor {executor.GetType().Name} is for {watch.Missing(task)}";
    }
}

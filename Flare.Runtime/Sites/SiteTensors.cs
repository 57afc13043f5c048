namespace Flare.Runtime;

/// <summary>
/// The large tensors of a site's tasks: which are asked for, which tasks wait for them, and the last ones, kept so that
/// validation after a round and the next round's training get their model once.
/// </summary>
internal sealed class SiteTensors(int most, Action<TaskToken, string> ask)
{
    private readonly LinkedList<(string Sha256, StateDict Tensors)> _kept = new();
    private readonly Dictionary<string, Asked> _asked = new(StringComparer.Ordinal);
    private readonly List<SiteTask> _waiting = [];

    /// <summary>Gives a task what is here and asks for the rest. True where nothing is missing.</summary>
    public bool TryFill(SiteTask task)
    {
        foreach (var sha256 in task.Missing)
            if (Find(sha256) is { } tensors) task.Fill(sha256, tensors);
        if (task.Missing.Count == 0) return true;
        _waiting.Add(task);
        Ask(task);
        return false;
    }

    /// <summary>Whether tensors were asked for that have not come.</summary>
    public bool IsAwaited(string sha256) => _asked.ContainsKey(sha256);

    /// <summary>Whether any were.</summary>
    public bool AreAwaited => _asked.Count > 0;

    /// <summary>Asks once more for all that has not come.</summary>
    public void AskAgain()
    {
        foreach (var (sha256, asked) in _asked) ask(asked.Token, sha256);
    }

    /// <summary>The hashes that are asked for in a task's name.</summary>
    /// <param name="number">The task's number.</param>
    public IReadOnlyList<string> AskedFor(long number) =>
        [.. _asked.Where(a => a.Value.Token.Number == number).Select(a => a.Key)];

    /// <summary>
    /// What came in the name of a hash is something else: the tasks that wait for it, which answer so.
    /// </summary>
    public IReadOnlyList<SiteTask> Refuse(string sha256) => Refuse(
        sha256, $"The tensors that the server sent do not have the hash {sha256} that its task names: they were "
            + "damaged or exchanged on the way, or changed after the task was sent.");

    /// <summary>What came in the name of a hash is none: the tasks that wait for it, which answer so.</summary>
    /// <param name="sha256">The hash.</param>
    /// <param name="obstacle">What they answer.</param>
    public IReadOnlyList<SiteTask> Refuse(string sha256, string obstacle)
    {
        _asked.Remove(sha256);
        SiteTask[] refused = [.. _waiting.Where(t => t.Missing.Contains(sha256))];
        foreach (var task in refused) task.Obstacle = obstacle;
        _waiting.RemoveAll(refused.Contains);
        Forget(refused);
        return refused;
    }

    /// <summary>Tensors are here: the tasks that lack nothing more.</summary>
    public IReadOnlyList<SiteTask> Receive(string sha256, StateDict tensors)
    {
        _asked.Remove(sha256);
        if (Find(sha256) is null) Keep(sha256, tensors.Freeze());
        foreach (var task in _waiting) task.Fill(sha256, tensors);
        SiteTask[] ready = [.. _waiting.Where(t => t.Missing.Count == 0)];
        _waiting.RemoveAll(t => t.Missing.Count == 0);
        return ready;
    }

    /// <summary>A task has ended: what was asked for in its name is asked for by others that lack it.</summary>
    public void Leave(SiteTask task)
    {
        if (_waiting.Remove(task)) Forget(task);
    }

    private void Forget(params IReadOnlyCollection<SiteTask> tasks)
    {
        foreach (var (sha256, asked) in _asked)
            if (tasks.Any(t => t.Token == asked.Token)) _asked.Remove(sha256);
        foreach (var other in _waiting) Ask(other);
    }

    /// <summary>On a link that loses messages: asks again for what has not come.</summary>
    public void Repeat()
    {
        foreach (var (sha256, asked) in _asked)
            if (asked.Repetition.Tick(isLarge: true)) ask(asked.Token, sha256);
    }

    /// <summary>
    /// The server that was asked is no more. What is kept is good for the next: it goes by its content.
    /// </summary>
    public void Restart()
    {
        _asked.Clear();
        _waiting.Clear();
    }

    /// <summary>The job is over.</summary>
    public void Clear()
    {
        Restart();
        _kept.Clear();
    }

    private void Ask(SiteTask task)
    {
        foreach (var sha256 in task.Missing)
            if (_asked.TryAdd(sha256, new(task.Token))) ask(task.Token, sha256);
    }

    private StateDict? Find(string sha256)
    {
        for (var node = _kept.First; node is not null; node = node.Next)
        {
            if (node.Value.Sha256 != sha256) continue;
            _kept.Remove(node);
            _kept.AddFirst(node);
            return node.Value.Tensors;
        }
        return null;
    }

    private void Keep(string sha256, StateDict tensors)
    {
        _kept.AddFirst((sha256, tensors));
        if (_kept.Count > most) _kept.RemoveLast();
    }

    private sealed class Asked(TaskToken token)
    {
        public TaskToken Token => token;
        public Backoff Repetition { get; } = new();
    }
}

using System.Collections.Concurrent;

namespace Flare;

/// <summary>Which tasks came by, so that a name which none of them has can be told of. Any thread may use it.</summary>
internal sealed class TaskWatch
{
    private const int Most = 256;

    private readonly ConcurrentDictionary<string, byte> _seen = new(StringComparer.Ordinal);

    public bool IsEmpty => _seen.IsEmpty;

    public void Note(string task)
    {
        // Names are the workflow's, and few; one that makes up new ones must not take the memory.
        if (!_seen.ContainsKey(task) && _seen.Count < Most) _seen.TryAdd(task, 0);
    }

    // A full watch may have missed it.
    public bool Has(string task) => _seen.ContainsKey(task) || _seen.Count >= Most;

    /// <summary>Whether a task came by whose name is nearly this one.</summary>
    public bool IsNear(string task) => DidYouMean.Nearest(task, _seen.Keys) is not null;

    /// <summary>Words for a name that no task had.</summary>
    public string Missing(string task)
    {
        string[] seen = [.. _seen.Keys.Order(StringComparer.Ordinal)];
        var sent = string.Join(", ", seen.Take(10).Select(s => $"'{s}'")) + (seen.Length > 10 ? ", …" : "");
        return $"the task '{task}', which no workflow sent{DidYouMean.Suggest(task, seen)}; sent were {sent}";
    }
}

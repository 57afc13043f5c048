using System.Collections;
using System.Text;

namespace Flare;

/// <summary>What a log line is about, as far as it applies, in the form that loggers read.</summary>
internal sealed class LogScope(string? job, string? site, string? task, int round)
    : IReadOnlyList<KeyValuePair<string, object?>>
{
    public string? Job => job;
    public string? Site => site;
    public string? Task => task;

    /// <summary>0 outside of rounds.</summary>
    public int Round => round;

    public int Count =>
        (job is null ? 0 : 1) + (site is null ? 0 : 1) + (task is null ? 0 : 1) + (round == 0 ? 0 : 1);

    public KeyValuePair<string, object?> this[int index] => index < 0 || index >= Count
        ? throw new ArgumentOutOfRangeException(nameof(index)) : this.ElementAt(index);

    /// <summary>What a scope within another one has to add; null where that is nothing.</summary>
    public LogScope? Without(LogScope? outer)
    {
        if (outer is null) return this;
        var added = new LogScope(
            job == outer.Job ? null : job, site == outer.Site ? null : site, task == outer.Task ? null : task,
            round == outer.Round ? 0 : round);
        return added.Count == 0 ? null : added;
    }

    /// <summary>What holds within both.</summary>
    public LogScope Over(LogScope? outer) => outer is null ? this
        : new(job ?? outer.Job, site ?? outer.Site, task ?? outer.Task, round == 0 ? outer.Round : round);

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator()
    {
        if (job is not null) yield return new(LogScopes.Job, job);
        if (site is not null) yield return new(LogScopes.Site, site);
        if (task is not null) yield return new(LogScopes.Task, task);
        if (round != 0) yield return new(LogScopes.Round, round);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>As a console shows it.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var (key, value) in this)
            text.Append(text.Length == 0 ? "" : " ").Append(key).Append(':').Append(value);
        return text.ToString();
    }
}

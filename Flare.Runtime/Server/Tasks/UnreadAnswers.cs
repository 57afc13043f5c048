namespace Flare.Runtime;

/// <summary>
/// Notices tasks whose answers nobody reads: each of them keeps models in memory until its workflow ends.
/// </summary>
internal sealed class UnreadAnswers(JobLife life)
{
    private readonly List<(TaskRun Run, bool WasThere)> _unread = [];
    private readonly HashSet<string> _told = new(StringComparer.Ordinal);

    /// <summary>A task begins.</summary>
    public void Add(TaskRun run) => _unread.Add((run, false));

    /// <summary>Its answers are being read.</summary>
    public void OnReading(TaskRun run) => _unread.RemoveAll(u => u.Run == run);

    /// <summary>
    /// A round is about to be committed. What was there at the commit before, and is read by nobody since, is warned
    /// about, once for each name of a task.
    /// </summary>
    /// <returns>The warnings, for the round's report.</returns>
    public IReadOnlyList<string> AtCommit()
    {
        var warnings = Warn([.. _unread.Where(u => u.WasThere).Select(u => u.Run)]);
        // The warned about are forgotten: this list must not be what keeps them.
        _unread.RemoveAll(u => u.WasThere && (u.Run.AcceptedCount > 0 || u.Run.IsComplete));
        for (var i = 0; i < _unread.Count; i++) _unread[i] = (_unread[i].Run, true);
        return warnings;
    }

    /// <summary>The workflow has ended.</summary>
    public void AtEnd()
    {
        Warn([.. _unread.Select(u => u.Run)]);
        _unread.Clear();
        _told.Clear();
    }

    private List<string> Warn(IReadOnlyList<TaskRun> runs)
    {
        var warnings = new List<string>();
        foreach (var run in runs)
        {
            if (run.AcceptedCount == 0 || !_told.Add(run.Task.Name)) continue;
            warnings.Add(
                $"nobody reads the answers to task '{run.Task.Name}' (of round {run.Task.Round}: {run.AcceptedCount}): "
                    + $"they stay in memory until the workflow {run.Workflow} ends, as those of its later tasks do. "
                    + "Read the stream that the verb returned (await foreach), or leave it after the first");
            Log.AnswersUnread(life.Logger.With(task: run.Task.Name, round: run.Task.Round), warnings[^1]);
        }
        return warnings;
    }
}

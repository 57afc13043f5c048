namespace Flare.Runtime;

public sealed partial class SiteRuntime
{
    private readonly SiteStateStore _state;

    /// <summary>Runs a task on the state that it is to go on from, and writes what it made of it.</summary>
    private async Task<Shareable> RunOnStateAsync(SiteTask task)
    {
        var result = await OpenStateAsync(task) ?? await _worker.RunAsync(task, _options);
        var isWanted = result.ReturnCode == ReturnCode.Ok
            && task is { State: SiteTaskState.Running, StopRequested: false };
        try
        {
            // An executor that was abandoned may have the state in hand for long: nothing of it is used.
            if (!isWanted)
            {
                task.StateAccess?.Abandon();
                return result;
            }
            if (task.StateAccess?.Close(task.Token.Round) is not { } after) return result;
            var needed = _tasks.Values.Where(t => t.State <= SiteTaskState.Running).Select(t => t.StateRef.Current);
            task.StateChange = await _state.WriteAsync(after, task.StateRef, [.. needed]);
            return result;
        }
        catch (Exception e)
        {
            // What is not kept must not be built on: the answer stays, too.
            return _worker.Fail(ReturnCode.ExecutionResultError, e, task);
        }
    }

    private async Task<Shareable?> OpenStateAsync(SiteTask task)
    {
        if (task.Obstacle is not null) return null;
        try
        {
            task.StateAccess = new(await _state.ReadAsync(task.StateRef.Current));
            return null;
        }
        catch (Exception e)
        {
            // Whatever the application's storage throws is the task's failure, and not the site's.
            return _worker.Fail(ReturnCode.ExecutionException, e, task);
        }
    }

    /// <summary>A task's answer is used: those that wait go on from what it left.</summary>
    private void GoOnFrom(SiteStateChange change)
    {
        foreach (var task in _tasks.Values)
            if (task.State <= SiteTaskState.Queued && task.StateRef.Current == change.From)
                task.StateRef = task.StateRef with { Current = change.To };
    }
}

namespace Flare.Runtime;

public sealed partial class SiteRuntime
{
    private const int MostReason = 1024; // the server shows no more

    private readonly List<SitePause> _pauses = [];
    private readonly List<SitePause> _restless = []; // an executor is at work since before they began
    private readonly List<SiteTask> _held = [];
    private bool _isExecuting;
    private bool _hasPaused;

    /// <summary>
    /// Has the site begin no task until the pause is disposed of. Tasks that come wait at the site, without their
    /// models; the server is told, and says so where it waits. A task that runs goes on, and its answer is sent, unless
    /// it is to stop: then it begins anew once the site goes on. The site keeps its place in the job, which it is not
    /// lost to; what time the workflow gives a task runs on. From any thread.
    /// </summary>
    /// <param name="reason">Why, in the operator's words.</param>
    /// <param name="stopsRunningTasks">Whether tasks that run are to stop.</param>
    public SitePause Pause(string reason, bool stopsRunningTasks = false)
    {
        ArgumentNullException.ThrowIfNull(reason);
        var pause = new SitePause(PlainText.Of(reason, MostReason), p => OnLoop(() => End(p)));
        OnLoop(() => Begin(pause, stopsRunningTasks));
        return pause;
    }

    private bool IsPaused => _pauses.Count > 0;

    private void OnLoop(Action action)
    {
        if (SynchronizationContext.Current == _options.Loop) action();
        else _options.Loop.Post(static a => ((Action)a!)(), action);
    }

    private void Begin(SitePause pause, bool stopsRunningTasks)
    {
        if (_stopped || _ending)
        {
            pause.Calm();
            return;
        }
        _pauses.Add(pause);
        _hasPaused = true;
        if (stopsRunningTasks)
        {
            foreach (var task in _tasks.Values.Where(t => t is { State: SiteTaskState.Running, StopRequested: false }))
            {
                task.IsPutOff = true;
                Abort(task, isRunning: true);
            }
        }
        Log.SitePauses(_side.Scoped, Name, pause.Reason);
        SayPresence();
        if (_isExecuting) _restless.Add(pause);
        else pause.Calm();
    }

    private void End(SitePause pause)
    {
        var isKnown = _pauses.Remove(pause);
        if (!IsPaused) CalmAll(); // nobody waits for a quiet that does not come
        if (!isKnown || _stopped || _ending) return;
        SayPresence();
        if (IsPaused) return;
        Log.SiteGoesOn(_side.Scoped, Name);
        SiteTask[] held = [.. _held];
        _held.Clear();
        foreach (var task in held)
            if (task.State != SiteTaskState.Done) Begin(task);
        Work();
    }

    private void Begin(SiteTask task)
    {
        if (_tensors.TryFill(task)) Enqueue(task);
    }

    /// <summary>A task goes back to where it came from, before all others.</summary>
    private void PutOff(SiteTask task)
    {
        task.PutOff();
        SiteTask[] behind = [.. _queue];
        _queue.Clear();
        _queue.Enqueue(task);
        foreach (var other in behind) _queue.Enqueue(other);
        Work(); // what put it off may be over by now
    }

    private void Execute(bool begins)
    {
        _isExecuting = begins;
        if (!begins) CalmAll();
    }

    private void CalmAll()
    {
        foreach (var pause in _restless) pause.Calm();
        _restless.Clear();
    }

    private string PauseReason =>
        string.Join("; ", _pauses.Select(p => p.Reason).Where(r => r.Length > 0).Distinct(StringComparer.Ordinal));

    private void SayPresence()
    {
        if (!_welcomed || _ending) return; // it is said after the welcome
        Say(new SitePresence(IsPaused ? PresenceKind.Paused : PresenceKind.Working, PauseReason));
    }
}

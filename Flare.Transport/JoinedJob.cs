using Flare.Runtime;

namespace Flare.Transport;

/// <summary>A job that a <see cref="FederationSite"/> takes part in.</summary>
public sealed class JoinedJob
{
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private SiteRuntime? _site;
    private SynchronizationContext? _loop;
    private SitePause? _pause;

    internal JoinedJob(string jobId) => JobId = jobId;

    /// <summary>The job's id.</summary>
    public string JobId { get; }

    /// <summary>
    /// Why the job is over, in the server's words; fails if the server refuses the site, or is not who it should be.
    /// Canceled if the site left before.
    /// </summary>
    public Task<string> Ended => _ended.Task;

    /// <summary>Whether the operator has paused the job; that of the whole site is another matter.</summary>
    public bool IsPaused
    {
        get { lock (_gate) return _pause is not null; }
    }

    /// <summary>Has the site begin no task of this job until <see cref="Resume"/>; the rest is as by
    /// <see cref="FederationSite.PauseAsync"/>.</summary>
    /// <param name="reason">Why, for the server's operator.</param>
    /// <param name="stopsRunningTasks">Whether tasks that run are to stop, and begin anew after the pause.</param>
    /// <returns>Ends once the job's executor is not at work, or the job goes on.</returns>
    public Task PauseAsync(string reason = "", bool stopsRunningTasks = false)
    {
        ArgumentNullException.ThrowIfNull(reason);
        lock (_gate)
        {
            var before = _pause;
            _pause = Pause(reason, stopsRunningTasks);
            before?.Dispose();
            return _pause?.Quiet ?? Task.CompletedTask;
        }
    }

    /// <summary>Ends the pause; the site goes on, unless the whole of it is paused.</summary>
    public void Resume()
    {
        lock (_gate)
        {
            _pause?.Dispose();
            _pause = null;
        }
    }

    /// <summary>
    /// Leaves the job. A task that runs may end, and have its answer taken, within the drain; then it is told to stop,
    /// the executors' run is ended (<see cref="EventTypes.EndRun"/>), and the server hears that the site has left. What
    /// is undone it keeps for the site for the job's lease (<see cref="RuntimeLimits.SiteLease"/>): whoever joins again
    /// by then goes on with it.
    /// </summary>
    /// <param name="drain">How long a task that runs may go on; not at all if left out.</param>
    /// <param name="reason">Why, for the server's operator.</param>
    /// <exception cref="ArgumentOutOfRangeException">The drain is negative.</exception>
    public async Task LeaveAsync(TimeSpan drain = default, string reason = "")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(drain, TimeSpan.Zero);
        ArgumentNullException.ThrowIfNull(reason);
        try
        {
            if (_site is not null) await _site.LeaveAsync(drain, reason);
        }
        finally
        {
            _ended.TrySetCanceled();
        }
    }

    internal void Take(SiteRuntime site, SynchronizationContext loop) => (_site, _loop) = (site, loop);

    internal void Start()
    {
        var site = _site!;
        _loop!.Post(_ => site.Start(), null);
        _ = FollowAsync(site);
    }

    /// <summary>A pause of its own; null where there is no site yet, or any more.</summary>
    internal SitePause? Pause(string reason, bool stopsRunningTasks) =>
        _ended.Task.IsCompleted ? null : _site?.Pause(reason, stopsRunningTasks);

    /// <summary>Ends with the job, however that ends.</summary>
    internal async Task OverAsync() => await ((Task)_ended.Task).ConfigureAwait(
        ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);

    internal void Fail(FrameException error) => _ended.TrySetException(error);

    private async Task FollowAsync(SiteRuntime site)
    {
        try
        {
            _ended.TrySetResult(await site.Ended);
        }
        catch (OperationCanceledException)
        {
            _ended.TrySetCanceled();
        }
        catch (Exception e) // the server's refusal, or whatever ended the site
        {
            _ended.TrySetException(e);
        }
    }
}

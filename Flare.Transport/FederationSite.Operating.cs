using Flare.Runtime;

namespace Flare.Transport;

public sealed partial class FederationSite
{
    private readonly Lock _gate = new();
    private readonly Halt _byOperator = new();
    private readonly Halt _byHours = new();
    private HoursWatch? _hours;
    private int _hoursSet;
    private bool _isStopped;

    /// <summary>Whether the site's operator has paused it; its hours are another matter.</summary>
    public bool IsPaused
    {
        get { lock (_gate) return _byOperator.Reason is not null; }
    }

    /// <summary>
    /// Has the site begin no task of any job, those that it joins later included, until <see cref="Resume"/>. It stays
    /// connected, and its servers are told why: they name the site as paused where they wait for it, and it is lost to
    /// none of its jobs. A task that runs goes on, and its answer is sent, unless it is to stop; then it begins anew
    /// after the pause. What time a workflow gives a task runs on.
    /// </summary>
    /// <param name="reason">Why, for the operators of the servers.</param>
    /// <param name="stopsRunningTasks">Whether tasks that run are to stop.</param>
    /// <returns>Ends once no executor of the site is at work, or the site goes on.</returns>
    public Task PauseAsync(string reason = "", bool stopsRunningTasks = false)
    {
        ArgumentNullException.ThrowIfNull(reason);
        return Begin(_byOperator, reason, stopsRunningTasks);
    }

    /// <summary>Ends the operator's pause; the site goes on, if its hours let it.</summary>
    public void Resume() => End(_byOperator);

    /// <summary>
    /// Has the site work at some hours of the day only; outside of them it is paused, as by <see cref="PauseAsync"/>.
    /// Always unless set.
    /// </summary>
    /// <param name="hours">The hours; null for always.</param>
    /// <exception cref="FlareException">The hours contradict themselves.</exception>
    public void SetHours(SiteHours? hours)
    {
        if (hours is not null && string.Join("; ", hours.Validate()) is { Length: > 0 } errors)
            throw new FlareException(ErrorIds.Configuration, $"The hours of {Name} cannot be: {errors}.");
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isStopped, this);
            _hours?.Dispose();
            var number = ++_hoursSet;
            // It ends the pause of the hours before where these are open; else another reason takes that one's place.
            _hours = hours is null ? null : new(hours, _time, reason =>
            {
                lock (_gate)
                {
                    if (number != _hoursSet) return; // others are set by now
                    if (reason is null) End(_byHours);
                    else _ = Begin(_byHours, reason, hours.StopsRunningTasks);
                }
            });
            if (hours is null) End(_byHours);
        }
    }

    /// <summary>
    /// Bounds what models and results take of the network, all jobs of the site together. What is small passes:
    /// messages, heartbeats, and results of at most 64 KiB. From then on; what the server may send at once it learns
    /// when the site connects, so a bound on what comes is best set before.
    /// </summary>
    /// <param name="upBytesPerSecond">What the site sends, at least <see cref="BandwidthLimit.Least"/>; null for no
    /// bound.</param>
    /// <param name="downBytesPerSecond">What it takes, at least <see cref="BandwidthLimit.Least"/>; null for no bound.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">One is below the least; nothing is changed.</exception>
    public void SetBandwidth(long? upBytesPerSecond, long? downBytesPerSecond)
    {
        if (upBytesPerSecond is { } up)
            ArgumentOutOfRangeException.ThrowIfLessThan(up, BandwidthLimit.Least, nameof(upBytesPerSecond));
        if (downBytesPerSecond is { } down)
            ArgumentOutOfRangeException.ThrowIfLessThan(down, BandwidthLimit.Least, nameof(downBytesPerSecond));
        (_uplink.Up.BytesPerSecond, _uplink.Down.BytesPerSecond) = (upBytesPerSecond, downBytesPerSecond);
    }

    /// <summary>
    /// Leaves all jobs and hangs up, for good. Tasks that run may end, and have their answers taken, within the drain;
    /// then they are told to stop. What they leave undone the servers keep for the site, should it come back within the
    /// job's lease (<see cref="RuntimeLimits.SiteLease"/>).
    /// </summary>
    /// <param name="drain">How long tasks that run may go on; not at all if left out.</param>
    /// <param name="reason">Why, for the operators of the servers.</param>
    /// <exception cref="ArgumentOutOfRangeException">The drain is negative.</exception>
    public async Task StopAsync(TimeSpan drain = default, string reason = "")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(drain, TimeSpan.Zero);
        ArgumentNullException.ThrowIfNull(reason);
        lock (_gate)
        {
            _isStopped = true;
            _hours?.Dispose();
        }
        // At once, not one after the other.
        var leaving = Jobs.Select(j => j.LeaveAsync(drain, reason)).ToArray();
        foreach (var job in leaving)
        {
            await job.ConfigureAwait(
                ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        }
        await _uplink.DisposeAsync(); // whatever became of the jobs
        _ended.TrySetResult();
        foreach (var job in leaving) await job;
    }

    /// <summary>
    /// Leaves all jobs and hangs up: tasks that run are told to stop, the runs of the executors are ended, and the
    /// server hears that the site is gone.
    /// </summary>
    public async ValueTask DisposeAsync() => await StopAsync();

    private Task Begin(Halt halt, string reason, bool stopsRunningTasks)
    {
        lock (_gate)
        {
            var before = halt.Pauses;
            (halt.Reason, halt.StopsRunningTasks) = (reason, stopsRunningTasks);
            halt.Pauses = [.. _jobs.Select(j => j.Pause(reason, stopsRunningTasks)).OfType<SitePause>()];
            foreach (var pause in before) pause.Dispose(); // another reason, without a gap between both
            return QuietAsync([.. halt.Pauses]);
        }
    }

    private static async Task QuietAsync(SitePause[] pauses)
    {
        foreach (var pause in pauses) await pause.Quiet;
    }

    private void End(Halt halt)
    {
        lock (_gate)
        {
            foreach (var pause in halt.Pauses) pause.Dispose();
            (halt.Reason, halt.Pauses) = (null, []);
        }
    }

    // Of a job that is joined while the site is paused; under the lock.
    private void Halts(JoinedJob job)
    {
        foreach (var halt in (Halt[])[_byOperator, _byHours])
            if (halt.Reason is { } reason && job.Pause(reason, halt.StopsRunningTasks) is { } pause)
                halt.Pauses.Add(pause);
    }

    /// <summary>What pauses the whole site: its reason, null where it does not, and a pause for each job.</summary>
    private sealed class Halt
    {
        public string? Reason { get; set; }
        public bool StopsRunningTasks { get; set; }
        public List<SitePause> Pauses { get; set; } = [];
    }
}

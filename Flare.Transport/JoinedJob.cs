using Flare.Runtime;

namespace Flare.Transport;

/// <summary>A job that a <see cref="FederationSite"/> takes part in.</summary>
public sealed class JoinedJob
{
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SiteRuntime? _site;

    internal JoinedJob(string jobId) => JobId = jobId;

    /// <summary>The job's id.</summary>
    public string JobId { get; }

    /// <summary>
    /// Why the job is over, in the server's words; fails if the server refuses the site, or is not who it should be.
    /// Canceled if the site left before.
    /// </summary>
    public Task<string> Ended => _ended.Task;

    internal void Start(SiteRuntime site, JobLoop loop)
    {
        _site = site;
        loop.Post(_ => site.Start(), null);
        _ = FollowAsync(site);
    }

    internal void Fail(FrameException error) => _ended.TrySetException(error);

    /// <summary>
    /// Leaves the job: a task that runs is told to stop, the executors' run is ended (<see cref="EventTypes.EndRun"/>),
    /// and the server waits for the site no more than its lease says.
    /// </summary>
    public async Task LeaveAsync()
    {
        if (_site is not null) await _site.LeaveAsync();
        _ended.TrySetCanceled();
    }

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

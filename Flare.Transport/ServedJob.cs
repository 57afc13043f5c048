using System.Runtime.CompilerServices;
using Flare.Runtime;

namespace Flare.Transport;

/// <summary>A job that a <see cref="FederationServer"/> runs.</summary>
public sealed class ServedJob
{
    private readonly JobServer _server;
    private readonly SynchronizationContext _loop;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly CancellationTokenSource _abort;
    private readonly TimeProvider _time;

    internal ServedJob(
        ServerPlan plan, JobServer server, SynchronizationContext loop, CancellationTokenSource abort,
        TimeProvider time) =>
        (JobId, _server, _loop, _abort, _time) = (plan.JobId, server, loop, abort, time);

    /// <summary>The job's id.</summary>
    public string JobId { get; }

    /// <summary>Ends with the job; fails as it does.</summary>
    public Task Ended => _ended.Task;

    /// <summary>The global model as it was committed last.</summary>
    public StateDict Model => _server.Model;

    /// <summary>What the workflow kept beside the model.</summary>
    public RunState State => _server.CommittedState;

    /// <summary>
    /// The reports of the rounds from here on, each once it is committed; for one reader. The job does not wait for
    /// it: of those that it has not read, the newest 1,000 are kept (<see cref="ReportsDropped"/>). Ends with the job,
    /// and fails as it does.
    /// </summary>
    /// <param name="cancellationToken">Ends the reading, not the job.</param>
    public async IAsyncEnumerable<RoundReport> ReadRoundsAsync(
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        // Not ReadAllAsync, which would go on elsewhere than on the reader's own loop.
        while (await _server.Reports.WaitToReadAsync(cancellationToken))
            while (_server.Reports.TryRead(out var report)) yield return report;
        await Ended; // at once: the reports end with the job
    }

    /// <summary>How the job's sites stand now: there or not, paused, gone.</summary>
    public Task<IReadOnlyList<SiteStanding>> GetSitesAsync()
    {
        return OnLoop(() => _server.Standings);
    }

    /// <summary>How many reports were dropped unread, the oldest first; the log warns of the first.</summary>
    public long ReportsDropped => _server.ReportsDropped;

    /// <summary>
    /// Lets the round at hand go on without some sites; see <see cref="Federation.GoOnWithoutAsync"/>.
    /// </summary>
    /// <param name="sites">The sites' names.</param>
    /// <returns>How many answers are waited for no longer.</returns>
    /// <exception cref="ArgumentException">A site is not of this job.</exception>
    public Task<int> GoOnWithoutAsync(params IReadOnlyCollection<string> sites)
    {
        ArgumentNullException.ThrowIfNull(sites);
        if (sites.Except(_server.Sites).FirstOrDefault() is { } stranger)
            throw new ArgumentException($"No site of job '{JobId}' is named '{stranger}'.", nameof(sites));
        return OnLoop(() => _server.GoOnWithout(sites));
    }

    // Asked of the job where its state belongs; what fails there fails for whoever asks.
    private Task<T> OnLoop<T>(Func<T> ask)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _loop.Post(_ => Ask(), null);
        return done.Task;

        void Ask()
        {
            try
            {
                done.TrySetResult(ask());
            }
            catch (Exception e)
            {
                done.TrySetException(e);
            }
        }
    }

    /// <summary>Ends with the job, however that ends.</summary>
    internal async Task OverAsync() => await Ended.ConfigureAwait(
        ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);

    /// <summary>
    /// Ends the job: the round at hand may be committed within the drain, and no other is begun. Then the job is
    /// aborted, unless that was its last round, and its sites are told why. A job with a journal goes on after its last
    /// round when it is run again.
    /// </summary>
    /// <param name="drain">How long the round may take; not at all if left out.</param>
    /// <param name="reason">Why, for the sites' operators.</param>
    /// <returns>Ends with the job, in whatever way: the drain, then <see cref="RuntimeLimits.AbortGrace"/>,
    /// <see cref="RuntimeLimits.DrainTimeout"/> and, for a journal that does not answer,
    /// <see cref="RuntimeLimits.StorageGrace"/> bound it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The drain is negative.</exception>
    public async Task StopAsync(TimeSpan drain = default, string reason = "")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(drain, TimeSpan.Zero);
        ArgumentNullException.ThrowIfNull(reason);
        var words = reason.Length > 0 ? $"the server stops the job: {reason}" : "the server stops the job";
        _loop.Post(_ => _server.StopAfterRound(words), null);
        await using var late = _time.CreateTimer(
            _ => _loop.Post(_ => Abort(), null), null, drain, Timeout.InfiniteTimeSpan); // behind the reason
        await OverAsync();
    }

    /// <returns>Why it failed; null where it ended well.</returns>
    internal Task<Exception?> RunAsync()
    {
        var abort = _abort.Token;
        var over = new TaskCompletionSource<Exception?>(TaskCreationOptions.RunContinuationsAsynchronously);
        _loop.Post(_ => _ = RunOnLoopAsync(), null);
        return over.Task;

        async Task RunOnLoopAsync()
        {
            try
            {
                await _server.RunAsync(abort);
                over.SetResult(
                    abort.IsCancellationRequested ? new OperationCanceledException(abort) : _server.Failure);
            }
            catch (Exception e) // the job's, for whoever awaits its end
            {
                over.SetResult(e);
            }
        }
    }

    internal void Complete(Exception? failure)
    {
        if (failure is null) _ended.TrySetResult();
        else if (failure is OperationCanceledException canceled) _ended.TrySetCanceled(canceled.CancellationToken);
        else _ended.TrySetException(failure);
        _ = _ended.Task.Exception; // whoever reads the rounds hears of it, too
        _loop.Post(_ => _abort.Dispose(), null);
    }

    // On the loop, where it is disposed of.
    private void Abort()
    {
        if (!Ended.IsCompleted) _abort.Cancel();
    }
}

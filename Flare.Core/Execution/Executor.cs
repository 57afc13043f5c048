namespace Flare;

/// <summary>
/// Answers tasks at a site (FLARE: Executor). The same executor runs in a test, in a simulation of ten thousand sites
/// and in production. A site executes one task at a time, so an executor needs no locks. One that is
/// <see cref="IAsyncDisposable"/> or <see cref="IDisposable"/> is disposed of by whoever made it: a federation does so
/// with what its factories made.
/// </summary>
public abstract class Executor : FLComponent
{
    /// <summary>Answers one task. It runs off the job's loop and may compute or block for as long as the task
    /// allows.</summary>
    /// <param name="taskName">What to do, one of <see cref="TaskNames"/> or the workflow's own; answer one you do not
    /// know with <see cref="ReturnCode.TaskUnknown"/>.</param>
    /// <param name="input">The task's data. It is shared and frozen: clone tensors before writing to them, and do not
    /// keep them beyond the call.</param>
    /// <param name="context">Who, where, which round; a seed.</param>
    /// <param name="abort">Cancelled when the task is aborted: pass it on, and look at it in every loop. Throwing
    /// <see cref="OperationCanceledException"/> then is right.</param>
    /// <returns>The answer. Headers that identify the task are attached by the runtime. An exception becomes an error
    /// record at the operator, as far as the site's <see cref="SitePolicy"/> lets it.</returns>
    public abstract ValueTask<Shareable> ExecuteAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort);

    /// <summary>Called once when the run is over at this site, after the last task.</summary>
    /// <param name="context">A context of the run.</param>
    protected internal virtual ValueTask EndRunAsync(FLContext context) => ValueTask.CompletedTask;

    /// <summary>False: a site runs one task at a time, and that is all the locking that an executor has.</summary>
    public sealed override bool CanBeShared => false;
}

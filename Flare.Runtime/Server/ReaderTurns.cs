namespace Flare.Runtime;

/// <summary>
/// Keeps the server from running ahead of whoever reads the reports: a round is committed once the reader has asked for
/// its report, which is when it is done with the one before. Training goes on meanwhile; only the commit waits.
/// </summary>
internal sealed class ReaderTurns(SynchronizationContext loop)
{
    private long _asked;
    private long _told;
    private TaskCompletionSource? _wanted;

    /// <summary>The reader asks for the next report; from any thread.</summary>
    public void Ask() => loop.Post(static self => ((ReaderTurns)self!).Asked(), this);

    /// <summary>A report was put into the reader's queue.</summary>
    public void Told() => _told++;

    /// <summary>Whether the reader waits for a report that is not there yet.</summary>
    public bool IsWanted => _asked > _told;

    /// <summary>Completes when the reader waits for a report.</summary>
    /// <exception cref="OperationCanceledException">One of the tokens was cancelled.</exception>
    public async Task WantedAsync(CancellationToken job, CancellationToken call)
    {
        if (IsWanted) return;
        var wanted = _wanted = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using (job.Register(() => wanted.TrySetCanceled(job)))
        using (call.Register(() => wanted.TrySetCanceled(call)))
            await wanted.Task;
    }

    private void Asked()
    {
        _asked++;
        if (IsWanted) _wanted?.TrySetResult();
    }
}

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
    public void Ask()
    {
        // The increment is a full fence, as is the loop's: one of both sees what the other has written.
        Interlocked.Increment(ref _asked);
        if (Volatile.Read(ref _wanted) is not null) loop.Post(static self => ((ReaderTurns)self!).Asked(), this);
    }

    /// <summary>A report was put into the reader's queue.</summary>
    public void Told() => _told++;

    /// <summary>Whether the reader waits for a report that is not there yet.</summary>
    public bool IsWanted => Volatile.Read(ref _asked) > _told;

    /// <summary>Completes when the reader waits for a report.</summary>
    /// <exception cref="OperationCanceledException">One of the tokens was cancelled.</exception>
    public async Task WantedAsync(CancellationToken job, CancellationToken call)
    {
        if (IsWanted) return;
        var wanted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Interlocked.Exchange(ref _wanted, wanted);
        Asked(); // who asked just now may have seen nobody wait
        using (job.Register(() => wanted.TrySetCanceled(job)))
        using (call.Register(() => wanted.TrySetCanceled(call)))
            await wanted.Task;
        _wanted = null;
    }

    private void Asked()
    {
        if (IsWanted) _wanted?.TrySetResult();
    }
}

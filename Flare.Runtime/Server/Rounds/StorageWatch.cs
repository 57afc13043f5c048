using System.Globalization;

namespace Flare.Runtime;

/// <summary>Waits for a journal's storage, which may never answer.</summary>
internal sealed class StorageWatch(JobLife life)
{
    // The storage was given up: its call may end some day, and nobody waits for that.
    private bool _isGivenUp;

    /// <summary>
    /// Waits for the journal's storage, which may be a network's folder that has gone: as long as the job goes on, with
    /// a word in the log now and then; once the job was told to end, for <see cref="RuntimeLimits.StorageGrace"/>.
    /// </summary>
    /// <param name="work">The call.</param>
    /// <param name="what">What is waited for, such as <c>the commit of round 3</c>.</param>
    public async Task<T> AnswerAsync<T>(Task<T> work, string what)
    {
        if (work.IsCompleted) return await work;
        var grace = life.Limits.StorageGrace;
        var since = life.Time.GetTimestamp();
        var over = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        LoopTimer? patience = null;
        var reminder = new LoopTimer(life.Options.Loop, life.Time, life.Limits.ReminderInterval, Remind);
        _ = WatchAsync();
        using (life.Abort.Register(BeginGrace)) await over.Task;
        patience?.Dispose();
        reminder.Dispose();
        if (work.IsCompleted) return await work;

        _isGivenUp = true;
        var words = string.Create(CultureInfo.InvariantCulture, $"{grace.TotalSeconds:0.###} s");
        words =
            "The job was told to end, and its journal's storage did not answer within "
                + $"{words}: {what} was not waited for any longer. Whether it has happened "
                + "shows when the job is resumed. Check the disk or the network.";
        Log.JournalWarning(life.Logger, words);
        throw new OperationCanceledException(words, new FlareException(ErrorIds.Journal, words), life.Abort);

        void BeginGrace() => patience = new(life.Options.Loop, life.Time, grace, () => over.TrySetResult());

        void Remind()
        {
            Log.StorageIsSilent(life.Logger, life.Options.JobId, life.Time.GetElapsedTime(since).TotalSeconds,
                what);
            reminder = new(life.Options.Loop, life.Time, life.Limits.ReminderInterval, Remind);
        }

        // What the call throws is for who awaits it; after that nobody does.
        async Task WatchAsync()
        {
            try
            {
                await work;
            }
            catch (Exception)
            {
            }
            over.TrySetResult();
        }
    }

    public Task<bool> AnswerAsync(ValueTask work, string what)
    {
        return AnswerAsync(DoneAsync(), what);

        async Task<bool> DoneAsync()
        {
            await work;
            return true;
        }
    }

    /// <summary>Opens a journal; one that is given up is closed should it open some day.</summary>
    public async Task<Journal> OpenAsync(Task<Journal> opening)
    {
        try
        {
            return await AnswerAsync(opening, "opening the journal");
        }
        catch (OperationCanceledException) when (_isGivenUp)
        {
            _ = GiveBackAsync(opening);
            throw;
        }
    }

    /// <summary>Closes a journal; one that was given up is closed should its storage answer some day.</summary>
    public async Task CloseAsync(Journal journal)
    {
        if (_isGivenUp) _ = GiveBackAsync(Task.FromResult(journal));
        else await AnswerAsync(journal.DisposeAsync(), "closing the journal");
    }

    private async Task GiveBackAsync(Task<Journal> opening)
    {
        try
        {
            await (await opening).DisposeAsync();
        }
        catch (Exception e)
        {
            Log.JournalWarning(
                life.Logger,
                $"The journal of job {life.Options.JobId}, which was given up, could not be closed: {e.Message}");
        }
    }
}

using Flare;

/// <summary>A site's trainer whose site leaves in the midst of a round's training, once in every such round.</summary>
internal sealed class LeavingTrainer(Executor trainer, Func<int, bool> isDue, TaskCompletionSource begun) :
    DelegatingExecutor(trainer)
{
    /// <summary>Trains; or is at it, and does not end, until the site has left.</summary>
    public override async ValueTask<Shareable> ExecuteAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort)
    {
        if (taskName != TaskNames.Train || !isDue(context.Round))
            return await base.ExecuteAsync(taskName, input, context, abort);
        begun.TrySetResult();
        await Task.Delay(Timeout.Infinite, abort);
        throw new OperationCanceledException(abort);
    }
}

namespace Flare.Runtime;

/// <summary>Runs the workflows of a job, one after the other.</summary>
internal sealed class WorkflowRunner(
    JobLife life, SiteRegistry sites, Dispatcher tasks, RoundCommitter rounds, UnreadAnswers unread)
{
    /// <summary>Runs those that are not done yet.</summary>
    /// <exception cref="OperationCanceledException">The job was aborted.</exception>
    public async Task RunAsync(FLContext context)
    {
        if (rounds is { Workflow: 0, LastRound: 0 }) await RequireFiniteModelAsync();
        while (!rounds.IsJobComplete && rounds.Workflow < life.Options.Controllers.Count)
        {
            var controller = life.Options.Controllers[rounds.Workflow];
            life.Events.Fire(EventTypes.StartWorkflow, context);
            try
            {
                if (life.StopReason is not null) life.Cancel(); // no other round is begun
                life.Abort.ThrowIfCancellationRequested();
                await RunAsync(controller);
                life.Abort.ThrowIfCancellationRequested();
            }
            finally
            {
                tasks.CompleteAll(CompletionStatus.Cancelled, "its workflow has ended");
                tasks.ReleasePermits();
                unread.AtEnd();
                life.Events.Fire(EventTypes.EndWorkflow, context);
            }
            await rounds.CompleteWorkflowAsync();
        }
        await rounds.CompleteJobAsync();
    }

    // A NaN that the job begins with would come back as the fault of sites, a round of training later.
    private async Task RequireFiniteModelAsync()
    {
        var model = rounds.Model;
        var isSmall = model.Layout.ByteLength <= life.Limits.SmallResultBytes;
        var bad = isSmall ? model.FirstNonFinite() : await life.Options.Compute.RunAsync(model.FirstNonFinite);
        if (bad is not (var tensor, var element)) return;
        throw new FlareException(
            ErrorIds.Configuration,
            $"The run cannot begin: the initial model's tensor '{tensor}' holds NaN or an "
                + $"infinity, first at element {element}. No site has trained yet: look at "
                + "where the model comes from, such as a checkpoint of a run that diverged.");
    }

    // What it throws is its author's: whoever runs the job is told which workflow, round and job it was.
    private async Task StartAsync(Controller controller, JobContext context)
    {
        try
        {
            await controller.StartAsync(context, life.AbortOfStrangers);
        }
        catch (Exception e) when (e is not FlareException && !(e is OperationCanceledException && life.IsToldToEnd))
        {
            throw new FlareException(
                ErrorIds.WorkflowFailed,
                $"The workflow {controller.Name} of job '{life.Options.JobId}' failed {context.Where}: "
                    + $"{e.GetType().Name}: {e.Message}", e);
        }
    }

    // Until it has ended, or has not in time after it was told to: then it is abandoned, and its context refuses it.
    private async Task RunAsync(Controller controller)
    {
        var context = new JobContext(life, sites, tasks, rounds, controller);
        var hasEnded = true;
        try
        {
            hasEnded = await Supervised.RunAsync(
                life.Options.Loop, life.Time, () => StartAsync(controller, context),
                life.Limits.AbortGrace,
                // A commit that is on its way to the disk is no fault of the workflow's, and the journal stays open for
                // it.
                mayAbandon: () => !rounds.IsCommitting, life.Abort);
        }
        finally
        {
            context.End(hasEnded);
        }
        if (hasEnded)
        {
            if (!rounds.IsCommitting) return;
            // Nobody can say whether that round holds, and its failure would reach nobody.
            life.Cancel();
            throw new InvalidOperationException(
                $"The workflow {controller.Name} ended while a commit of its was on its way: await " +
                $"{nameof(ControllerContext.CommitAsync)}.");
        }
        controller.Abandon();
        Log.WorkflowAbandoned(life.Logger, controller.Name, life.Limits.AbortGrace.TotalSeconds);
        throw new OperationCanceledException(life.Abort);
    }
}

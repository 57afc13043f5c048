namespace Flare.Runtime;

/// <summary>
/// Runs one task after the other through filters, executor and filters, off the loop, and turns whatever happens into
/// an answer.
/// </summary>
internal sealed class SiteWorker(SiteDefinition definition, RunSide side, SitePolicy policy)
{
    private Task? _abandoned;
    private string _abandonedTask = "";

    public void Fire(string eventType, SiteTask? task = null) =>
        side.Events.Announce(eventType, task is null ? new FLContext(side, FLContext.Server) : NewContext(task));

    /// <summary>
    /// Runs a task. Completes when the executor has answered, or has not stopped in time after it was told to.
    /// </summary>
    public async Task<Shareable> RunAsync(SiteTask task, SiteRuntimeOptions options)
    {
        if (task.Obstacle is { } obstacle) return Stamp(Shareable.Reply(ReturnCode.BadTaskData, obstacle), task);
        if (_abandoned is { IsCompleted: false })
            return Stamp(
                Shareable.Reply(
                    ReturnCode.ExecutionException,
                    $"The executor is still busy with task '{_abandonedTask}', whose abort it ignored. Let it look "
                        + "at its abort token in every loop."), task);

        Shareable? answer = null;
        var running = Task.CompletedTask;
        var hasEnded = await Supervised.RunAsync(
            options.Loop, options.Time, () => running = AnswerAsync(), options.Limits.AbortGrace,
            mayAbandon: static () => true, task.Abort.Token);
        if (hasEnded) return answer!;
        Log.ExecutorAbandoned(LoggerFor(task), definition.Name, options.Limits.AbortGrace.TotalSeconds);
        (_abandoned, _abandonedTask) = (running, task.Name);
        return Shareable.Reply(ReturnCode.TaskAborted);

        async Task AnswerAsync()
        {
            try
            {
                answer = await options.Compute.RunAsync(() => ProcessAsync(task));
            }
            catch (Exception e)
            {
                // The answer itself is no valid message, such as one with disposed tensors or headers of the wrong
                // kind.
                answer = Fail(ReturnCode.ExecutionResultError, e, task);
            }
        }
    }

    /// <summary>The answer to a task that something beside the executor kept from its end.</summary>
    public Shareable Fail(ReturnCode code, Exception exception, SiteTask task) =>
        Stamp(Failure(code, exception, task), task);

    /// <summary>The answer in place of one that no link can carry.</summary>
    public Shareable Unsendable(SiteTask task, FlareException obstacle)
    {
        if (policy.Errors == ErrorDetail.Full)
            return Stamp(Shareable.Reply(ReturnCode.ExecutionResultError, obstacle.Message), task);
        // It names what cannot be sent, in words that may be data.
        return Fail(ReturnCode.ExecutionResultError, obstacle, task);
    }

    public async Task EndRunAsync(TimeSpan patience, SiteRuntimeOptions options)
    {
        var context = new FLContext(side, FLContext.Server);
        side.Events.Announce(EventTypes.AboutToEndRun, context);
        await Supervised.RunAsync(
            options.Loop, options.Time, EndAllAsync, patience, mayAbandon: static () => true,
            new CancellationToken(canceled: true)); // it is told from the beginning
        side.Events.Announce(EventTypes.EndRun, context);

        async Task EndAllAsync()
        {
            // An executor that ignores its token still uses what its end would take away.
            if (_abandoned is { IsCompleted: false }) return;
            await options.Compute.RunAsync(async () =>
            {
                using var scope = side.Scoped.Enter();
                foreach (var executor in definition.Executors) await EndAsync(executor);
                return true;
            });
        }

        async Task EndAsync(Executor executor)
        {
            try
            {
                await executor.EndRunAsync(context);
            }
            catch (Exception e)
            {
                // The run is over; what fails now must reach the log and can change nothing else.
                Flare.Log.EventHandlerFailed(
                    side.Scoped, e, definition.Name, executor.GetType().Name, EventTypes.EndRun);
            }
        }
    }

    /// <summary>Completes when no executor is at work any more, one that was abandoned included.</summary>
    public Task Idle => _abandoned ?? Task.CompletedTask;

    private ScopedLogger LoggerFor(SiteTask task) => side.Scoped.With(task: task.Name, round: task.Token.Round);

    private FLContext NewContext(SiteTask task)
    {
        var context = new FLContext(side, FLContext.Server, task.Name, task.Token, task.Data.PeerProperties)
        {
            StateAccess = task.StateAccess,
        };
        context.Set(ContextKeys.Message, task.Result ?? task.Data);
        return context;
    }

    private async ValueTask<Shareable> ProcessAsync(SiteTask task)
    {
        var context = NewContext(task);
        using var scope = context.Scoped.Enter();
        definition.Watch.Note(task.Name);
        var abort = task.ExecutorAbort.Token;
        var stage = ReturnCode.TaskDataFilterError;
        Shareable result;
        try
        {
            side.Events.Fire(EventTypes.BeforeTaskDataFilter, context);
            var input = await definition.FiltersIn.ProcessAsync(task.Name, task.Data, context, abort);
            context.Set(ContextKeys.Message, input);
            side.Events.Fire(EventTypes.AfterTaskDataFilter, context);

            stage = ReturnCode.ExecutionException;
            side.Events.Fire(EventTypes.BeforeTaskExecution, context);
            result = await ExecuteAsync(task, input, context, abort);
            if (abort.IsCancellationRequested) result = Shareable.Reply(ReturnCode.TaskAborted);
            context.Set(ContextKeys.Message, result);
            stage = ReturnCode.ExecutionResultError;
            result.RequireDepth();
            side.Events.Fire(EventTypes.AfterTaskExecution, context);

            stage = ReturnCode.ExecutionResultError;
            var code = result.ReturnCode;
            stage = ReturnCode.TaskResultFilterError;
            if (code == ReturnCode.Ok)
            {
                side.Events.Fire(EventTypes.BeforeTaskResultFilter, context);
                result = await definition.FiltersOut.ProcessAsync(task.Name, result, context, abort);
                context.Set(ContextKeys.Message, result);
                side.Events.Fire(EventTypes.AfterTaskResultFilter, context);
                if (policy.Refusal(result) is { } refusal) result = Refused(task, refusal);
            }
        }
        catch (OperationCanceledException) when (abort.IsCancellationRequested)
        {
            result = Shareable.Reply(ReturnCode.TaskAborted);
        }
        catch (Exception e)
        {
            // Whatever user code throws, the operator reads it: it becomes the answer. Nothing else of the message is
            // sent.
            result = Failure(stage, e, task);
            context.Set(ContextKeys.Message, result);
            side.Events.Announce(EventTypes.FatalTaskError, context);
        }
        return Stamp(result, task, context.PublicProperties());
    }

    private async ValueTask<Shareable> ExecuteAsync(
        SiteTask task, Shareable input, FLContext context, CancellationToken abort)
    {
        if (definition.Table.For(task.Name) is not { } executor) return definition.Table.Unknown(task.Name);
        var result = await executor.ExecuteAsync(task.Name, input, context, abort);
        if (result is null)
        {
            return Shareable.Reply(
                ReturnCode.EmptyResult, $"The executor returned no message for task '{task.Name}'.");
        }
        if (policy.Errors == ErrorDetail.Full || result.Error is not { } error) return result;
        // The executor's own words: they may hold data as the text of an exception may.
        if (result.ReturnCode == ReturnCode.Ok) result = WithoutError(result);
        var reference = Reference(task);
        Log.TaskAnsweredError(
            LoggerFor(task), definition.Name, task.Name, task.Token.Round, reference, $"{error.Type}: {error.Message}");
        return result.ReturnCode == ReturnCode.Ok
            ? result
            : Shareable.Reply(
                result.ReturnCode, policy.Trim(error with { Type = result.ReturnCode.ToString() }, reference));
    }

    /// <summary>The answer that tells of an exception: all of it to the site's own log, as much as may leave to the
    /// server.</summary>
    private Shareable Failure(ReturnCode code, Exception exception, SiteTask task)
    {
        var reference = Reference(task);
        var error = policy.Trim(ErrorRecord.From(exception), reference);
        Log.TaskThrew(
            LoggerFor(task), exception, definition.Name, task.Name, task.Token.Round, code, reference);
        return Shareable.Reply(code, error);
    }

    private Shareable Refused(SiteTask task, string refusal)
    {
        Log.PolicyRefused(LoggerFor(task), definition.Name, task.Name, task.Token.Round, refusal);
        return Shareable.Reply(
            ReturnCode.TaskResultFilterError, $"The policy of {definition.Name} keeps the answer back: {refusal}.");
    }

    // The same in every repetition of a run; the epoch tells servers apart, the number a job's assignments.
    private string Reference(SiteTask task) => $"{definition.Name}/{task.Token.Epoch}.{task.Token.Number}";

    private static Shareable WithoutError(Shareable result)
    {
        var copy = new Shareable(result.Body);
        foreach (var (name, value) in result.Headers)
            if (name != HeaderNames.Error) copy.Headers[name] = value;
        return copy;
    }

    /// <summary>
    /// Attaches what identifies the answer, and strips the body of one that is not Ok: it passed no filter.
    /// </summary>
    private Shareable Stamp(Shareable result, SiteTask task, FlareMap? publicProperties = null)
    {
        var code = result.ReturnCode;
        var error = result.Error;
        error = error is null ? null
            : error with { Site = definition.Name, Task = task.Name, Round = task.Token.Round };
        var message = code == ReturnCode.Ok ? result.WithOwnHeaders()
            : error is null ? new Shareable { ReturnCode = code }
            : Shareable.Reply(code, error);
        message.Headers[HeaderNames.TaskName] = task.Name;
        message.Headers[HeaderNames.CurrentRound] = task.Token.Round;
        Copy(HeaderNames.TaskId);
        Copy(HeaderNames.Workflow);
        Copy(HeaderNames.Cookies);
        if (publicProperties is not null) message.Headers[HeaderNames.PeerProperties] = publicProperties;
        if (code == ReturnCode.Ok && error is not null) message.Headers[HeaderNames.Error] = error.ToMap();
        return message.Freeze();

        void Copy(string name)
        {
            if (task.Data.Headers.TryGet(name, out var value)) message.Headers[name] = value;
        }
    }
}

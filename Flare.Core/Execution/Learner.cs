namespace Flare;

/// <summary>
/// The executor that most applications subclass (FLARE: Learner with its LearnerExecutor): it turns tasks into calls of
/// typed methods. Override what the site can do; a task whose method is not overridden is answered with
/// <see cref="ReturnCode.TaskUnsupported"/>, one of another name by <see cref="ExecuteOtherAsync"/>.
/// </summary>
public abstract class Learner : Executor
{
    private bool _initialized;

    /// <summary>Called once, before the first task.</summary>
    protected virtual ValueTask InitializeAsync(FLContext context, CancellationToken abort) => ValueTask.CompletedTask;

    /// <summary>
    /// Trains the model and returns <see cref="Dxo.WeightDiff"/> or <see cref="Dxo.Weights"/> with
    /// <see cref="MetaKey.NumStepsCurrentRound"/>, the steps of all local epochs together.
    /// </summary>
    /// <param name="model">The global model; frozen, and valid during the call.</param>
    /// <param name="context">The task's context.</param>
    /// <param name="abort">Cancelled when the task is aborted.</param>
    protected virtual ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
        throw Unsupported(TaskNames.Train);

    /// <summary>
    /// Measures the model on the site's own data and returns <see cref="Dxo.Metrics"/>;
    /// <see cref="MetaKey.NumStepsCurrentRound"/>, if set, is the weight of the site's metrics: 0 where nothing was
    /// measured, 1 unless set.
    /// </summary>
    /// <param name="model">The model to measure; frozen, and valid during the call.</param>
    /// <param name="context">The task's context.</param>
    /// <param name="abort">Cancelled when the task is aborted.</param>
    protected virtual ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort) =>
        throw Unsupported(TaskNames.Validate);

    /// <summary>
    /// Returns the site's own best model, as <see cref="Dxo.Weights"/> (FLARE: get_model_for_validation).
    /// </summary>
    protected virtual ValueTask<Dxo> GetModelAsync(FLContext context, CancellationToken abort) =>
        throw Unsupported(TaskNames.SubmitModel);

    /// <summary>Called once when the run is over, if <see cref="InitializeAsync"/> was.</summary>
    protected virtual ValueTask FinalizeAsync(FLContext context) => ValueTask.CompletedTask;

    /// <summary>
    /// Answers a task of the application's own: one that is not <see cref="TaskNames.Train"/>,
    /// <see cref="TaskNames.Validate"/> or <see cref="TaskNames.SubmitModel"/>. Unless overridden,
    /// <see cref="ReturnCode.TaskUnknown"/> with the tasks that this learner answers; call the base for a task that the
    /// override does not know.
    /// </summary>
    /// <param name="taskName">The task.</param>
    /// <param name="input">The task's data, frozen; <see cref="Dxo.From"/> reads it where it is a DXO.</param>
    /// <param name="context">The task's context.</param>
    /// <param name="abort">Cancelled when the task is aborted.</param>
    protected virtual ValueTask<Shareable> ExecuteOtherAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort) =>
        ValueTask.FromResult(Shareable.Reply(ReturnCode.TaskUnknown, $"A {GetType().Name} answers '{TaskNames.Train}', "
            + $"'{TaskNames.Validate}' and '{TaskNames.SubmitModel}', not '{taskName}'"
            + $"{DidYouMean.Suggest(taskName, [TaskNames.Train, TaskNames.Validate, TaskNames.SubmitModel])}."));

    /// <inheritdoc/>
    public sealed override async ValueTask<Shareable> ExecuteAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (!_initialized)
        {
            await InitializeAsync(context, abort);
            _initialized = true;
        }
        try
        {
            return taskName switch
            {
                TaskNames.Train => await ValidateAndTrainAsync(Dxo.From(input), input, context, abort),
                TaskNames.Validate =>
                ToMessage(await ValidateAsync(Dxo.From(input), context, abort), nameof(ValidateAsync)),
                TaskNames.SubmitModel => ToMessage(await GetModelAsync(context, abort), nameof(GetModelAsync)),
                _ => await ExecuteOtherAsync(taskName, input, context, abort) ?? Nothing(nameof(ExecuteOtherAsync)),
            };
        }
        catch (UnsupportedTaskException e)
        {
            return Shareable.Reply(ReturnCode.TaskUnsupported, e.Message);
        }
    }

    /// <inheritdoc/>
    protected internal sealed override async ValueTask EndRunAsync(FLContext context)
    {
        if (!_initialized) return;
        _initialized = false;
        await FinalizeAsync(context);
    }

    private async ValueTask<Shareable> ValidateAndTrainAsync(
        Dxo model, Shareable input, FLContext context, CancellationToken abort)
    {
        Dxo? measured = null;
        if (!input.Headers.TryGet(HeaderNames.ValidateFirst, out var validate) || validate.AsBoolean())
        {
            try
            {
                measured = await ValidateAsync(
                    model.TryGetSet(Dxo.ModelSet, out var set) ? set : model, context, abort);
                if (measured is null) return Nothing(nameof(ValidateAsync));
            }
            catch (UnsupportedTaskException)
            {
                // A learner that cannot validate trains all the same; its contribution has no initial metrics.
            }
        }
        var result = await TrainAsync(model, context, abort);
        if (result is null || measured is null) return ToMessage(result, nameof(TrainAsync));
        result = result.WithMeta(MetaKey.InitialMetrics, measured.Values);
        if (measured.TryGetMeta(MetaKey.NumStepsCurrentRound, out var weight))
            result = result.WithMeta(MetaKey.InitialMetricsWeight, weight);
        return ToMessage(result, nameof(TrainAsync));
    }

    private Shareable ToMessage(Dxo? result, string method) => result?.ToShareable() ?? Nothing(method);

    private Shareable Nothing(string method) => Shareable.Reply(ReturnCode.EmptyResult,
        $"{GetType().Name}.{method} returned null. Return the task's data, or throw where there is none.");

    private UnsupportedTaskException Unsupported(string task) =>
        new($"{GetType().Name} does not support the task '{task}': override the method that answers it.");

    private sealed class UnsupportedTaskException(string message) : Exception(message);
}

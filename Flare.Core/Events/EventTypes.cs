using System.Collections.Frozen;

namespace Flare;

/// <summary>
/// The events that the runtime and the workflows fire (FLARE: EventType, with FLARE's own names as values).
/// </summary>
public static class EventTypes
{
    /// <summary>A site is about to start the run.</summary>
    public const string AboutToStartRun = "_about_to_start_run";
    /// <summary>The run starts, at the server or at a site.</summary>
    public const string StartRun = "_start_run";
    /// <summary>The run is about to end.</summary>
    public const string AboutToEndRun = "_about_to_end_run";
    /// <summary>The run has ended; the last event.</summary>
    public const string EndRun = "_end_run";
    /// <summary>A workflow starts (server).</summary>
    public const string StartWorkflow = "_start_workflow";
    /// <summary>A workflow has ended, in whatever way (server).</summary>
    public const string EndWorkflow = "_end_workflow";
    /// <summary>A running task is told to stop (site).</summary>
    public const string AbortTask = "_abort_task";
    /// <summary>A task failed for good (site).</summary>
    public const string FatalTaskError = "_fatal_task_error";
    /// <summary>A component stopped the job.</summary>
    public const string FatalSystemError = "_fatal_system_error";
    /// <summary>Task data is about to pass the filters (server out, then site in).</summary>
    public const string BeforeTaskDataFilter = "_before_task_data_filter";
    /// <summary>Task data has passed the filters.</summary>
    public const string AfterTaskDataFilter = "_after_task_data_filter";
    /// <summary>The executor is about to get a task (site).</summary>
    public const string BeforeTaskExecution = "_before_task_execution";
    /// <summary>The executor has answered (site).</summary>
    public const string AfterTaskExecution = "_after_task_execution";
    /// <summary>A result is about to pass the filters (site out, then server in).</summary>
    public const string BeforeTaskResultFilter = "_before_task_result_filter";
    /// <summary>A result has passed the filters.</summary>
    public const string AfterTaskResultFilter = "_after_task_result_filter";
    /// <summary>A result is about to be sent (site).</summary>
    public const string BeforeSendTaskResult = "_before_send_task_result";
    /// <summary>The server has confirmed a result (site).</summary>
    public const string AfterSendTaskResult = "_after_send_task_result";
    /// <summary>A result is about to be admitted (server).</summary>
    public const string BeforeProcessSubmission = "_before_process_submission";
    /// <summary>A result was admitted or refused (server).</summary>
    public const string AfterProcessSubmission = "_after_process_submission";
    /// <summary>The first global model is there.</summary>
    public const string InitialModelLoaded = "_initial_model_loaded";
    /// <summary>The first round is about to start.</summary>
    public const string TrainingStarted = "_training_started";
    /// <summary>A round starts.</summary>
    public const string RoundStarted = "_round_started";
    /// <summary>A round is committed.</summary>
    public const string RoundDone = "_round_done";
    /// <summary>A site is about to be sent a task of the round.</summary>
    public const string BeforeTrainTask = "_before_train_task";
    /// <summary>The aggregator is about to get a contribution.</summary>
    public const string BeforeContributionAccept = "_before_contribution_accept";
    /// <summary>The aggregator has got a contribution.</summary>
    public const string AfterContributionAccept = "_after_contribution_accept";
    /// <summary>The round's contributions are about to become an aggregate.</summary>
    public const string BeforeAggregation = "_before_aggregation";
    /// <summary>The aggregate is there.</summary>
    public const string AfterAggregation = "_after_aggregation";
    /// <summary>The aggregate is about to be applied to the global model.</summary>
    public const string BeforeShareableToLearnable = "_before_shareable_to_learnable";
    /// <summary>The new global model is there.</summary>
    public const string AfterShareableToLearnable = "_after_shareable_to_learnable";
    /// <summary>The new global model is about to be made durable.</summary>
    public const string BeforeLearnablePersist = "_before_learnable_persist";
    /// <summary>The new global model is durable.</summary>
    public const string AfterLearnablePersist = "_after_learnable_persist";
    /// <summary>The global model is the best so far.</summary>
    public const string GlobalBestModelAvailable = "_global_best_model_available";

    /// <summary>
    /// How a site's panic travels to the server, which then fires <see cref="FatalSystemError"/> by itself.
    /// </summary>
    internal const string SitePanic = "_site_panic";

    private static readonly FrozenSet<string> Runtimes = FrozenSet.Create(
        StringComparer.Ordinal,
        AboutToStartRun, StartRun, AboutToEndRun, EndRun, StartWorkflow, EndWorkflow, AbortTask, FatalTaskError,
        FatalSystemError, SitePanic, BeforeTaskDataFilter, AfterTaskDataFilter, BeforeTaskExecution, AfterTaskExecution,
        BeforeTaskResultFilter, AfterTaskResultFilter, BeforeSendTaskResult, AfterSendTaskResult,
        BeforeProcessSubmission, AfterProcessSubmission, InitialModelLoaded, TrainingStarted, RoundStarted,
        RoundDone, BeforeTrainTask, BeforeContributionAccept, AfterContributionAccept, BeforeAggregation,
        AfterAggregation, BeforeShareableToLearnable, AfterShareableToLearnable, BeforeLearnablePersist,
        AfterLearnablePersist, GlobalBestModelAvailable);

    /// <summary>
    /// Whether the runtime or a workflow fires the event, and nobody else may have the other side take it for theirs.
    /// </summary>
    internal static bool IsRuntimes(string eventType) => Runtimes.Contains(eventType);
}

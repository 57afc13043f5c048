using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>Everything that the runtime logs, with stable event ids.</summary>
internal static partial class Log
{
    [LoggerMessage(2, LogLevel.Error, "The job's loop caught an exception that nobody awaited")]
    public static partial void LoopException(ILogger logger, Exception exception);

    [LoggerMessage(3, LogLevel.Warning, "{Site} failed task {Task} of round {Round}: {Reason}")]
    public static partial void SiteFailed(ILogger logger, string site, string task, int round, string reason);

    [LoggerMessage(4, LogLevel.Warning,
        "The contribution of {Site} to task {Task} of round {Round} was refused: {Reason}")]
    public static partial void ContributionRefused(ILogger logger, string site, string task, int round, string reason);

    [LoggerMessage(5, LogLevel.Warning,
        "{Site}: the executor did not stop within {Seconds} s of being told to; it is abandoned. Pass the abort token "
            + "on to everything it awaits and look at it in every loop")]
    public static partial void ExecutorAbandoned(ILogger logger, string site, double seconds);

    [LoggerMessage(6, LogLevel.Information, 
        "Round {Round} committed: {Accepted} of {Targets} {Sites}, {Seconds:F3} s")]
    public static partial void RoundCommitted(
        ILogger logger, int round, int accepted, int targets, string sites, double seconds);

    [LoggerMessage(7, LogLevel.Information, "{Site} joined (incarnation {Incarnation})")]
    public static partial void SiteJoined(ILogger logger, string site, long incarnation);

    [LoggerMessage(82, LogLevel.Warning,
        "{Site} joined, which the job does not name{Hint}: it gets tasks like the others. Name it by AddSites, or let "
        + "the named sites alone in by CloseRoster")]
    public static partial void SiteNotNamed(ILogger logger, string site, string hint);

    [LoggerMessage(8, LogLevel.Warning, "{Site} was not heard of for {Seconds} s and counts as lost")]
    public static partial void SiteLost(ILogger logger, string site, double seconds);

    [LoggerMessage(9, LogLevel.Information,
        "Job {Job} starts: epoch {Epoch}, seed {Seed}, {Count} {Sites}, upload permits {Permits}")]
    public static partial void JobStarts(
        ILogger logger, string job, int epoch, ulong seed, int count, string sites, int permits);

    [LoggerMessage(10, LogLevel.Information,
        "Job {Job} resumes after round {Round} of {Workflow}, workflow {Index} of {Workflows}")]
    public static partial void JobResumes(
        ILogger logger, string job, int round, string workflow, int index, int workflows);

    [LoggerMessage(21, LogLevel.Information,
        "Job {Job} is complete, with {Count} {Rounds}: nothing will be trained, what it has is only told again")]
    public static partial void JobIsComplete(ILogger logger, string job, int count, string rounds);

    [LoggerMessage(22, LogLevel.Warning,
        "Job {Job} waits since {Seconds:F0} s for its journal's storage "
            + "to answer: {What}. Check the disk or the network")]
    public static partial void StorageIsSilent(ILogger logger, string job, double seconds, string what);

    [LoggerMessage(EventId = 23, Message =
        "Round {Round} of job {Job} is ready since {Seconds:F0} s and is committed once whoever reads the rounds "
            + "asks for the next one. Come back to the stream sooner, leave it, or dispose of the federation")]
    public static partial void ReaderIsAway(ILogger logger, LogLevel level, int round, string job, double seconds);

    [LoggerMessage(24, LogLevel.Warning,
        "The workflow {Workflow} ended without having committed a round: the global model is what it was before. " +
        "A workflow that means to change it calls CommitAsync")]
    public static partial void NothingCommitted(ILogger logger, string workflow);

    [LoggerMessage(25, LogLevel.Information, "Job {Job} is done: {Numbers}")]
    public static partial void JobDone(ILogger logger, string job, string numbers);

    [LoggerMessage(26, LogLevel.Information, "Job {Job} was aborted: {Numbers}")]
    public static partial void JobAborted(ILogger logger, string job, string numbers);

    [LoggerMessage(27, LogLevel.Error, "Job {Job} failed: {Numbers}. {Reason}")]
    public static partial void JobFailed(ILogger logger, string job, string numbers, string reason);

    [LoggerMessage(28, LogLevel.Warning, "{Warning}")]
    public static partial void ResumeWarning(ILogger logger, string warning);

    [LoggerMessage(29, LogLevel.Warning, "{Warning}")]
    public static partial void AnswersUnread(ILogger logger, string warning);

    [LoggerMessage(30, LogLevel.Warning,
        "Nobody reads the reports of job {Job}: the newest {Kept} are kept, and the older ones are dropped from now "
            + "on. Read JobServer.Reports, or look at JobServer.ReportsDropped")]
    public static partial void ReportsDropped(ILogger logger, string job, int kept);

    [LoggerMessage(11, LogLevel.Warning, "{Count} {Sites} did not confirm the end of job {Job} within {Seconds} s")]
    public static partial void DrainIncomplete(
        ILogger logger, int count, string sites, string job, double seconds);

    [LoggerMessage(12, LogLevel.Warning, "{Warning}")]
    public static partial void JournalWarning(ILogger logger, string warning);

    [LoggerMessage(13, LogLevel.Error,
        "{Site}: what the executor registered with the abort token of "
            + "task {Task} threw; the task is aborted all the same")]
    public static partial void AbortHandlerFailed(ILogger logger, Exception exception, string site, string task);

    [LoggerMessage(14, LogLevel.Warning,
        "{Peer}: the federated event {EventType} is dropped, because {Limit} wait to be sent or confirmed "
            + "({Dropped} dropped so far). Fire fewer, or see what holds up the other side's handlers")]
    public static partial void EventDropped(ILogger logger, string peer, string eventType, int limit, long dropped);

    [LoggerMessage(15, LogLevel.Error,
        "The workflow {Workflow} did not end within {Seconds} s of being told to; it is abandoned. Pass the abort "
            + "token on to everything it awaits and look at it in every loop")]
    public static partial void WorkflowAbandoned(ILogger logger, string workflow, double seconds);

    [LoggerMessage(EventId = 18, Message =
        "Task {Task} of round {Round} has {Answers} of {Targets} {AnswersWord} and waits since {Seconds} s for "
        + "{Sites}. GoOnWithoutAsync (of the Federation, or the ServedJob) goes on without a site")]
    public static partial void TaskWaits(
        ILogger logger, LogLevel level, string task, int round, int answers, int targets, string answersWord,
        long seconds, string sites);

    [LoggerMessage(16, LogLevel.Information,
        "{Site}: the server did not use the answer to task {Task} of round {Round}: {Reason}")]
    public static partial void AnswerRefused(ILogger logger, string site, string task, int round, string reason);

    [LoggerMessage(17, LogLevel.Information, "{Site} is told to stop task {Task} of round {Round}: {Reason}")]
    public static partial void TaskCancelled(ILogger logger, string site, string task, int round, string reason);

    [LoggerMessage(40, LogLevel.Error,
        "{Site}: task {Task} of round {Round} ended with {Code} (reference {Reference})")]
    public static partial void TaskThrew(
        ILogger logger, Exception exception, string site, string task, int round, ReturnCode code, string reference);

    [LoggerMessage(41, LogLevel.Error,
        "{Site}: the executor answered task {Task} of round {Round} with an error (reference {Reference}): {Error}")]
    public static partial void TaskAnsweredError(
        ILogger logger, string site, string task, int round, string reference, string error);

    [LoggerMessage(42, LogLevel.Error,
        "{Site}: the site's policy keeps the answer to task {Task} of round {Round} back: {Refusal}")]
    public static partial void PolicyRefused(ILogger logger, string site, string task, int round, string refusal);

    [LoggerMessage(43, LogLevel.Error, "{Filter}. Nothing was done of what the filter is for")]
    public static partial void FilterNeverCalled(ILogger logger, string filter);

    [LoggerMessage(44, LogLevel.Warning, "{Name}")]
    public static partial void TaskNameUnused(ILogger logger, string name);

    [LoggerMessage(45, LogLevel.Error, "{Site}: a component stopped the job (reference {Reference}): {Reason}")]
    public static partial void SitePanicked(ILogger logger, string site, string reference, string reason);

    [LoggerMessage(46, LogLevel.Warning, "{Site}: the site's policy keeps the event {EventType} back")]
    public static partial void EventKeptBack(ILogger logger, string site, string eventType);

    [LoggerMessage(47, LogLevel.Error, "{Site}: what its factories made could not be disposed of")]
    public static partial void DisposalFailed(ILogger logger, Exception exception, string site);

    [LoggerMessage(48, LogLevel.Warning, "{Site} (incarnation {Incarnation}) may not join: {Reason}")]
    public static partial void SiteRefused(ILogger logger, string site, long incarnation, string reason);

    [LoggerMessage(49, LogLevel.Error, "{Message}")]
    public static partial void RefusedByServer(ILogger logger, string message);

    [LoggerMessage(61, LogLevel.Warning, "A message of {Peer} is not read: {Reason}")]
    public static partial void MalformedMessage(ILogger logger, string peer, string reason);

    [LoggerMessage(62, LogLevel.Warning, "{Site} is cut off. It keeps its tasks for {Seconds} s")]
    public static partial void SiteCutOff(ILogger logger, string site, double seconds);

    [LoggerMessage(63, LogLevel.Error, "The event {EventType} cannot be sent, and is not: {Reason}")]
    public static partial void EventUnsendable(ILogger logger, string eventType, string reason);

    [LoggerMessage(64, LogLevel.Warning, "{Site}: the link to the server is lost; its tasks go on")]
    public static partial void ServerCutOff(ILogger logger, string site);

    [LoggerMessage(60, LogLevel.Error,
        "{Site} refuses tensors: the server named them {Sha256}, and what came is {Found}. The task is answered so.")]
    public static partial void TensorsRefused(ILogger logger, string site, string sha256, string found);

    [LoggerMessage(65, LogLevel.Warning, "{Site} has lost its state {Number}, which {Place} does not have: it begins "
        + "with an empty one. In memory a state ends with its process; UseSiteState(folder) keeps it.")]
    public static partial void StateLost(ILogger logger, string site, long number, string place);

    [LoggerMessage(66, LogLevel.Warning, "{Site}: the state {File}, which nobody needs any more, cannot be deleted")]
    public static partial void StateNotDropped(ILogger logger, Exception exception, string site, string file);

    [LoggerMessage(67, LogLevel.Error, "{Site} ends, because of what was thrown outside of any task. Ended fails with "
        + "it; the server hears that the site has stopped its tasks")]
    public static partial void SiteFaulted(ILogger logger, Exception exception, string site);

    [LoggerMessage(68, LogLevel.Error, "The links of the federation cannot be closed; what they hold may stay open")]
    public static partial void LinksNotClosed(ILogger logger, Exception exception);

    [LoggerMessage(72, LogLevel.Information, "{Site} pauses, and begins no task: {Reason}")]
    public static partial void SitePauses(ILogger logger, string site, string reason);

    [LoggerMessage(73, LogLevel.Information, "{Site} goes on")]
    public static partial void SiteGoesOn(ILogger logger, string site);

    [LoggerMessage(74, LogLevel.Warning, "{Site} is paused by its operator, and begins no task: {Reason}")]
    public static partial void SiteIsPaused(ILogger logger, string site, string reason);

    [LoggerMessage(75, LogLevel.Information, "{Site} is paused no longer")]
    public static partial void SiteWorksAgain(ILogger logger, string site);

    [LoggerMessage(76, LogLevel.Warning, "{Site} has left. Its tasks are kept for it for {Seconds} s: {Reason}")]
    public static partial void SiteHasLeft(ILogger logger, string site, double seconds, string reason);

    [LoggerMessage(77, LogLevel.Warning, "{Site} takes no part in the job: {Reason}")]
    public static partial void SiteDeclines(ILogger logger, string site, string reason);

    [LoggerMessage(78, LogLevel.Warning, "{Site} asks its operator to approve, and waits: {Job}")]
    public static partial void AsksForApproval(ILogger logger, string site, string job);

    [LoggerMessage(79, LogLevel.Error, "{Site}: its operator could not be asked to approve the job")]
    public static partial void ApprovalFailed(ILogger logger, Exception exception, string site);

    [LoggerMessage(80, LogLevel.Warning, "{Site}: approvals cannot be read or kept, and are asked for again")]
    public static partial void ApprovalNotKept(ILogger logger, Exception exception, string site);

    [LoggerMessage(81, LogLevel.Warning, "{Message}")]
    public static partial void JobDeclined(ILogger logger, string message);

    [LoggerMessage(70, LogLevel.Information, "The server of job {Job} runs with: {Options}")]
    public static partial void ServerOptions(ILogger logger, string job, string options);

    [LoggerMessage(EventId = 71, Message = "{Site} runs with: {Options}")]
    public static partial void SiteOptions(ILogger logger, LogLevel level, string site, string options);
}

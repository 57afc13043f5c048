using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>
/// Carries tasks to their sites and tells when they are over. Every change of an assignment passes through
/// <see cref="End"/>, after which its task is judged once: nothing here calls back into itself through others.
/// </summary>
internal sealed partial class Dispatcher(
    JobLife life, SiteRegistry sites, Admission admission, RoundCommitter rounds, UnreadAnswers unread)
{
    /// <summary>How the reason begins where a site did not take its task in time.</summary>
    public const string NotTaken = "the site did not take the task";

    private readonly List<TaskRun> _running = [];
    private readonly Downloads _downloads = new(life);

    // Who uploads: a permit is held from its grant until the controller has had the contribution, or the assignment has
    // ended without.
    private readonly FairGate<TaskRun, Assignment> _gate = new(
        life.Limits.MaxConcurrentUploads, life.Limits.UploadBudgetBytes, a => a.ResultBytes,
        a => life.Say(a.Session, new UploadPermit(a.Token, a.ResultBytes)), a => a.Run,
        a => a.Contribution is not null);
    private long _lastAssignment;
    private long _lastTask;

    /// <summary>Sends a task to its targets, frozen now.</summary>
    public TaskRun Start(
        FlareTask task, IReadOnlyList<string> targets, int minimum, TimeSpan grace, TimeSpan? timeout, string workflow,
        bool standing = false, bool newcomers = false)
    {
        RequireReadable(task, workflow);
        var run = new TaskRun(task, $"{task.Name}-{life.Epoch}-{++_lastTask}", workflow, minimum, grace)
        {
            IsStanding = standing, IncludesNewcomers = newcomers, StartedAt = life.Time.GetTimestamp(),
        };
        if (timeout is { } time)
            run.Deadline = life.After(
                time, () => Complete(run, CompletionStatus.Timeout, $"the task's time of {time} ran out"));
        if (!standing) RemindOf(run);
        _running.Add(run);
        unread.Add(run);
        if (task.Round > 0) rounds.Begin(run);
        foreach (var target in targets) Assign(run, sites[target]);
        if (life.Abort.IsCancellationRequested) Complete(run, CompletionStatus.Aborted, "the job was aborted");
        else Judge(run);
        return run;
    }

    /// <summary>Ends a task: sites that still work on it are told to stop, and its stream of answers ends.</summary>
    public void Complete(TaskRun run, CompletionStatus status, string reason)
    {
        if (run.IsComplete) return;
        run.Complete(status);
        var end = status is CompletionStatus.Ok or CompletionStatus.Timeout ? SiteStatus.TimedOut
            : SiteStatus.Cancelled;
        if (run.HasPending)
            foreach (var assignment in run.Assignments)
                if (!assignment.IsFinal) Withdraw(assignment, end, reason + NotBegun(assignment, end, reason));
        run.EndStream();
        _running.Remove(run);
    }

    // What kept a site from beginning is no fault of its executor's, and nothing that more time at the site would cure.
    private string NotBegun(Assignment assignment, SiteStatus end, string reason)
    {
        if (end != SiteStatus.TimedOut) return "";
        if (life.Options.Slots is { } slots && slots.IsWaiting(assignment.Run.Id, assignment.Site))
            return $", before its executor began: it waited for one of the slots for executors, and {slots.Holders}. "
                + $"See why those do not end, or give more slots ({nameof(FederationBuilder.UseParallelism)})";
        if (assignment.Session is { Connected: true, Pause: not null })
            return $", while the site's operator had paused it: {assignment.Session.Shown}";
        if (assignment.State is not (AssignmentState.Preparing or AssignmentState.Offered)) return "";
        if (assignment.Session.Left is not null)
            return $", and the site was not there: {assignment.Session.Shown}";
        if (!assignment.Session.Connected) return ", and the site was not there: check its process and its network";
        return reason.StartsWith(NotTaken, StringComparison.Ordinal) ? "" : ", before the site took the task";
    }

    /// <summary>Ends all tasks that are on their way.</summary>
    public void CompleteAll(CompletionStatus status, string reason)
    {
        foreach (var run in _running.ToArray()) Complete(run, status, reason);
    }

    /// <summary>The workflow reads the answers to a task.</summary>
    public void OnReading(TaskRun run) => unread.OnReading(run);

    /// <summary>Answers that nobody will read hold permits that others need.</summary>
    public void ReleasePermits() => _gate.ReleaseAll();

    /// <summary>An operator lets the tasks at hand go on without some sites.</summary>
    /// <returns>How many assignments were given up.</returns>
    public int GoOnWithout(IReadOnlyCollection<string> without)
    {
        var count = 0;
        foreach (var run in _running.ToArray())
        {
            if (run.IsStanding) continue;
            var given = run.Assignments.Where(a => !a.IsFinal && without.Contains(a.Site)).ToArray();
            if (given.Length == 0) continue;
            count += given.Length;
            run.LowerMinimum(given.Length);
            foreach (var assignment in given)
                Withdraw(assignment, SiteStatus.TimedOut, "an operator let the round go on without the site");
            Judge(run);
        }
        return count;
    }

    /// <summary>A site joined: standing tasks are for it, too.</summary>
    public void OnNewcomer(SiteSession session)
    {
        foreach (var run in _running.ToArray())
            if (run.IsStanding && run.IncludesNewcomers) Assign(run, session);
    }

    /// <summary>A site has started again: what its earlier start held is lost; a result that is here is not.</summary>
    public void OnRestarted(SiteSession session)
    {
        foreach (var assignment in session.Open.Values.ToArray())
        {
            if (assignment.State != AssignmentState.Arrived) _gate.Release(assignment);
            _downloads.Release(assignment);
            assignment.Drop();
            Say(assignment);
        }
    }

    /// <summary>
    /// A site's session is lost: what was on its way may not have arrived, and its places are for others.
    /// </summary>
    public void OnCutOff(SiteSession session)
    {
        foreach (var assignment in session.Open.Values)
        {
            if (assignment.State != AssignmentState.Arrived) _gate.Release(assignment);
            _downloads.Release(assignment);
        }
    }

    /// <summary>A site is there again, with all that it held: it is told what it may not have heard.</summary>
    public void OnResumed(SiteSession session)
    {
        foreach (var assignment in session.Open.Values.ToArray()) Say(assignment);
    }

    /// <summary>A site counts as lost, and with it what it holds.</summary>
    public void OnLost(SiteSession session) => OnLost(
        session, $"the site was not heard of for {life.Limits.SiteLease}; check its process and its network");

    /// <summary>A site will bring no answers, and why.</summary>
    public void OnLost(SiteSession session, string reason)
    {
        foreach (var assignment in session.Open.Values.ToArray())
        {
            if (assignment.IsFinal) Close(assignment);
            else if (assignment.IsOpen)
            {
                Stop(assignment, SiteStatus.Lost, reason, null);
                Judge(assignment.Run);
            }
        }
    }

    /// <summary>A site takes no part in the job: it is not waited for, now or later.</summary>
    public void OnDeclined(SiteSession session, string reason)
    {
        foreach (var assignment in session.Open.Values.ToArray())
        {
            if (!assignment.IsFinal) End(assignment, SiteStatus.Failed, TakesNoPart(reason), null);
            Close(assignment);
            Judge(assignment.Run);
        }
    }

    private static string TakesNoPart(string reason) => $"the site takes no part in the job: {reason}";

    /// <summary>On a link that loses messages: says again what is due.</summary>
    public void Repeat(SiteSession session)
    {
        foreach (var assignment in session.Open.Values.ToArray())
        {
            var isLarge = assignment.State == AssignmentState.Offered
                && assignment.Message!.ContentBytes() > life.Limits.SmallResultBytes;
            // Where the word was lost that a model has arrived, its place would stay taken while the site trains: the
            // site answers a repeated offer with what it has.
            if (assignment.State == AssignmentState.Taken)
            {
                if (_downloads.AreOnTheirWay(assignment) && assignment.Repetition.Tick(isLarge: true))
                    Offer(assignment);
                continue;
            }
            if (assignment.Repetition.Tick(isLarge)) Say(assignment);
        }
    }

    // An aggregator that takes ciphertext has said so to all sites by now, in a public property: others would read it
    // as values.
    private void RequireReadable(FlareTask task, string workflow)
    {
        foreach (var (_, value) in task.Data.Body)
        {
            if (value.Kind != FlareValueKind.Tensors || !EncryptedForm.Is(value.AsTensors().Layout)) continue;
            if (life.Side.Properties.Public()?.TryGet(EncryptedForm.TensorName, out var _) == true) return;
            throw new FlareException(
                ErrorIds.PlaintextNeeded,
                $"The workflow {workflow} reads values, and the model of its task '{task.Name}' holds ciphertext "
                    + $"(tensor '{EncryptedForm.TensorName}'), which it would make useless: open the model first, by "
                    + "HomomorphicEncryption.Decrypt with the policy and key that it is under, or go on encrypted, "
                    + "by UseHomomorphicEncryption with these.");
        }
    }

    private void Assign(TaskRun run, SiteSession session)
    {
        var token = new TaskToken(life.Options.JobId, life.Epoch, run.Task.Round, ++_lastAssignment);
        var assignment = new Assignment(run, session, token, life.Time.GetTimestamp());
        run.Add(assignment);
        if (session.Declined is { } declined)
        {
            End(assignment, SiteStatus.Failed, TakesNoPart(declined), null);
            assignment.Close();
            return;
        }
        session.Open.Add(token.Number, assignment);
        // A job that is over sends nothing that it would only call back.
        if (!life.Abort.IsCancellationRequested) _ = life.Detach(PrepareAsync(assignment));
    }

    private async Task PrepareAsync(Assignment assignment)
    {
        var task = assignment.Task;
        var context = new FLContext(life.Side, assignment.Site, task.Name, assignment.Token);
        using var scope = context.Scoped.Enter();
        var message = task.Data;
        context.Set(ContextKeys.Message, message);
        if (task.Name == TaskNames.Train) life.Events.Announce(EventTypes.BeforeTrainTask, context);
        life.Events.Announce(EventTypes.BeforeTaskDataFilter, context);
        var filters = life.Options.FiltersOut;
        if (filters.AppliesTo(task.Name))
        {
            try
            {
                message = await life.Options.Compute.RunAsync(
                    () => filters.ProcessAsync(task.Name, task.Data, context, life.AbortOfStrangers));
                context.Set(ContextKeys.Message, message.Freeze());
            }
            catch (Exception e)
            {
                // Fails closed: what a filter did not pass is not sent, and the report says so.
                Fail("a filter failed on the task's data, and nothing was sent", e);
                return;
            }
        }
        IReadOnlyList<Download> contents = [];
        if (_downloads.AreIn(message)) (message, contents) = await _downloads.TakeOutAsync(message, assignment);
        if (assignment.IsFinal || life.IsDead)
        {
            Close(assignment);
            return;
        }
        life.Events.Announce(EventTypes.AfterTaskDataFilter, context);
        assignment.Offer(Stamp(message, assignment, context), contents);
        var offer = life.Envelope(assignment.Session, OfferOf(assignment));
        try
        {
            if (!life.Options.Link.SharesMemory) offer.Encode();
        }
        catch (FlareException e)
        {
            Fail("the task's data cannot be sent", e);
            return;
        }
        if (assignment.Session.Connected) life.Say(assignment.Session, offer);

        void Fail(string what, Exception e)
        {
            if (!assignment.IsFinal)
                End(assignment, SiteStatus.Failed, $"{what}: {e.Message}", Admission.ErrorOf(e, assignment));
            Close(assignment);
            Judge(assignment.Run);
        }
    }

    private static Shareable Stamp(Shareable message, Assignment assignment, FLContext context)
    {
        message = message.WithOwnHeaders();
        message.Headers[HeaderNames.TaskName] = assignment.Task.Name;
        message.Headers[HeaderNames.TaskId] = assignment.Run.Id;
        message.Headers[HeaderNames.Workflow] = assignment.Run.Workflow;
        message.Headers[HeaderNames.CurrentRound] = assignment.Task.Round;
        if (context.PublicProperties() is { } properties) message.Headers[HeaderNames.PeerProperties] = properties;
        return message.Freeze();
    }

    /// <summary>Says what the assignment's state calls for; saying it again does no harm.</summary>
    private void Say(Assignment assignment)
    {
        switch (assignment.State)
        {
            // Once the site has it, the offer is not made again, unless the site starts again: it carries a model.
            case AssignmentState.Offered: Offer(assignment); break;
            case AssignmentState.Stopping:
                life.Say(assignment.Session, new TaskCancel(assignment.Token, assignment.Reason ?? ""));
                break;
        }
    }

    private void Offer(Assignment assignment) => life.Say(assignment.Session, OfferOf(assignment));

    private TaskOffer OfferOf(Assignment assignment) => new(
        assignment.Token, assignment.Task.Name, assignment.Message!,
        assignment.Contents.Count == 0 ? [] : [.. assignment.Contents.Select(c => c.Reference)],
        rounds.SiteStates.Of(assignment.Site));

    // Ends an assignment that has no result, and has its site told.
    private void Withdraw(Assignment assignment, SiteStatus status, string reason)
    {
        Stop(assignment, status, reason, null);
        if (assignment.State == AssignmentState.Stopping && assignment.Session.Connected) Say(assignment);
        else Close(assignment);
    }

    private void Stop(Assignment assignment, SiteStatus status, string reason, ErrorRecord? error)
    {
        End(assignment, status, reason, error);
        if (assignment.State is AssignmentState.Offered or AssignmentState.Taken) assignment.BeginStopping();
    }

    private void Close(Assignment assignment)
    {
        _downloads.Release(assignment);
        assignment.Session.Open.Remove(assignment.Token.Number);
        assignment.Close();
    }

    /// <summary>The one place where an assignment gets its end. The caller judges the task afterwards.</summary>
    private void End(Assignment assignment, SiteStatus status, string? reason, ErrorRecord? error)
    {
        var before = assignment.Status;
        assignment.End(status, reason, error, life.Time.GetTimestamp());
        assignment.Run.Count(before, status);
        _downloads.Release(assignment);
        // A result that is here keeps its permit until it has been looked at, and, if it was admitted, until the
        // controller has had it.
        if (assignment.State is not AssignmentState.Arrived && assignment.Contribution is null)
            _gate.Release(assignment);
        // After a failure only a little later, so that it cannot spin.
        if (before == SiteStatus.Pending && status != SiteStatus.Accepted
            && assignment.Run is { IsStanding: true, IsComplete: false })
            life.After(life.Limits.RetryInterval, () => AssignAgain(assignment));
        var task = assignment.Task;
        var logger = life.Logger.With(assignment.Site, task.Name, task.Round);
        if (status == SiteStatus.Rejected)
            Log.ContributionRefused(logger, assignment.Site, task.Name, task.Round, reason ?? "");
        else if (status == SiteStatus.Failed)
            Log.SiteFailed(logger, assignment.Site, task.Name, task.Round, reason ?? "");
    }

    // Looks whether the task is over by what was answered so far.
    private void Judge(TaskRun run)
    {
        if (run.IsComplete || run.IsStanding) return;
        if (!run.HasEnough)
        {
            // The workflow may have refused what had reached the minimum: its grace has not begun.
            run.GraceTimer?.Dispose();
            run.GraceTimer = null;
        }
        var status = run.Judge();
        if (status == CompletionStatus.Ok) Complete(run, status, "");
        else if (status != CompletionStatus.Running)
            Complete(run, status, "the minimum of responses cannot be reached any more");
        else if (run.HasEnough)
            run.GraceTimer ??= life.After(run.Grace, () => Complete(
                run, CompletionStatus.Ok, $"the minimum was reached and the grace period of {run.Grace} is over"));
    }

    // Nothing waits in silence: whom for, since when, and what an operator can do. Sites that are there are at work, as
    // training takes its time; one that is not there is what somebody has to see to.
    private void RemindOf(TaskRun run) => run.Reminder = life.After(life.Limits.ReminderInterval, () =>
    {
        Assignment[] missing = [.. run.Assignments.Where(a => !a.IsFinal).OrderBy(a => a.Session.IsAtWork)];
        if (missing.Length > 0) Remind(run, missing);
        RemindOf(run);
    });

    private void Remind(TaskRun run, Assignment[] missing)
    {
        var level = missing.All(a => a.Session.IsAtWork) ? LogLevel.Information : LogLevel.Warning;
        var logger = life.Logger.With(task: run.Task.Name, round: run.Task.Round);
        var answers = Readable.Noun(run.Assignments.Count, "answer");
        var seconds = (long)life.Time.GetElapsedTime(run.StartedAt).TotalSeconds;
        var names = PlainText.Some([.. missing.Select(a => a.Session.Shown)], 5);
        Log.TaskWaits(
            logger, level, run.Task.Name, run.Task.Round, run.AcceptedCount, run.Assignments.Count, answers, seconds,
            names);
    }
}

namespace Flare.Runtime;

public sealed partial class JobServer
{
    private long _lastAssignment;
    private long _lastTask;

    /// <summary>Sends a task to its targets, frozen now.</summary>
    internal TaskRun Start(FlareTask task, IReadOnlyList<string> targets, int minimum, TimeSpan grace, TimeSpan? timeout, string workflow, bool standing = false, bool newcomers = false)
    {
        RequireReadable(task, workflow);
        var run = new TaskRun(this, task, $"{task.Name}-{Epoch}-{++_lastTask}", minimum, grace, timeout, standing) { Workflow = workflow, IncludesNewcomers = newcomers };
        _running.Add(run);
        if (task.Round > 0) BeginRound(run);
        foreach (var target in targets) Assign(run, _sessions[target]);
        if (_abort.IsCancellationRequested) run.Complete(CompletionStatus.Aborted, "the job was aborted");
        else run.Evaluate();
        return run;
    }

    // An aggregator that takes ciphertext has said so to all sites by now, in a public property: others would read it as values.
    private void RequireReadable(FlareTask task, string workflow)
    {
        foreach (var (_, value) in task.Data.Body)
        {
            if (value.Kind != FlareValueKind.Tensors || !EncryptedForm.Is(value.AsTensors().Layout)) continue;
            if (_engine.PublicRunProperties()?.TryGet(EncryptedForm.TensorName, out var _) == true) return;
            throw new FlareException(
                ErrorIds.PlaintextNeeded,
                $"The workflow {workflow} reads values, and the model of its task '{task.Name}' holds ciphertext (tensor "
                    + $"'{EncryptedForm.TensorName}'), which it would make useless: open the model first, by HomomorphicEncryption.Decrypt "
                    + "with the policy and key that it is under, or go on encrypted, by UseHomomorphicEncryption with these.");
        }
    }

    internal Assignment Assign(TaskRun run, SiteSession session)
    {
        var token = new TaskToken(_options.JobId, Epoch, run.Task.Round, ++_lastAssignment);
        var assignment = new Assignment(run, session.Name, token, _options.Time.GetTimestamp());
        run.Add(assignment);
        session.Open.Add(token.Number, assignment);
        _ = Detach(PrepareAsync(session, assignment));
        return assignment;
    }

    internal void Finished(TaskRun run) => _running.Remove(run);

    /// <summary>Ends an assignment that has no result, and has its site told.</summary>
    internal void Withdraw(Assignment assignment, SiteStatus status, string reason)
    {
        EndAssignment(assignment, status, reason, null);
        var session = _sessions[assignment.Site];
        var siteMayHaveIt = assignment.Message is not null && session.Connected;
        if (siteMayHaveIt) Say(assignment.Site, new TaskCancel(assignment.Token, reason));
        else Close(session, assignment);
    }

    private void OnNewcomer(SiteSession session)
    {
        foreach (var run in _running.ToArray())
            if (run.IsStanding && run.IncludesNewcomers) Assign(run, session);
    }

    private async Task PrepareAsync(SiteSession session, Assignment assignment)
    {
        var run = assignment.Run;
        var context = new FLContext(_engine, session.Name, run.Task.Name, assignment.Token);
        var message = run.Task.Data;
        context.Set(ContextKeys.Message, message);
        if (run.Task.Name == TaskNames.Train) _engine.Announce(EventTypes.BeforeTrainTask, context);
        _engine.Announce(EventTypes.BeforeTaskDataFilter, context);
        if (_options.FiltersOut.AppliesTo(run.Task.Name))
        {
            try
            {
                message = await _options.Compute.RunAsync(() => _options.FiltersOut.ProcessAsync(run.Task.Name, run.Task.Data, context, _abort.Token));
                message.Freeze();
                context.Set(ContextKeys.Message, message);
            }
            catch (Exception e)
            {
                // Fails closed: what a filter did not pass is not sent, and the report says so.
                if (!assignment.IsFinal) EndAssignment(assignment, SiteStatus.Failed, $"a filter failed on the task's data, and nothing was sent: {e.Message}", ErrorRecord.From(e) with { Site = session.Name, Task = run.Task.Name, Round = run.Task.Round });
                Close(session, assignment);
                return;
            }
        }
        if (assignment.IsFinal || _dead)
        {
            Close(session, assignment);
            return;
        }
        _engine.Announce(EventTypes.AfterTaskDataFilter, context);
        message = message.WithOwnHeaders();
        message.Headers[HeaderNames.TaskName] = run.Task.Name;
        message.Headers[HeaderNames.TaskId] = run.Id;
        message.Headers[HeaderNames.Workflow] = run.Workflow;
        message.Headers[HeaderNames.CurrentRound] = run.Task.Round;
        if (context.PublicProperties() is { } properties) message.Headers[HeaderNames.PeerProperties] = properties;
        assignment.Message = message.Freeze();
        if (session.Connected) Repeat(assignment);
    }

    /// <summary>Says what the assignment's state calls for; saying it again does no harm.</summary>
    private void Repeat(Assignment assignment)
    {
        if (IsOffered(assignment)) Say(assignment.Site, new TaskOffer(assignment.Token, assignment.Task.Name, assignment.Message!));
        else if (assignment is { IsFinal: true, ResultArrived: false, Message: not null }) Say(assignment.Site, new TaskCancel(assignment.Token, assignment.Reason ?? ""));
    }

    // Once the site has it, the offer is not made again, unless the site starts again: it carries a model.
    private static bool IsOffered(Assignment assignment) => assignment is { IsFinal: false, Taken: false, ResultArrived: false, Message: not null };

    private async Task AdmitAsync(Assignment assignment, Shareable message)
    {
        var run = assignment.Run;
        var session = _sessions[assignment.Site];
        var context = new FLContext(_engine, assignment.Site, run.Task.Name, assignment.Token, message.PeerProperties);
        context.Set(ContextKeys.Message, message);
        Contribution? contribution = null;
        try
        {
            assignment.Code = message.ReturnCode;
            if (message.ReturnCode == ReturnCode.Ok)
            {
                _engine.Announce(EventTypes.BeforeTaskResultFilter, context);
                message = await FilterInAsync(run.Task, message, context);
                _engine.Announce(EventTypes.AfterTaskResultFilter, context);
            }
            _engine.Announce(EventTypes.BeforeProcessSubmission, context);
            if (message.ReturnCode != ReturnCode.Ok)
            {
                var error = message.Error is { } told ? told with { Site = assignment.Site, Task = run.Task.Name, Round = run.Task.Round } : null;
                EndAssignment(assignment, SiteStatus.Failed, error is null ? $"the site answered {message.ReturnCode}" : $"the site answered {message.ReturnCode}: {error.Type}: {error.Message}", error);
                return;
            }
            contribution = new Contribution(assignment.Site, assignment.Token, run.Task, message, reason => EndAssignment(assignment, SiteStatus.Rejected, reason, null));
            context.Set(ContextKeys.Contribution, contribution);
            var refusal = run.Task.Contract.CheckShape(contribution) ?? await FindNonFiniteAsync(run, contribution, assignment.Bytes);
            if (assignment.IsFinal)
            {
                _late++; // the task ended while the answer was looked at
                return;
            }
            (assignment.NumSteps, assignment.Metrics) = (contribution.NumSteps, contribution.Metrics);
            if (refusal is not null)
            {
                EndAssignment(assignment, SiteStatus.Rejected, refusal, null);
                return;
            }
            assignment.Contribution = contribution;
            run.Deliver(assignment);
            EndAssignment(assignment, SiteStatus.Accepted, null, null);
            _gate.OnDelivered();
        }
        catch (Exception e)
        {
            // A filter, a rule or the message itself is at fault: the answer is refused whole, and the reason reaches the operator.
            if (!assignment.IsFinal) EndAssignment(assignment, SiteStatus.Rejected, e.Message, ErrorRecord.From(e) with { Site = assignment.Site, Task = run.Task.Name, Round = run.Task.Round });
        }
        finally
        {
            if (assignment.Status != SiteStatus.Accepted)
            {
                contribution?.Dispose();
                _gate.Release(assignment);
            }
            Say(assignment.Site, new ResultReceipt(Epoch, assignment.Token, assignment.Reason));
            if (!_options.Link.IsReliable) session.RememberAnswer(assignment.Token.Number, assignment.Reason);
            Close(session, assignment);
            _engine.Announce(EventTypes.AfterProcessSubmission, context);
        }
    }

    private async ValueTask<Shareable> FilterInAsync(FlareTask task, Shareable message, FLContext context)
    {
        if (!_options.FiltersIn.AppliesTo(task.Name)) return message;
        try
        {
            message = (await _options.Compute.RunAsync(() => _options.FiltersIn.ProcessAsync(task.Name, message, context, _abort.Token))).Freeze();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new FlareException(ErrorIds.Filter, $"a filter of the server failed on the result, which is not used: {e.Message}", e);
        }
        context.Set(ContextKeys.Message, message);
        return message;
    }

    private async ValueTask<string?> FindNonFiniteAsync(TaskRun run, Contribution contribution, long bytes)
    {
        if (!run.Task.Contract.RequireFinite || bytes == 0) return null;
        var name = bytes <= _options.Limits.SmallResultBytes ? Find() : await _options.Compute.RunAsync(Find);
        return name is null ? null : $"its tensor '{name}' holds NaN or an infinity; look at the site's learning rate and data";

        string? Find() => contribution.Data is { } data ? data.FirstNonFiniteTensor() : contribution.Message.Body.FirstNonFiniteTensor();
    }

    /// <summary>The controller has had the contribution: its permit is free.</summary>
    internal void Consumed(Assignment assignment)
    {
        assignment.Contribution!.MoveOn();
        assignment.Contribution = null; // its tensors must not live as long as the round's report is kept
        _gate.Release(assignment);
    }

    private void EndAssignment(Assignment assignment, SiteStatus status, string? reason, ErrorRecord? error)
    {
        var first = !assignment.IsFinal;
        assignment.End(status, reason, error, _options.Time.GetTimestamp());
        // A result that is here keeps its permit until it has been looked at, and, if it was admitted, until the controller has had it.
        if (!assignment.ResultArrived && !_options.Faults.HasFlag(PlantedFaults.LeakedUploadPermit)) _gate.Release(assignment);
        // After a failure only a little later, so that it cannot spin.
        if (first && status != SiteStatus.Accepted && assignment.Run is { IsStanding: true, IsComplete: false }) After(_options.Limits.RetryInterval, () => AssignAgain(assignment));
        if (status == SiteStatus.Rejected) Log.ContributionRefused(_options.Logger, assignment.Site, assignment.Task.Name, assignment.Task.Round, reason ?? "");
        else if (status == SiteStatus.Failed) Log.SiteFailed(_options.Logger, assignment.Site, assignment.Task.Name, assignment.Task.Round, reason ?? "");
    }

    /// <summary>A standing task goes to its site again once its answer has been read: answers do not pile up at a slow workflow.</summary>
    internal void AssignAgain(Assignment assignment)
    {
        if (assignment.Run is { IsStanding: true, IsComplete: false } run) Assign(run, _sessions[assignment.Site]);
    }

    private static void Close(SiteSession session, Assignment assignment) => session.Open.Remove(assignment.Token.Number);
}

namespace Flare.Runtime;

internal sealed partial class Dispatcher
{
    /// <summary>A site lacks tensors of its task.</summary>
    public void OnWanted(SiteSession session, TaskToken token, string sha256)
    {
        if (session.Find(token) is not { IsOpen: true } assignment) return; // it is told to stop, or has the end
        assignment.Take();
        _downloads.OnWanted(assignment, sha256);
    }

    /// <summary>A site has tensors that it was sent.</summary>
    public void OnReceived(SiteSession session, TaskToken token, string sha256)
    {
        if (session.Find(token) is { } assignment) _downloads.OnReceived(assignment, sha256);
    }

    /// <summary>A site asks whether it may send its result.</summary>
    public void OnReady(SiteSession session, TaskToken token)
    {
        if (session.Find(token) is not { IsOpen: true } assignment)
        {
            Refuse(session, token, session.Find(token));
            return;
        }
        assignment.Take();
        _gate.Request(assignment);
    }

    /// <summary>A result is here.</summary>
    public void OnResult(SiteSession session, TaskToken token, Shareable result, SiteStateChange? state)
    {
        if (session.Find(token) is not { IsOpen: true } assignment)
        {
            Refuse(session, token, session.Find(token));
            return;
        }
        assignment.Take();
        if (result.ContentBytes() > life.Limits.SmallResultBytes && !_gate.TryTake(assignment))
        {
            // Sent on a permit that was taken back since, or of an incarnation before: it is asked for again when there
            // is room.
            _gate.Request(assignment);
            return;
        }
        _downloads.Release(assignment);
        assignment.Arrive(result.TensorBytes());
        _ = life.Detach(AdmitAsync(assignment, result, state));
    }

    /// <summary>A site does not work on a task any more.</summary>
    public void OnStopped(SiteSession session, TaskToken token)
    {
        if (session.Find(token) is not { } assignment) return;
        if (!assignment.IsFinal) End(assignment, SiteStatus.Failed, "the site stopped the task", null);
        Close(assignment);
        Judge(assignment.Run);
    }

    /// <summary>The controller has had the contribution: its permit is free.</summary>
    public void OnConsumed(Assignment assignment)
    {
        assignment.Contribution!.MoveOn();
        assignment.Contribution = null; // its tensors must not live as long as the round's report is kept
        _gate.Release(assignment);
    }

    /// <summary>
    /// A standing task goes to its site again once its answer has been read: answers do not pile up at a slow workflow.
    /// </summary>
    public void AssignAgain(Assignment assignment)
    {
        if (assignment.Run is { IsStanding: true, IsComplete: false } run) Assign(run, assignment.Session);
    }

    private async Task AdmitAsync(Assignment assignment, Shareable message, SiteStateChange? state)
    {
        var context = new FLContext(
            life.Engine, assignment.Site, assignment.Task.Name, assignment.Token, message.PeerProperties);
        using var scope = context.Scoped.Enter();
        context.Set(ContextKeys.Message, message);
        var verdict = await admission.ExamineAsync(assignment, message, context, Reject);
        if (state is { } change && verdict.Contribution is not null && !assignment.IsFinal
            && rounds.SiteStates.Use(assignment.Site, change, rounds.Workflow, assignment.Task.Round) is { } refusal)
        {
            verdict.Contribution.Dispose();
            verdict = new Verdict(SiteStatus.Rejected, Reason: refusal);
        }
        if (assignment.IsFinal)
        {
            // The task ended while the answer was looked at.
            rounds.CountLate();
            verdict.Contribution?.Dispose();
            _gate.Release(assignment);
        }
        else if (verdict.Contribution is { } contribution)
        {
            assignment.Contribution = contribution;
            assignment.Run.Deliver(assignment); // before it is counted: the last one that counts ends the stream
            End(assignment, SiteStatus.Accepted, null, null);
            _gate.OnParked();
        }
        else
        {
            End(assignment, verdict.Status, verdict.Reason, verdict.Error);
            _gate.Release(assignment);
        }
        life.Say(assignment.Site, new ResultReceipt(life.Epoch, assignment.Token, assignment.Reason));
        if (!life.IsReliable) assignment.Session.RememberAnswer(assignment.Token.Number, assignment.Reason);
        Close(assignment);
        Judge(assignment.Run);
        life.Engine.Announce(EventTypes.AfterProcessSubmission, context);

        void Reject(string reason)
        {
            if (state is { } change) rounds.SiteStates.TakeBack(assignment.Site, change);
            End(assignment, SiteStatus.Rejected, reason, null);
            Judge(assignment.Run);
        }
    }

    /// <summary>
    /// A result that is not wanted: it came late, again, or for an earlier start of the server. It is counted, never
    /// used.
    /// </summary>
    private void Refuse(SiteSession session, TaskToken token, Assignment? assignment)
    {
        if (assignment is { State: AssignmentState.Arrived })
        {
            rounds.CountDuplicate(); // it is being looked at; its receipt is on the way
            return;
        }
        if (session.TryGetAnswer(token, life.Epoch, out var refusal))
        {
            rounds.CountDuplicate();
            life.Say(session.Name, new ResultReceipt(life.Epoch, token, refusal)); // the first receipt was lost
            return;
        }
        rounds.CountLate();
        if (assignment is not null) Close(assignment);
        refusal = token.Epoch != life.Epoch ? "the task is of an earlier start of the server" : "the task has ended";
        // Its repetitions are no further late results.
        if (token.Epoch == life.Epoch && !life.IsReliable) session.RememberAnswer(token.Number, refusal);
        life.Say(session.Name, new ResultReceipt(life.Epoch, token, refusal));
    }
}

namespace Flare.Runtime;

internal sealed partial class Dispatcher
{
    // Names of tensors, headers and the like beside a small result's content.
    private const long SmallHeaders = 64 * 1024;

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

    /// <summary>A site asks whether it may send its result of so many bytes.</summary>
    public void OnReady(SiteSession session, TaskToken token, long bytes)
    {
        if (session.Find(token) is not { IsOpen: true } assignment)
        {
            Refuse(session, token, session.Find(token));
            return;
        }
        assignment.Take();
        if (IsTooLong(assignment, bytes)) return;
        Expect(assignment, Math.Max(0, bytes));
        _gate.Request(assignment);
    }

    private bool IsTooLong(Assignment assignment, long bytes)
    {
        if (bytes <= life.Limits.MaxMessageBytes) return false;
        OnUnusable(
            assignment, $"the result of {bytes} bytes is above {nameof(RuntimeLimits.MaxMessageBytes)}, "
                + $"{life.Limits.MaxMessageBytes}", ErrorIds.MalformedMessage);
        return true;
    }

    // A permit is for so many bytes: for others it is asked anew.
    private void Expect(Assignment assignment, long bytes)
    {
        if (assignment.ResultBytes == bytes) return;
        _gate.Release(assignment);
        assignment.ResultBytes = bytes;
    }

    /// <summary>
    /// Whether a result that begins to arrive is taken: it is wanted, and small, or has its permit.
    /// </summary>
    public bool TakesResult(SiteSession session, TaskToken token, in FrameHead head)
    {
        if (session.Find(token) is not { IsOpen: true } assignment)
        {
            if (head.Offset == 0) Refuse(session, token, session.Find(token));
            return false;
        }
        if (head.Length > life.Limits.MaxMessageBytes)
        {
            if (head.Offset == 0) IsTooLong(assignment, head.Length);
            return false;
        }
        // What is small by its content has little else to say.
        if (head.Length <= 4 * life.Limits.SmallResultBytes + SmallHeaders) return true;
        if (head.Length > assignment.ResultBytes) Expect(assignment, head.Length);
        if (_gate.TryTake(assignment)) return true;
        if (head.Offset == 0) _gate.Request(assignment);
        return false;
    }

    /// <summary>A result has arrived, and is none.</summary>
    public void OnMalformed(SiteSession session, TaskToken token, FlareException error)
    {
        if (session.Find(token) is { IsOpen: true } assignment) OnUnusable(assignment, error.Message, error.ErrorId);
    }

    private void OnUnusable(Assignment assignment, string reason, string errorId)
    {
        End(assignment, SiteStatus.Rejected, reason, new ErrorRecord { Type = errorId, Message = reason });
        life.Say(assignment.Session, new ResultReceipt(assignment.Token, assignment.Reason));
        if (!life.LosesNothing)
            assignment.Session.RememberAnswer(assignment.Token.Number, assignment.Reason);
        Close(assignment);
        Judge(assignment.Run);
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
        var content = result.ContentBytes();
        if (assignment.ResultBytes == 0) assignment.ResultBytes = content; // it was not asked for
        if (content > life.Limits.SmallResultBytes && !_gate.TryTake(assignment))
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
        if (assignment.Run is { IsStanding: true, IsComplete: false } run && assignment.Session.Declined is null)
            Assign(run, assignment.Session);
    }

    private async Task AdmitAsync(Assignment assignment, Shareable message, SiteStateChange? state)
    {
        var context = new FLContext(
            life.Side, assignment.Site, assignment.Task.Name, assignment.Token, message.PeerProperties);
        using var scope = context.Scoped.Enter();
        context.Set(ContextKeys.Message, message);
        var isSmall = !_gate.Holds(assignment);
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
        life.Say(assignment.Session, new ResultReceipt(assignment.Token, assignment.Reason, MayWait: isSmall));
        if (!life.LosesNothing) assignment.Session.RememberAnswer(assignment.Token.Number, assignment.Reason);
        Close(assignment);
        Judge(assignment.Run);
        life.Events.Announce(EventTypes.AfterProcessSubmission, context);

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
            life.Say(session, new ResultReceipt(token, refusal)); // the first receipt was lost
            return;
        }
        rounds.CountLate();
        if (token.Epoch != life.Epoch)
        {
            // The task of an earlier start of the server: numbers are only of one start, and the site hears of this
            // one, which drops it.
            life.Say(session, new ServerWelcome());
            return;
        }
        if (assignment is not null) Close(assignment);
        refusal = "the task has ended";
        // Its repetitions are no further late results.
        if (!life.LosesNothing) session.RememberAnswer(token.Number, refusal);
        life.Say(session, new ResultReceipt(token, refusal));
    }
}

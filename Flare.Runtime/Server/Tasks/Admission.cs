namespace Flare.Runtime;

/// <summary>What became of an answer: admitted as a contribution, or the status and the reason why not.</summary>
internal readonly record struct Verdict(
    SiteStatus Status, Contribution? Contribution = null, string? Reason = null, ErrorRecord? Error = null);

/// <summary>
/// The one door for answers: the server's filters, the site's own word of how it went, the task's contract, finite
/// values. Whatever an answer or a filter throws, it is the answer that is refused.
/// </summary>
internal sealed class Admission(JobLife life)
{
    /// <summary>Looks at an answer, off the loop where it is large.</summary>
    /// <param name="assignment">What it answers.</param>
    /// <param name="message">The answer, frozen.</param>
    /// <param name="context">The server's context for it.</param>
    /// <param name="reject">Called when somebody refuses the contribution later.</param>
    public async Task<Verdict> ExamineAsync(
        Assignment assignment, Shareable message, FLContext context, Action<string> reject)
    {
        Contribution? contribution = null;
        try
        {
            assignment.Code = message.ReturnCode;
            if (message.ReturnCode == ReturnCode.Ok)
            {
                life.Events.Announce(EventTypes.BeforeTaskResultFilter, context);
                message = await FilterAsync(assignment.Task, message, context);
                life.Events.Announce(EventTypes.AfterTaskResultFilter, context);
            }
            life.Events.Announce(EventTypes.BeforeProcessSubmission, context);
            if (message.ReturnCode != ReturnCode.Ok) return Failed(assignment, message);
            contribution = new Contribution(assignment.Site, assignment.Token, assignment.Task, message, reject);
            context.Set(ContextKeys.Contribution, contribution);
            if (!contribution.TryClaimMemory())
            {
                contribution = null; // the memory is another's, and not to be given back with this one
                return new Verdict(SiteStatus.Rejected, Reason: HandedOverTwice);
            }
            var refusal = assignment.Task.Contract.CheckShape(contribution)
                ?? await CheckValuesAsync(assignment, contribution);
            if (!assignment.IsFinal)
                (assignment.NumSteps, assignment.Metrics) = (contribution.NumSteps, contribution.Metrics);
            if (refusal is null) return new Verdict(SiteStatus.Accepted, contribution);
            contribution.Dispose();
            return new Verdict(SiteStatus.Rejected, Reason: refusal);
        }
        catch (Exception e)
        {
            // A filter, a rule or the message itself is at fault: the answer is refused whole, and the reason reaches
            // the operator.
            contribution?.Dispose();
            return new Verdict(SiteStatus.Rejected, Reason: e.Message, Error: ErrorOf(e, assignment));
        }
    }

    /// <summary>What an exception says of an assignment.</summary>
    public static ErrorRecord ErrorOf(Exception exception, Assignment assignment) =>
        About(ErrorRecord.From(exception), assignment);

    private static Verdict Failed(Assignment assignment, Shareable message)
    {
        var error = message.Error is { } told ? About(told, assignment) : null;
        var code = message.ReturnCode.ToString();
        var type = error is null || error.Type == code ? "" : $": {error.Type}"; // without an exception it is the code
        var reason = $"the site answered {code}{type}{(error is null ? "" : $": {error.Message}")}";
        return new Verdict(SiteStatus.Failed, Reason: reason, Error: error);
    }

    // A site's word for who it is and what it works on is not taken.
    private static ErrorRecord About(ErrorRecord error, Assignment assignment) =>
        error with { Site = assignment.Site, Task = assignment.Task.Name, Round = assignment.Task.Round };

    private async ValueTask<Shareable> FilterAsync(FlareTask task, Shareable message, FLContext context)
    {
        var filters = life.Options.FiltersIn;
        if (!filters.AppliesTo(task.Name)) return message;
        try
        {
            message = await life.Options.Compute.RunAsync(
                () => filters.ProcessAsync(task.Name, message, context, life.AbortOfStrangers));
            message = message.Freeze();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new FlareException(
                ErrorIds.Filter, $"a filter of the server failed on the result, which is not used: {e.Message}", e);
        }
        context.Set(ContextKeys.Message, message);
        return message;
    }

    private const string HandedOverTwice =
        "its tensors were handed over with another answer already; make a state dict of its own "
        + "for each answer, or do not hand it over";

    private async ValueTask<string?> CheckValuesAsync(Assignment assignment, Contribution contribution)
    {
        if (!assignment.Task.Contract.RequireFinite || assignment.Bytes == 0) return null;
        return assignment.Bytes <= life.Limits.SmallResultBytes ? Check() : await life.Options.Compute.RunAsync(Check);

        string? Check() => assignment.Task.Contract.CheckValues(contribution);
    }
}

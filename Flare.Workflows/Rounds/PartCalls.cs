namespace Flare.Workflows;

/// <summary>
/// Calls the parts of a workflow, which are anybody's: what one throws is told with its name, the workflow's, the round
/// and the job, and has the exception itself as its cause.
/// </summary>
internal sealed class PartCalls(ControllerContext context, string workflow)
{
    /// <summary>The round at hand; 0 before the first.</summary>
    public int Round { get; set; }

    /// <summary>Calls a part.</summary>
    /// <param name="role">What it is to the workflow, such as <c>sampling</c>.</param>
    /// <param name="part">The part.</param>
    /// <param name="call">The call.</param>
    public T Call<T>(string role, object part, Func<T> call)
    {
        try
        {
            return call();
        }
        catch (Exception e) when (IsThePartsOwn(e))
        {
            throw Failed(role, part, e);
        }
    }

    /// <summary>Calls a part.</summary>
    public async ValueTask<T> CallAsync<T>(string role, object part, Func<ValueTask<T>> call)
    {
        try
        {
            return await call();
        }
        catch (Exception e) when (IsThePartsOwn(e))
        {
            throw Failed(role, part, e);
        }
    }

    // Further types of FlareException say by themselves who failed, sites or encryption, as do faults of settings.
    private static bool IsThePartsOwn(Exception e) => e is not OperationCanceledException
        && (e is not FlareException own
            || (own.GetType() == typeof(FlareException) && own.ErrorId != ErrorIds.Configuration));

    private FlareException Failed(string role, object part, Exception e)
    {
        var when = Round > 0 ? Invariant($"in round {Round}") : "before its first round";
        var where =
            $"The {role} {part.GetType().Name} of the workflow {workflow} of job '{context.JobId}' failed {when}";
        return e is FlareException own ? new(own.ErrorId, $"{where}: {own.Message}", own)
            : new(ErrorIds.WorkflowFailed, $"{where}: {e.GetType().Name}: {e.Message}", e);
    }
}

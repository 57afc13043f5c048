using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>
/// The keys of the log scopes that Flare's own lines are in, and those that the application's code logs while it runs
/// for a job: executors, filters, workflows and their parts, components. A scope is begun with the job's
/// <see cref="ILoggerFactory"/>, and lists its keys and values as structured logging expects them (a list of
/// <see cref="KeyValuePair{TKey, TValue}"/> of string and object). A key that does not apply is left out.
/// </summary>
public static class LogScopes
{
    /// <summary>The job's id, a string. In every scope.</summary>
    public const string Job = "flare.job";

    /// <summary>
    /// The site's name, a string: where the line was written, or, at the server, the site that it is about.
    /// </summary>
    public const string Site = "flare.site";

    /// <summary>The task's name, a string.</summary>
    public const string Task = "flare.task";

    /// <summary>The round, an integer from 1.</summary>
    public const string Round = "flare.round";

    /// <summary>
    /// Begins a scope of a round within a workflow: for lines that the workflow's parts write with loggers of their
    /// own. The rounds of Flare.Workflows are in one already, and so is what is logged with
    /// <see cref="ControllerContext.Logger"/>.
    /// </summary>
    /// <param name="context">The workflow's context.</param>
    /// <param name="round">The round.</param>
    /// <param name="contribution">The contribution at hand, whose site and task are named too; null for none.</param>
    /// <returns>Ends the scope; null where there is nothing to end. In the asynchronous method that began it.</returns>
    public static IDisposable? Begin(ControllerContext context, int round, Contribution? contribution = null)
    {
        ArgumentNullException.ThrowIfNull(context);
        return ScopedLogger.Of(context.Logger, context.JobId)
            .With(contribution?.Site, contribution?.TaskName, round).Enter();
    }
}

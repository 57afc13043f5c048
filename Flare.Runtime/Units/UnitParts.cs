using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Runtime;

/// <summary>
/// What Flare.Testing makes and looks at of Core's own: Core shows its internals to the runtime alone, which makes
/// contexts and contributions for unit tests as it makes them for a job.
/// </summary>
internal static class UnitParts
{
    public static FLContext Context(
        string identity, string jobId, ulong seed = 0, TimeProvider? time = null, ILogger? logger = null,
        IReadOnlyList<FLComponent>? components = null, string? peer = null, string? task = null,
        TaskToken? token = null, FlareMap? peerProperties = null, SiteState? state = null)
    {
        var side = new RunSide
        {
            Identity = identity,
            JobId = jobId,
            Seed = seed,
            Time = time ?? TimeProvider.System,
            Logger = logger ?? NullLogger.Instance,
            Compute = ComputeScheduler.ThreadPool,
            Events = new EventBus(components ?? []),
        };
        return new FLContext(side, peer, task, token, peerProperties)
        {
            StateAccess = state is null ? null : new SiteStateAccess(state),
        };
    }

    /// <summary>A contribution that the task's contract admits by its shape.</summary>
    /// <exception cref="FlareException">It does not.</exception>
    public static Contribution Contribution(
        string site, FlareTask task, Shareable message, TaskToken token, Action<string> rejected)
    {
        var contribution = new Contribution(site, token, task, message, rejected);
        Require(site, task.Contract.CheckShape(contribution));
        return contribution;
    }

    /// <summary>Looks at a contribution's values, as admission does.</summary>
    /// <exception cref="FlareException">The task's contract refuses them.</exception>
    public static void RequireValues(Contribution contribution, FlareTask task) =>
        Require(contribution.Site, task.Contract.CheckValues(contribution));

    /// <summary>Whether the controller has had a contribution.</summary>
    public static bool IsConsumed(Contribution contribution) => contribution.IsConsumed;

    /// <summary>Whether a result needs a permit to be sent.</summary>
    public static bool IsLarge(Shareable result, RuntimeLimits limits) =>
        result.ContentBytes() > limits.SmallResultBytes;

    /// <summary>A report as the journal has it.</summary>
    public static FlareMap MapOf(RoundReport report) => report.ToMap();

    private static void Require(string site, string? refusal)
    {
        if (refusal is null) return;
        throw new FlareException(
            ErrorIds.MalformedMessage, $"The contribution of {site} would be refused: {refusal}.");
    }
}

using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Testing;

/// <summary>Contexts as the runtime makes them, to unit-test an executor, a filter or a component without a
/// federation.</summary>
public static class TestContexts
{
    /// <summary>The context of a task at a site.</summary>
    /// <param name="site">The site's name.</param>
    /// <param name="task">The task's name.</param>
    /// <param name="round">The task's round; 0 outside of rounds.</param>
    /// <param name="seed">The job's seed; <see cref="FLContext.Seed"/> derives from it.</param>
    /// <param name="peerProperties">Public properties that the server sent with the task.</param>
    /// <param name="time">The clock; the system's if left out.</param>
    /// <param name="logger">Where to log; nowhere if left out.</param>
    /// <param name="components">What sees the events that the context fires, in order; none if left out.</param>
    /// <param name="state">The site's state, which the test fills and looks at; an empty one if left out.</param>
    public static FLContext ForSite(
        string site, string task = TaskNames.Train, int round = 1, ulong seed = 0, FlareMap? peerProperties = null,
        TimeProvider? time = null, ILogger? logger = null, IReadOnlyList<FLComponent>? components = null,
        SiteState? state = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(site);
        return New(
            site, FLContext.Server, task, round, seed, peerProperties, time, logger, components,
            state ?? new SiteState());
    }

    /// <summary>The context of a site's answer, or of a task for it, at the server.</summary>
    /// <param name="site">The site that the message is from, or for.</param>
    /// <param name="task">The task's name.</param>
    /// <param name="round">The task's round; 0 outside of rounds.</param>
    /// <param name="seed">The job's seed.</param>
    /// <param name="peerProperties">Public properties that the site sent with its answer.</param>
    /// <param name="time">The clock; the system's if left out.</param>
    /// <param name="logger">Where to log; nowhere if left out.</param>
    /// <param name="components">What sees the events that the context fires, in order; none if left out.</param>
    public static FLContext ForServer(
        string site, string task = TaskNames.Train, int round = 1, ulong seed = 0, FlareMap? peerProperties = null,
        TimeProvider? time = null, ILogger? logger = null, IReadOnlyList<FLComponent>? components = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(site);
        return New(FLContext.Server, site, task, round, seed, peerProperties, time, logger, components);
    }

    private static FLContext New(
        string identity, string peer, string task, int round, ulong seed, FlareMap? peerProperties, TimeProvider? time,
        ILogger? logger, IReadOnlyList<FLComponent>? components, SiteState? state = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(task);
        ArgumentOutOfRangeException.ThrowIfNegative(round);
        return UnitParts.Context(
            identity, "test", seed, time, logger, components, peer, task, new TaskToken("test", 1, round, 1),
            peerProperties, state);
    }
}

using Flare.Runtime;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Transport;

/// <summary>
/// What links are bounded by, and what they run on. The rig has them run on its own clock and scheduler.
/// </summary>
/// <param name="Limits">What is taken at most.</param>
/// <param name="Time">The clock.</param>
/// <param name="Compute">Where what no job's loop does runs: connections, and the hashing of beginnings.</param>
/// <param name="Logger">Where to log.</param>
/// <param name="NewProcess">Names a process, unlike any other's name.</param>
internal sealed record LinkHost(
    LinkLimits Limits, TimeProvider Time, ComputeScheduler Compute, ILogger Logger, Func<Guid> NewProcess)
{
    /// <summary>Links of this process.</summary>
    /// <param name="limits">The defaults if left out.</param>
    /// <param name="logging">Nowhere if left out.</param>
    /// <param name="time">The system's if left out.</param>
    /// <exception cref="FlareException">The limits contradict themselves.</exception>
    public static LinkHost Of(LinkLimits? limits, ILoggerFactory? logging = null, TimeProvider? time = null)
    {
        limits ??= new();
        LinkSettings.Require(limits);
        var logger = (logging ?? NullLoggerFactory.Instance).CreateLogger("Flare.Transport");
        // Two processes of one site must not have the same: a seed would give it to both.
#pragma warning disable RS0030
        return new(limits, time ?? TimeProvider.System, ComputeScheduler.ThreadPool, logger, Guid.NewGuid);
#pragma warning restore RS0030
    }

    /// <summary>Begins what goes on by itself, on no job's loop.</summary>
    /// <returns>Ends with it.</returns>
    public Task Start(Func<Task> work) => Compute.RunAsync(async ValueTask<bool> () =>
    {
        await work();
        return true;
    });
}

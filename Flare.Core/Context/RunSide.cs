using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare;

/// <summary>
/// One side of a run, the server's or a site's, as its contexts share it: who it is, its clock, the properties that
/// outlive a context, and its events.
/// </summary>
internal sealed class RunSide
{
    private readonly ILogger _sink = NullLogger.Instance;
    private ScopedLogger? _logger;
    private int _panicked;

    public required string Identity { get; init; }
    public required string JobId { get; init; }
    public required ulong Seed { get; init; }
    public required TimeProvider Time { get; init; }

    /// <summary>Where to log; see <see cref="Scoped"/>.</summary>
    public required ILogger Logger { init => _sink = value; }

    /// <summary>Where to log, in the scope of the job and, at a site, the site.</summary>
    public ScopedLogger Scoped => _logger ??= ScopedLogger.Of(_sink, JobId, IsServer ? null : Identity);

    public bool IsServer => Identity == FLContext.Server;

    public required ComputeScheduler Compute { get; init; }

    public RunProperties Properties { get; } = new();

    public EventBus Events { get; init; } = new([]);

    /// <summary>Stops the job with a reason, from any thread.</summary>
    public Action<string> StopJob { get; init; } = static _ => { };

    /// <summary>
    /// Stops the job by itself: what becomes of the exception, which only ends the caller, does not matter.
    /// </summary>
    public FlarePanicException Panic(string reason, FLContext context)
    {
        if (Interlocked.Exchange(ref _panicked, 1) == 0)
        {
            StopJob(reason);
            Events.Announce(EventTypes.FatalSystemError, context);
        }
        return new FlarePanicException(Identity, reason);
    }
}

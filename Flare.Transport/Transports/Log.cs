using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>The log lines of this package; event ids 5000 to 5099.</summary>
internal static partial class Log
{
    [LoggerMessage(5000, LogLevel.Warning, "{Address} could not take a connection: {Error}")]
    public static partial void AcceptFailed(ILogger logger, string address, string error);

    [LoggerMessage(5001, LogLevel.Warning, "A connection from {From} was dropped before it proved who it is: {Reason}")]
    public static partial void DroppedUnproven(ILogger logger, string from, string reason);

    [LoggerMessage(5002, LogLevel.Error, "The other end does not take a message of kind {Kind} of job {Job}: {Error}")]
    public static partial void LargeRefused(ILogger logger, string kind, string job, string error);

    [LoggerMessage(5003, LogLevel.Information, "{Site} is connected to job {Job} from {From}")]
    public static partial void Attached(ILogger logger, string site, string job, string from);

    [LoggerMessage(5004, LogLevel.Warning, "{Site} may not take part in job {Job} over this connection: {Reason}")]
    public static partial void AttachRefused(ILogger logger, string site, string job, string reason);

    [LoggerMessage(5005, LogLevel.Information, "The connection of {Site} has ended: {End}")]
    public static partial void ConnectionEnded(ILogger logger, string site, string end);

    [LoggerMessage(5006, LogLevel.Warning,
        "{Site} has no connection to its server and tries again in {Delay}: {Reason}")]
    public static partial void WillRetry(ILogger logger, string site, TimeSpan delay, string reason);

    [LoggerMessage(5007, LogLevel.Error, "{Site} cannot take part, and does not try again: {Reason}")]
    public static partial void GivesUp(ILogger logger, string site, string reason);

    [LoggerMessage(5008, LogLevel.Error, "The connection of {Site} has ended by an error at this end")]
    public static partial void ConnectionFailed(ILogger logger, string site, Exception error);

    [LoggerMessage(5009, LogLevel.Error, "A callback on the loop of job {Job} threw; the job goes on")]
    public static partial void LoopFailed(ILogger logger, string job, Exception error);

    [LoggerMessage(5010, LogLevel.Error, "A message of kind {Kind} of job {Job} from {Peer} is not taken: {Reason}")]
    public static partial void LargeNotTaken(ILogger logger, string kind, string job, string peer, string reason);

    [LoggerMessage(5011, LogLevel.Error, "Connections could not be taken or made; it is tried again")]
    public static partial void Unexpected(ILogger logger, Exception error);

    [LoggerMessage(5014, LogLevel.Warning,
        "{Count} more connections were dropped at {Address} before they proved who they are")]
    public static partial void DroppedMore(ILogger logger, string address, int count);

    [LoggerMessage(5015, LogLevel.Error, "A connection from {From} was dropped by an error at this end")]
    public static partial void ProofFailed(ILogger logger, string from, Exception error);

    [LoggerMessage(5013, LogLevel.Warning, "{Site} at {From} is hung up on, and told why: {Reason}")]
    public static partial void ConnectionRefused(ILogger logger, string site, string from, string reason);

    [LoggerMessage(5012, LogLevel.Information, "{Site} waits for job '{Job}' and asks again in {Delay}: {Reason}")]
    public static partial void WaitsForJob(ILogger logger, string site, string job, string reason, TimeSpan delay);
}

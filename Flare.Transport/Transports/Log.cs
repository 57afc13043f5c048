using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>The log lines of this package; event ids 5000 to 5099.</summary>
internal static partial class Log
{
    [LoggerMessage(5000, LogLevel.Warning, "{Address} could not take a connection: {Error}")]
    public static partial void AcceptFailed(ILogger logger, string address, string error);

    [LoggerMessage(5001, LogLevel.Warning, "A connection from {From} was dropped before it proved who it is: {Reason}")]
    public static partial void DroppedUnproven(ILogger logger, string from, string reason);
}

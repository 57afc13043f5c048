using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>What Core logs by itself. Event ids: Core and Runtime 1 to 99, Workflows 100 to 199.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Error, "{Identity}: {Component} threw while handling {EventType}; the run goes on")]
    public static partial void EventHandlerFailed(
        ILogger logger, Exception exception, string identity, string component, string eventType);

    [LoggerMessage(
        19,
        LogLevel.Warning,
        "{Identity}: {Peer} sent {EventType} as a federated event, which only the runtime fires; nobody is told of it")]
    public static partial void EventRefused(ILogger logger, string identity, string peer, string eventType);
}

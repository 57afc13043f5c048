using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <content>What is logged of processes that do a site's work; event ids 5040 to 5049.</content>
internal static partial class Log
{
    [LoggerMessage(5040, LogLevel.Information, "A process is connected to {Address} and gets the site's tasks")]
    public static partial void ProcessConnected(ILogger logger, string address);

    [LoggerMessage(5041, LogLevel.Warning, "A second process wanted the tasks of {Address} and was refused")]
    public static partial void SecondProcess(ILogger logger, string address);

    [LoggerMessage(5042, LogLevel.Information, "The process at {Address} is gone: {End}")]
    public static partial void ProcessGone(ILogger logger, string address, string end);

    [LoggerMessage(5043, LogLevel.Warning,
        "Task {Task} is given again once a process is connected, for time {Attempt} of {MaxAttempts}: {Reason}")]
    public static partial void TaskGivenAgain(
        ILogger logger, string task, int attempt, int maxAttempts, string reason);

    [LoggerMessage(5044, LogLevel.Warning,
        "What connected to {Address} was given no task of the site's, and is gone: {End}")]
    public static partial void NeverAProcess(ILogger logger, string address, string end);
}

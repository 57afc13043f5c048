using Microsoft.Extensions.Logging;

namespace Flare.Workflows;

/// <summary>Everything that the workflows log, with stable event ids from 100 on.</summary>
internal static partial class Log
{
    [LoggerMessage(101, LogLevel.Warning, "Round {Round}: {Note}")]
    public static partial void RoundNote(ILogger logger, int round, string note);

    [LoggerMessage(103, LogLevel.Warning,
        "Round {Round}: {Count} different notes were logged; further ones are in the rounds' reports alone")]
    public static partial void NotesEnd(ILogger logger, int round, int count);

    [LoggerMessage(102, LogLevel.Information, "Round {Round} is trained once more: {Reason}")]
    public static partial void RoundRepeats(ILogger logger, int round, string reason);
}

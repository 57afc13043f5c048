using Microsoft.Extensions.Logging;

namespace Flare.Workflows;

/// <summary>Everything that the workflows log, with stable event ids from 100 on.</summary>
internal static partial class Log
{
    [LoggerMessage(100, LogLevel.Warning,
        "None of the {Sites} sites of round {Round} knows the task 'validate', so its model is not measured; they are "
            + "not asked again. A Learner measures by overriding ValidateAsync; ValidationMode.None asks nobody")]
    public static partial void NobodyMeasures(ILogger logger, int round, int sites);

    [LoggerMessage(101, LogLevel.Warning, "Round {Round}: {Note}")]
    public static partial void RoundNote(ILogger logger, int round, string note);

    [LoggerMessage(102, LogLevel.Information, "Round {Round} is trained once more: {Reason}")]
    public static partial void RoundRepeats(ILogger logger, int round, string reason);
}

using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>
/// The application's logger, held off from the run: one that throws loses what it was to log, and not a site's answer.
/// </summary>
internal sealed class GuardedLogger(ILogger inner) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => Guard(() => inner.BeginScope(state));

    public bool IsEnabled(LogLevel logLevel) => Guard(() => inner.IsEnabled(logLevel));

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter) => Guard(() =>
    {
        inner.Log(logLevel, eventId, state, exception, formatter);
        return true;
    });

    private static T? Guard<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (Exception e)
        {
            // The logger itself is at fault: the process's trace is what is left to say so.
            Trace.TraceError($"Flare: the application's logger threw {e}");
            return default;
        }
    }
}

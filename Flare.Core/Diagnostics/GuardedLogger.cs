using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>The application's logger, held off from the run: one that throws loses what it was to log, and not a site's answer.</summary>
internal sealed class GuardedLogger(ILogger inner) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => inner.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        try
        {
            inner.Log(logLevel, eventId, state, exception, formatter);
        }
        catch (Exception e)
        {
            // The logger itself is at fault: the process's trace is what is left to say so.
            Trace.TraceError($"Flare's logger threw {e.GetType().Name}: {e.Message}. It was to log: {formatter(state, exception)}");
        }
    }
}

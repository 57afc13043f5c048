using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare;

/// <summary>
/// A job's logger: every line is in a scope that says what it is about. Where code of the application runs, the scope
/// is entered, so that what it logs with loggers of its own is in it too; a line within an entered scope begins only
/// what that one lacks.
/// </summary>
internal sealed class ScopedLogger : ILogger
{
    // Goes with the flow of control, as the scopes of loggers do.
    private static readonly AsyncLocal<Entered?> Now = new();

    private readonly ILogger _sink;
    private readonly LogScope _scope;

    private ScopedLogger(ILogger sink, LogScope scope) => (_sink, _scope) = (sink, scope);

    /// <summary>The logger of a job, or of one of its sites.</summary>
    public static ScopedLogger Of(ILogger logger, string job, string? site = null)
    {
        var sink = logger is ScopedLogger scoped ? scoped._sink : logger;
        var scope = new LogScope(job, site, null, 0);
        return new(sink, logger is ScopedLogger { _scope: var own } && own.Job == job ? scope.Over(own) : scope);
    }

    /// <summary>The same logger for lines that are about more.</summary>
    public ScopedLogger With(string? site = null, string? task = null, int round = 0)
    {
        if (_sink is NullLogger) return this;
        var added = new LogScope(null, site, task, round);
        return added.Without(_scope) is null ? this : new(_sink, added.Over(_scope));
    }

    /// <summary>
    /// Has what is logged from here on, in this flow of control, in the scope, whatever logger of the same factory it
    /// is logged with. Dispose of what it returns in the same method; null where there is nothing to add.
    /// </summary>
    public IDisposable? Enter()
    {
        if (_sink is NullLogger) return null;
        var outer = Now.Value;
        var around = outer?.Sink == _sink ? outer.Scope : null;
        if (_scope.Without(around) is not { } added) return null;
        var entered = new Entered(_sink, _scope.Over(around), outer, Begin(added));
        Now.Value = entered;
        return entered;
    }

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => _sink.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => _sink.IsEnabled(logLevel);

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel)) return;
        using (Enter()) _sink.Log(logLevel, eventId, state, exception, formatter);
    }

    private IDisposable? Begin(LogScope scope)
    {
        try
        {
            return _sink.BeginScope(scope);
        }
        catch (Exception e)
        {
            Entered.Tell(e);
            return null;
        }
    }

    private sealed class Entered(ILogger sink, LogScope scope, Entered? outer, IDisposable? begun) : IDisposable
    {
        public ILogger Sink => sink;
        public LogScope Scope => scope;

        public void Dispose()
        {
            Now.Value = outer;
            try
            {
                begun?.Dispose();
            }
            catch (Exception e)
            {
                Tell(e);
            }
        }

        // The logger itself is at fault: the process's trace is what is left to say so.
        public static void Tell(Exception e) => Trace.TraceError($"Flare: the application's logger threw {e}");
    }
}

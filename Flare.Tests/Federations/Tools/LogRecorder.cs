using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>Keeps what was logged.</summary>
internal sealed class LogRecorder : ILoggerFactory, ILogger
{
    public ConcurrentQueue<(LogLevel Level, int Id, string Message, Exception? Exception)> Entries { get; } = new();

    /// <summary>Hears of each entry.</summary>
    public Action<(LogLevel Level, string Message)>? Recorded { get; set; }

    public ILogger CreateLogger(string categoryName) => this;
    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
    public bool IsEnabled(LogLevel logLevel) => true;
    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        var message = formatter(state, exception);
        Entries.Enqueue((logLevel, eventId.Id, message, exception));
        Recorded?.Invoke((logLevel, message));
    }


    public void Dispose() { }
}

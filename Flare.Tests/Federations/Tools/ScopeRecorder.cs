using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>A line with all keys of the scopes that it is in, outermost first.</summary>
internal sealed record ScopedLine(
    string Category, LogLevel Level, string Message, IReadOnlyList<KeyValuePair<string, object?>> Scopes)
{
    /// <summary>The one value of a key; null where there is none.</summary>
    public object? this[string key] => Scopes.SingleOrDefault(s => s.Key == key).Value;

    public string About => $"{this[LogScopes.Job]}|{this[LogScopes.Site]}|{this[LogScopes.Task]}|"
        + $"{this[LogScopes.Round]}";
}

/// <summary>Keeps what was logged with its scopes, as an application's logging does: they go with the flow of
/// control, for all loggers of the factory.</summary>
internal sealed class ScopeRecorder : ILoggerFactory
{
    private readonly LoggerExternalScopeProvider _scopes = new();
    private readonly ConcurrentQueue<ScopedLine> _lines = new();

    public IReadOnlyList<ScopedLine> Lines => [.. _lines];

    /// <summary>What each line of a category was about.</summary>
    public string[] About(string category) =>
        [.. Lines.Where(l => l.Category == category).Select(l => l.About).Distinct().Order(StringComparer.Ordinal)];

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose() { }

    private sealed class Logger(ScopeRecorder recorder, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => recorder._scopes.Push(state);

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            var scopes = new List<KeyValuePair<string, object?>>();
            recorder._scopes.ForEachScope((scope, list) =>
            {
                if (scope is IEnumerable<KeyValuePair<string, object?>> pairs) list.AddRange(pairs);
                else list.Add(new("text", scope));
            }, scopes);
            recorder._lines.Enqueue(new(category, logLevel, formatter(state, exception), scopes));
        }
    }
}

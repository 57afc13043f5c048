using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Flare;

/// <summary>Metrics by name; asked for one that is not there, it says which are.</summary>
internal sealed class NamedMetrics(IReadOnlyDictionary<string, double> metrics) : IReadOnlyDictionary<string, double>
{
    public double this[string key] => metrics.TryGetValue(key, out var value)
        ? value
        : throw new KeyNotFoundException(metrics.Count == 0
            ? $"The round has no metrics, so no '{key}'. Sites measure the model when they answer the task "
                + $"'{TaskNames.Validate}': a Learner does by overriding ValidateAsync."
            : $"The round has no metric '{key}'. There are: "
                + $"{string.Join(", ", metrics.Keys)}.{DidYouMean.Question(key, metrics.Keys)}");

    public IEnumerable<string> Keys => metrics.Keys;
    public IEnumerable<double> Values => metrics.Values;
    public int Count => metrics.Count;
    public bool ContainsKey(string key) => metrics.ContainsKey(key);
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out double value) => metrics.TryGetValue(key, out value);
    public IEnumerator<KeyValuePair<string, double>> GetEnumerator() => metrics.GetEnumerator();
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

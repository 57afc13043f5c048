namespace Flare.Workflows;

/// <summary>What measuring a model has given.</summary>
/// <param name="Metrics">Its metrics by name; NaN for one that nobody measured as a number.</param>
/// <param name="Warnings">What is odd about them, each in one sentence.</param>
public sealed record Measurement(IReadOnlyDictionary<string, double> Metrics, IReadOnlyList<string> Warnings)
{
    /// <summary>Of a model that was not measured.</summary>
    public static Measurement None { get; } = new(new Dictionary<string, double>(), []);
}

namespace Flare.Workflows;

/// <summary>
/// The sites' metrics, averaged with their stated numbers of steps as weights; the same whatever the order of arrival. Of more names than a report
/// takes, those that most sites state.
/// </summary>
internal sealed class MetricsMean
{
    private const int MostNames = 256;

    private readonly SortedDictionary<string, (double Weight, FlareMap Metrics)> _sites = new(StringComparer.Ordinal);

    public void Add(Contribution contribution)
    {
        if (contribution.Metrics is { } metrics) _sites[contribution.Site] = (Math.Clamp(contribution.NumSteps ?? 1, 1, int.MaxValue), metrics);
    }

    public IReadOnlyDictionary<string, double> Result()
    {
        var sums = new SortedDictionary<string, (double Sum, double Weight, int Sites)>(StringComparer.Ordinal);
        foreach (var (weight, metrics) in _sites.Values)
        {
            foreach (var (name, value) in metrics)
            {
                // What is no finite number says nothing about the model: a site without validation data may well answer NaN.
                if (value.Kind is not (FlareValueKind.Number or FlareValueKind.Integer) || !double.IsFinite(value.AsNumber())) continue;
                var (sum, total, sites) = sums.GetValueOrDefault(name);
                sums[name] = (sum + weight * value.AsNumber(), total + weight, sites + 1);
            }
        }
        return sums.OrderByDescending(s => s.Value.Sites).Take(MostNames).Select(s => (s.Key, Mean: s.Value.Sum / s.Value.Weight)).Where(s => double.IsFinite(s.Mean)).ToDictionary(s => s.Key, s => s.Mean, StringComparer.Ordinal);
    }
}

namespace Flare.Workflows;

/// <summary>
/// The sites' metrics, averaged with the weights that they state (<see cref="Contribution.MetricsWeight"/>; 1 where a
/// site states none, and none at all where it states 0); the same whatever the order of arrival. What is no number is
/// left out of a mean and told of; where all that a metric has is no number, it is NaN. Of more names than a report
/// takes, those that most sites state. Of a metric that only some of the sites state, those that do not are named.
/// Not thread-safe.
/// </summary>
public sealed class MetricsMean
{
    private readonly ISet<string>? _partlyStated;
    private readonly SortedSet<string> _silent = new(StringComparer.Ordinal);

    /// <summary>Means of nothing yet.</summary>
    public MetricsMean() { }

    /// <summary>Means of nothing yet, within a run that tells once of each metric that only some sites state.</summary>
    /// <param name="partlyStated">The metrics that were told of; it is added to.</param>
    internal MetricsMean(ISet<string> partlyStated) => _partlyStated = partlyStated;

    private const int MostNames = 256;
    private const int MostSites = 5;

    private readonly SortedDictionary<string, (double Weight, FlareMap Metrics)> _sites = new(StringComparer.Ordinal);

    /// <summary>
    /// Takes a contribution's metrics, if it has any that weigh something; of one site the last ones count.
    /// </summary>
    public void Add(Contribution contribution)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        if (contribution.MetricsWeight is 0) return; // there was nothing to measure it on
        if (contribution.Metrics is { Count: > 0 } metrics)
            _sites[contribution.Site] = (Math.Clamp(contribution.MetricsWeight ?? 1, 1, int.MaxValue), metrics);
        else
            AddSilent(contribution.Site);
    }

    /// <summary>A site states no metrics.</summary>
    internal void AddSilent(string site)
    {
        if (!_sites.ContainsKey(site)) _silent.Add(site);
    }

    /// <summary>The means of what was added, and what is odd about it.</summary>
    public Measurement Result()
    {
        var all = new SortedDictionary<string, Sum>(StringComparer.Ordinal);
        foreach (var (site, (weight, metrics)) in _sites)
        {
            foreach (var (name, value) in metrics)
            {
                if (!all.TryGetValue(name, out var sum)) all[name] = sum = new();
                sum.Add(name, site, value.AsNumber(), weight);
            }
        }
        var chosen = all.OrderByDescending(s => s.Value.Sites.Count).Take(MostNames).ToArray();
        string[] warnings =
        [
            .. chosen.SelectMany(s => s.Value.Oddities(s.Key)), .. NearMisses(all), .. PartlyStated(chosen),
            .. all.Count == 0 ? NothingStated() : [],
        ];
        return new(chosen.ToDictionary(s => s.Key, s => s.Value.Mean, StringComparer.Ordinal), warnings);
    }

    private static IEnumerable<string> NearMisses(SortedDictionary<string, Sum> all) => all
        .GroupBy(s => s.Key, StringComparer.OrdinalIgnoreCase).Where(g => g.Count() > 1)
        .Select(g => "The sites write one metric in several ways, so that each has a mean of its own: "
            + string.Join("; ", g.Select(s => $"'{s.Key}' by {Names(s.Value.Sites)}")) + ". Have them write one name");

    private IEnumerable<string> NothingStated()
    {
        if (_silent.Count > 0 && _partlyStated?.Add("") != false)
            yield return $"No metric came: {Names([.. _silent])} answered without one. Have the executor answer "
                + "'validate' with Dxo.Metrics, or set the workflow's Validation to None";
    }

    private IEnumerable<string> PartlyStated(IEnumerable<KeyValuePair<string, Sum>> metrics)
    {
        string[] all = [.. _sites.Keys.Union(_silent, StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        // One name that is written in several ways has its own word.
        foreach (var missing in metrics.GroupBy(m => m.Key, StringComparer.OrdinalIgnoreCase)
            .Where(g => g.Count() == 1).SelectMany(g => g).GroupBy(
            m => Names([.. all.Except(m.Value.Sites, StringComparer.Ordinal)]), m => m.Key))
        {
            string[] names =
                [.. missing.Where(n => _partlyStated?.Contains(n) != true).Order(StringComparer.Ordinal)];
            if (missing.Key.Length == 0 || names.Length == 0) continue;
            _partlyStated?.UnionWith(names);
            yield return $"The mean of {string.Join(", ", names.Select(n => $"'{n}'"))} is not of all sites: "
                + $"{missing.Key} did not state it. Have all sites measure the same";
        }
    }

    private static string Names(List<string> sites) =>
        string.Join(", ", sites.Take(MostSites))
        + (sites.Count > MostSites ? $" and {sites.Count - MostSites} more" : "");

    /// <summary>One metric.</summary>
    private sealed class Sum
    {
        private readonly List<string> _notFinite = [];
        private readonly List<string> _implausible = [];
        private double _sum;
        private double _weight;
        private double _odd;

        public List<string> Sites { get; } = [];

        public double Mean => _weight > 0 && double.IsFinite(_sum) ? _sum / _weight : double.NaN;

        public void Add(string name, string site, double value, double weight)
        {
            Sites.Add(site);
            if (!double.IsFinite(value))
            {
                _notFinite.Add(site);
            }
            else if (!MetricNames.IsPlausible(name, value))
            {
                _implausible.Add(site);
                _odd = value;
            }
            else
            {
                (_sum, _weight) = (_sum + weight * value, _weight + weight);
            }
        }

        public IEnumerable<string> Oddities(string name)
        {
            if (_notFinite.Count == Sites.Count)
            {
                yield return $"No site measured '{name}' as a number: {Names(Sites)} stated NaN or an infinity. The "
                    + "model may have diverged: look at its outputs and the learning rate";
            }
            else if (_notFinite.Count > 0)
            {
                yield return $"The mean of '{name}' leaves out {Names(_notFinite)}, which stated NaN or an infinity; "
                    + "a site without validation data states the weight 0";
            }
            if (_implausible.Count > 0)
            {
                yield return $"The mean of '{name}' leaves out {Names(_implausible)}: {Readable.Number(_odd)} cannot "
                    + "be one. Look at how it is computed there";
            }
        }
    }
}

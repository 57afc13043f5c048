namespace Flare.Reporting;

/// <summary>
/// A run as one HTML page without scripts or outside files: facts, how it ended in numbers, quality, contributions and
/// time by round, what each site contributed, warnings of the rounds, and what went wrong. The contributions of single
/// sites are shown for rounds whose reports still have them all; a federation thins out old ones. What sites say is
/// shown as text, whatever it is, and numbers are the same in every culture.
/// </summary>
/// <remarks>
/// The page of a long run stays one that a browser opens: charts are thinned to what can be seen, and tables keep the
/// last rounds, those with the best models, and the first failures, and say so.
/// </remarks>
public sealed partial class HtmlReport
{
    private readonly List<(string Name, string Value)> _facts = [];
    private readonly List<(string Metric, string Label, IReadOnlyList<double> Values)> _references = [];

    /// <summary>Describes a run.</summary>
    /// <param name="title">The page's title.</param>
    /// <param name="rounds">The reports of its rounds, in order.</param>
    public HtmlReport(string title, IReadOnlyList<RoundReport> rounds)
    {
        ArgumentNullException.ThrowIfNull(title);
        ArgumentNullException.ThrowIfNull(rounds);
        (Title, Rounds) = (title, rounds);
    }

    /// <summary>The page's title.</summary>
    public string Title { get; }

    /// <summary>The rounds, in order.</summary>
    public IReadOnlyList<RoundReport> Rounds { get; }

    /// <summary>Adds a fact to the page's head, such as a seed or a size. Returns this instance.</summary>
    public HtmlReport AddFact(string name, string value)
    {
        _facts.Add((name, value));
        return this;
    }

    /// <summary>
    /// Adds a line to a metric's chart to compare with, such as the same model trained centrally; where no round has
    /// the metric, the line has a chart of its own that says so. Returns this instance.
    /// </summary>
    /// <param name="metric">The metric, as <see cref="RoundReport.Metrics"/> names it.</param>
    /// <param name="label">What the line is.</param>
    /// <param name="values">Its values, one a round.</param>
    public HtmlReport AddReference(string metric, string label, IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(metric);
        ArgumentNullException.ThrowIfNull(label);
        ArgumentNullException.ThrowIfNull(values);
        _references.Add((metric, label, values));
        return this;
    }

    /// <summary>Writes the page as UTF-8, taking the place of an earlier one.</summary>
    public Task SaveAsync(string path, CancellationToken cancellationToken = default) =>
        File.WriteAllTextAsync(path, ToHtml(), cancellationToken);

    /// <summary>The page.</summary>
    public string ToHtml()
    {
        var html = Html.Of($"""
            <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>{Title}</title><style>{Html.Raw(Style)}</style></head><body><h1>{Title}</h1>
            """);
        AppendFacts(html);
        AppendEnd(html);
        AppendCharts(html);
        AppendSites(html);
        AppendWarnings(html);
        AppendFailures(html);
        AppendRounds(html);
        html.Append($"</body></html>\n");
        return html.ToString();
    }

    private void AppendFacts(Html html)
    {
        html.Append($"<dl>");
        foreach (var (name, value) in _facts) html.Append($"<div><dt>{name}</dt><dd>{value}</dd></div>");
        html.Append($"</dl>");
    }

    private void AppendRounds(Html html)
    {
        const int most = 1000;
        RoundReport[] shown = [.. Rounds.Where((round, index) => index >= Rounds.Count - most || round.IsBest)];
        var models = Rounds.Any(r => r.ModelSha256 is not null); // without a journal nobody has hashed them
        html.Append($"""
            <h2>Rounds</h2>{Html.If(shown.Length < Rounds.Count,
                $"<p>The last {most:N0} of {Rounds.Count:N0}, and those that were the best so far.</p>")}
            <table class="rows"><tr><th>round</th><th>sites</th><th>metrics</th><th>time</th><th>best</th>
            """);
        html.Append($"{Html.If(models, $"<th>model</th>")}</tr>");
        foreach (var round in shown)
        {
            html.Append(
                $"<tr><td>{round.Number}</td><td class=\"one\">{round.Accepted} of "
                    + $"{round.Targets}</td><td>{Metrics(round)}</td>");
            html.Append(
                $"<td class=\"one\">{Readable.Duration(round.Elapsed)}</td><td>{(round.IsBest ? "★" : "")}</td>");
            if (models) html.Append($"<td><code>{round.ModelSha256?[..12]}</code></td>");
            html.Append($"</tr>");
        }
        html.Append($"</table>");
    }

    private static Html Metrics(RoundReport round)
    {
        var html = new Html();
        foreach (var (name, value) in round.Metrics.OrderBy(m => m.Key, StringComparer.Ordinal))
            html.Append($"{(html.IsEmpty ? "" : ", ")}<bdi>{name}</bdi> {value:G5}");
        return html;
    }
}

namespace Flare.Reporting;

public sealed partial class HtmlReport
{
    private SvgChart Chart => new([.. Rounds.Select(r => r.Number)]);

    private void AppendCharts(Html html)
    {
        var metrics = Rounds.SelectMany(r => r.Metrics.Keys).ToHashSet(StringComparer.Ordinal);
        html.Append($"<section class=\"charts\">");
        foreach (var metric in metrics.Union(_references.Select(r => r.Metric)).Order(StringComparer.Ordinal))
            AppendMetric(html, metric, metrics.Contains(metric));
        AppendContributions(html);
        AppendTime(html);
        html.Append($"</section>");
    }

    private void AppendMetric(Html html, string metric, bool known)
    {
        List<(string, IReadOnlyList<double>)> lines = [];
        if (known) lines.Add(("federation", [.. Rounds.Select(r => r.Metrics.GetValueOrDefault(metric, double.NaN))]));
        foreach (var (_, label, values) in _references.Where(r => r.Metric == metric)) lines.Add((label, values));
        AppendFigure(
            html, known ? $"{metric} by round" : $"{metric} by round: no round has this metric", Chart.Lines(lines));
    }

    private void AppendContributions(Html html) => AppendFigure(html, "contributions by round", Chart.Lines(
        [("used", [.. Rounds.Select(r => (double)r.Accepted)]),
            ("asked for", [.. Rounds.Select(r => (double)r.Targets)])],
        counts: true));

    private void AppendTime(Html html)
    {
        var longest = Rounds.Select(r => r.Elapsed.TotalSeconds).DefaultIfEmpty(0).Max();
        var (unit, seconds) = longest < 180 ? ("seconds", 1) : longest < 3 * 3600 ? ("minutes", 60) : ("hours", 3600);
        AppendFigure(html, $"{unit} by round", Chart.Bars(
            [.. Rounds.Select(r => r.Elapsed.TotalSeconds / seconds)], i => Readable.Duration(Rounds[i].Elapsed)));
    }

    private static Html AppendFigure(Html html, string caption, Html chart) =>
        html.Append($"<figure><figcaption><bdi>{caption}</bdi></figcaption>{chart}</figure>");
}

using System.Globalization;
using System.Net;
using System.Text;

namespace Flare;

/// <summary>
/// A run as one HTML page without scripts or outside files: facts, quality, contributions and time by round, what each site contributed, and what went
/// wrong. The contributions of single sites are shown for rounds whose reports still have them all; see <see cref="Federation.Rounds"/>.
/// </summary>
public sealed class HtmlReport
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

    /// <summary>Adds a line to a metric's chart to compare with, such as the same model trained centrally. Returns this instance.</summary>
    /// <param name="metric">The metric, as <see cref="RoundReport.Metrics"/> names it.</param>
    /// <param name="label">What the line is.</param>
    /// <param name="values">Its values, one a round.</param>
    public HtmlReport AddReference(string metric, string label, IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        _references.Add((metric, label, values));
        return this;
    }

    /// <summary>Writes the page, taking the place of an earlier one.</summary>
    public Task SaveAsync(string path, CancellationToken cancellationToken = default) => File.WriteAllTextAsync(path, ToHtml(), cancellationToken);

    /// <summary>The page.</summary>
    public string ToHtml()
    {
        var html = new StringBuilder();
        html.Append(CultureInfo.InvariantCulture, $"""
            <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>{Escape(Title)}</title><style>{Style}</style></head><body><h1>{Escape(Title)}</h1>
            """);
        AppendFacts(html);
        html.Append("<section class=\"charts\">");
        foreach (var metric in Rounds.SelectMany(r => r.Metrics.Keys).Distinct().Order(StringComparer.Ordinal)) AppendMetric(html, metric);
        AppendContributions(html);
        AppendTime(html);
        html.Append("</section>");
        AppendSites(html);
        AppendFailures(html);
        AppendRounds(html);
        return html.Append("</body></html>\n").ToString();
    }

    private void AppendFacts(StringBuilder html)
    {
        html.Append("<dl>");
        foreach (var (name, value) in _facts) html.Append(CultureInfo.InvariantCulture, $"<div><dt>{Escape(name)}</dt><dd>{Escape(value)}</dd></div>");
        html.Append("</dl>");
    }

    private void AppendMetric(StringBuilder html, string metric)
    {
        List<(string, IReadOnlyList<double>)> lines = [("federation", [.. Rounds.Select(r => r.Metrics.GetValueOrDefault(metric, double.NaN))])];
        foreach (var (_, label, values) in _references.Where(r => r.Metric == metric)) lines.Add((label, values));
        html.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>{Escape(metric)} by round</figcaption>{SvgChart.Lines(lines, FirstRound)}</figure>");
    }

    private void AppendContributions(StringBuilder html) =>
        html.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>contributions by round</figcaption>{SvgChart.Lines([("used", [.. Rounds.Select(r => (double)r.Accepted)]), ("asked for", [.. Rounds.Select(r => (double)r.Targets)])], FirstRound)}</figure>");

    private void AppendTime(StringBuilder html) =>
        html.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>seconds by round</figcaption>{SvgChart.Bars([.. Rounds.Select(r => r.Elapsed.TotalSeconds)], FirstRound)}</figure>");

    private void AppendSites(StringBuilder html)
    {
        RoundReport[] whole = [.. Rounds.Where(IsWhole)];
        var bySite = whole.SelectMany((round, index) => MainOutcomes(round).Select(outcome => (index, outcome))).GroupBy(x => x.outcome.Site, StringComparer.Ordinal).ToArray();
        const int most = 100;
        html.Append(CultureInfo.InvariantCulture, $"<h2>Contributions by site</h2><p>Each cell is a round; the darker, the more training steps. {(bySite.Length > most ? $"The first {most} of {bySite.Length} sites. " : "")}{(whole.Length < Rounds.Count ? $"{whole.Length} of {Rounds.Count} rounds: reports of the others keep only what went wrong." : "")}</p><table class=\"grid\">");
        var steps = bySite.Length == 0 ? 1 : Math.Max(1, bySite.Max(s => s.Max(x => x.outcome.NumSteps ?? 0)));
        foreach (var site in bySite.Take(most))
        {
            html.Append(CultureInfo.InvariantCulture, $"<tr><th>{Escape(site.Key)}</th>");
            var cells = site.ToLookup(x => x.index, x => x.outcome);
            for (var round = 0; round < whole.Length; round++) html.Append(Cell(cells[round].LastOrDefault(), whole[round].Number, steps));
            html.Append(CultureInfo.InvariantCulture, $"<td class=\"sum\">{site.Sum(x => x.outcome.Status == SiteStatus.Accepted ? x.outcome.NumSteps ?? 0 : 0):N0} steps</td></tr>");
        }
        html.Append("</table>");
    }

    // The round's main task is its first; further ones of its name count with it.
    private static IEnumerable<SiteOutcome> MainOutcomes(RoundReport round) => round.Sites.Where(s => s.Task == round.Sites[0].Task);

    // A report that was thinned out has lost outcomes that were accepted, and its first may be of another task than the round's.
    private static bool IsWhole(RoundReport round) =>
        MainOutcomes(round).Count() == round.Targets && MainOutcomes(round).Count(s => s.Status == SiteStatus.Accepted) == round.Accepted;

    private static string Cell(SiteOutcome? outcome, int round, long mostSteps)
    {
        if (outcome is null) return "<td></td>";
        var hint = Escape($"round {round}: {outcome}{(outcome.NumSteps is { } n ? $", {n} steps" : "")}, {outcome.Elapsed.TotalSeconds:F2} s");
        return outcome.Status == SiteStatus.Accepted
            ? string.Create(CultureInfo.InvariantCulture, $"<td class=\"ok\" style=\"--share:{0.25 + 0.75 * (outcome.NumSteps ?? mostSteps) / mostSteps:F2}\" title=\"{hint}\"></td>")
            : $"<td class=\"bad\" title=\"{hint}\"></td>";
    }

    private void AppendFailures(StringBuilder html)
    {
        const int most = 200;
        var failures = Rounds.SelectMany(r => r.Sites.Where(s => s.Status != SiteStatus.Accepted).Select(s => (r.Number, s))).Take(most + 1).ToArray();
        if (failures.Length == 0) return;
        html.Append(CultureInfo.InvariantCulture, $"<h2>What went wrong</h2>{(failures.Length > most ? $"<p>The first {most}.</p>" : "")}<table class=\"rows\"><tr><th>round</th><th>site</th><th>task</th><th>status</th><th>reason</th></tr>");
        foreach (var (round, outcome) in failures.Take(most))
        {
            var stack = outcome.Error is { Stack.Length: > 0 } error ? $"<details><summary>stack</summary><pre>{Escape(error.Stack)}</pre></details>" : "";
            html.Append(CultureInfo.InvariantCulture, $"<tr><td>{round}</td><td>{Escape(outcome.Site)}</td><td>{Escape(outcome.Task)}</td><td>{outcome.Status}</td><td>{Escape(outcome.Reason ?? "")}{stack}</td></tr>");
        }
        html.Append("</table>");
    }

    private void AppendRounds(StringBuilder html)
    {
        html.Append("<h2>Rounds</h2><table class=\"rows\"><tr><th>round</th><th>sites</th><th>metrics</th><th>seconds</th><th>best</th><th>model</th></tr>");
        foreach (var round in Rounds)
        {
            var metrics = string.Join(", ", round.Metrics.OrderBy(m => m.Key, StringComparer.Ordinal).Select(m => string.Create(CultureInfo.InvariantCulture, $"{m.Key} {m.Value:G5}")));
            html.Append(CultureInfo.InvariantCulture, $"<tr><td>{round.Number}</td><td>{round.Accepted} of {round.Targets}</td><td>{Escape(metrics)}</td><td>{round.Elapsed.TotalSeconds:F3}</td><td>{(round.IsBest ? "★" : "")}</td><td><code>{Escape(round.ModelSha256 is { } sha ? sha[..12] : "")}</code></td></tr>");
        }
        html.Append("</table>");
    }

    private int FirstRound => Rounds.Count > 0 ? Rounds[0].Number : 1;

    // Site names and error texts come from other machines: nothing of them is markup.
    private static string Escape(string text) => WebUtility.HtmlEncode(text);

    private const string Style = """
        :root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--line:#d7dce4;--a:#2563eb;--b:#d97706;--c:#059669;--bad:#dc2626;--paper:#fff}
        @media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#98a2b3;--line:#344054;--a:#60a5fa;--b:#fbbf24;--c:#34d399;--bad:#f87171;--paper:#12161c}}
        body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;margin:2rem auto;padding:0 1rem}
        h1{font-size:1.6rem;margin:0 0 1rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}p,dt,figcaption{color:var(--soft)}
        dl{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:0 0 1.5rem}dt{font-size:.8rem}dd{margin:0;font-weight:600;overflow-wrap:anywhere}
        .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:1rem}figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.75rem}
        svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:11px}.axis{stroke:var(--line)}.s0{stroke:var(--a);fill:var(--a)}.s1{stroke:var(--b);fill:var(--b)}.s2{stroke:var(--c);fill:var(--c)}polyline{fill:none!important;stroke-width:2}
        table{border-collapse:collapse}.grid td{width:18px;height:18px;border:2px solid var(--paper);padding:0}.grid th{text-align:left;font-weight:400;padding-right:.75rem}.grid .sum{width:auto;color:var(--soft);padding-left:.5rem;white-space:nowrap}
        .ok{background:color-mix(in srgb,var(--a) calc(var(--share)*100%),var(--paper))}.bad{background:var(--bad)}
        .rows{width:100%}.rows th,.rows td{text-align:left;vertical-align:top;border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0}pre{white-space:pre-wrap;font-size:12px}
        """;
}

using System.Globalization;
using System.Net;
using System.Text;

namespace Flare;

/// <summary>
/// A run as one HTML page without scripts or outside files: facts, quality, contributions and time by round, what each site contributed, and what went
/// wrong. The contributions of single sites are shown for rounds whose reports still have them all; see <c>Federation.Rounds</c>.
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
        AppendFigure(html, $"{metric} by round", Chart.Lines(lines));
    }

    private void AppendContributions(StringBuilder html) =>
        AppendFigure(html, "contributions by round", Chart.Lines([("used", [.. Rounds.Select(r => (double)r.Accepted)]), ("asked for", [.. Rounds.Select(r => (double)r.Targets)])], counts: true));

    private void AppendTime(StringBuilder html)
    {
        var longest = Rounds.Select(r => r.Elapsed.TotalSeconds).DefaultIfEmpty(0).Max();
        var (unit, seconds) = longest < 180 ? ("seconds", 1) : longest < 3 * 3600 ? ("minutes", 60) : ("hours", 3600);
        AppendFigure(html, $"{unit} by round", Chart.Bars([.. Rounds.Select(r => r.Elapsed.TotalSeconds / seconds)], i => Readable.Duration(Rounds[i].Elapsed)));
    }

    private static void AppendFigure(StringBuilder html, string caption, string chart) =>
        html.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>{Escape(caption)}</figcaption>{chart}</figure>");

    private SvgChart Chart => new([.. Rounds.Select(r => r.Number)]);

    private void AppendSites(StringBuilder html)
    {
        RoundReport[] whole = [.. Rounds.Where(IsWhole)];
        var bySite = whole.SelectMany((round, index) => MainOutcomes(round).Select(outcome => (index, outcome))).GroupBy(x => x.outcome.Site, StringComparer.Ordinal).ToArray();
        const int most = 100;
        html.Append(CultureInfo.InvariantCulture, $"""
            <h2>Contributions by site</h2><p>Each cell is a round: <span class="key ok" style="--share:0.3"></span><span class="key ok" style="--share:1"></span> used, the darker, the more training steps;
            <span class="key bad"></span> not used, because the site failed, was refused, came too late or was lost. Point at a cell to read more.
            {(bySite.Length > most ? $"The first {most} of {bySite.Length} sites. " : "")}{(whole.Length < Rounds.Count ? $"{whole.Length} of {Rounds.Count} rounds: reports of the others keep only what went wrong." : "")}</p><table class="grid">
            """);
        var steps = bySite.Length == 0 ? 1 : Math.Max(1, bySite.Max(s => s.Max(x => x.outcome.NumSteps ?? 0)));
        foreach (var site in bySite.Take(most))
        {
            html.Append(CultureInfo.InvariantCulture, $"<tr><th>{Escape(site.Key)}</th><td class=\"cells\">");
            var cells = site.ToLookup(x => x.index, x => x.outcome);
            for (var round = 0; round < whole.Length; round++) html.Append(Cell(cells[round].LastOrDefault(), whole[round].Number, steps));
            html.Append(CultureInfo.InvariantCulture, $"</td><td class=\"sum\">{Readable.Count(site.Sum(x => x.outcome.Status == SiteStatus.Accepted ? x.outcome.NumSteps ?? 0 : 0), "step")}</td></tr>");
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
        if (outcome is null) return "<span></span>";
        var hint = Escape($"round {round}: {outcome}{(outcome.NumSteps is { } n ? $", {Readable.Count(n, "step")}" : "")}, {Readable.Duration(outcome.Elapsed)}");
        return outcome.Status == SiteStatus.Accepted
            ? string.Create(CultureInfo.InvariantCulture, $"<span class=\"ok\" style=\"--share:{0.25 + 0.75 * (outcome.NumSteps ?? mostSteps) / mostSteps:F2}\" title=\"{hint}\"></span>")
            : $"<span class=\"bad\" title=\"{hint}\"></span>";
    }

    private void AppendFailures(StringBuilder html)
    {
        const int most = 200;
        // A site that is unwell is so in many rounds: one row says it once.
        var failures = Rounds.SelectMany(r => r.Sites.Where(s => s.Status != SiteStatus.Accepted).Select(s => (r.Number, Outcome: s)))
            .GroupBy(f => (f.Outcome.Site, f.Outcome.Task, f.Outcome.Status, f.Outcome.Reason)).ToArray();
        if (failures.Length == 0) return;
        html.Append(CultureInfo.InvariantCulture, $"<h2>What went wrong</h2>{(failures.Length > most ? $"<p>The first {most} of {failures.Length:N0}.</p>" : "")}<table class=\"rows wrong\"><tr><th>rounds</th><th>site</th><th>task</th><th>status</th><th>reason</th></tr>");
        foreach (var failure in failures.Take(most))
        {
            var (site, task, status, reason) = failure.Key;
            var stack = failure.Select(f => f.Outcome.Error?.Stack).FirstOrDefault(s => s is { Length: > 0 }) is { } text ? $"<details><summary>stack</summary><pre>{Escape(text)}</pre></details>" : "";
            html.Append(CultureInfo.InvariantCulture, $"<tr><td>{Ranges([.. failure.Select(f => f.Number).Distinct().Order()])}</td><td class=\"name\">{Escape(site)}</td><td class=\"name\">{Escape(task)}</td><td class=\"one\">{status}</td><td>{Escape(reason ?? "")}{stack}</td></tr>");
        }
        html.Append("</table>");
    }

    // Such as "1–3, 7".
    private static string Ranges(int[] numbers)
    {
        List<string> ranges = [];
        for (int first = 0, last; first < numbers.Length; first = last + 1)
        {
            for (last = first; last + 1 < numbers.Length && numbers[last + 1] == numbers[last] + 1; last++) { }
            ranges.Add(first == last ? $"{numbers[first]}" : $"{numbers[first]}–{numbers[last]}");
        }
        return string.Join(", ", ranges);
    }

    private void AppendRounds(StringBuilder html)
    {
        var models = Rounds.Any(r => r.ModelSha256 is not null); // without a journal nobody has hashed them
        html.Append(CultureInfo.InvariantCulture, $"<h2>Rounds</h2><table class=\"rows\"><tr><th>round</th><th>sites</th><th>metrics</th><th>time</th><th>best</th>{(models ? "<th>model</th>" : "")}</tr>");
        foreach (var round in Rounds)
        {
            var metrics = string.Join(", ", round.Metrics.OrderBy(m => m.Key, StringComparer.Ordinal).Select(m => string.Create(CultureInfo.InvariantCulture, $"{m.Key} {m.Value:G5}")));
            var model = models ? $"<td><code>{Escape(round.ModelSha256 is { } sha ? sha[..12] : "")}</code></td>" : "";
            html.Append(CultureInfo.InvariantCulture, $"<tr><td>{round.Number}</td><td class=\"one\">{round.Accepted} of {round.Targets}</td><td>{Escape(metrics)}</td><td class=\"one\">{Readable.Duration(round.Elapsed)}</td><td>{(round.IsBest ? "★" : "")}</td>{model}</tr>");
        }
        html.Append("</table>");
    }

    // Site names and error texts come from other machines: nothing of them is markup.
    private static string Escape(string text) => WebUtility.HtmlEncode(text);

    private const string Style = """
        :root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--line:#d7dce4;--a:#2563eb;--b:#d97706;--c:#059669;--bad:#dc2626;--paper:#fff}
        @media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#98a2b3;--line:#344054;--a:#60a5fa;--b:#fbbf24;--c:#34d399;--bad:#f87171;--paper:#12161c}}
        body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;margin:2rem auto;padding:0 1rem}
        h1{font-size:1.6rem;margin:0 0 1rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}p,dt,figcaption{color:var(--soft)}h1,th,td,p,figcaption,pre{overflow-wrap:anywhere}
        dl{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:0 0 1.5rem}dt{font-size:.8rem}dd{margin:0;font-weight:600;overflow-wrap:anywhere}
        .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:1rem}figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.75rem}figure p{margin:0;font-size:.8rem}
        svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}.axis{stroke:var(--line)}.s0{stroke:var(--a);fill:var(--a)}.s1{stroke:var(--b);fill:var(--b)}.s2{stroke:var(--c);fill:var(--c)}polyline{fill:none!important;stroke-width:2}
        .key{display:inline-block;width:.7em;height:.7em;border-radius:2px;margin:0 .3em 0 .2em}.key~.key{margin-left:.2em}figure .key~.key{margin-left:1em}.k0{background:var(--a)}.k1{background:var(--b)}.k2{background:var(--c)}
        table{border-collapse:collapse}.grid th,.grid td{text-align:left;font-weight:400;vertical-align:top;padding:0 .75rem .25rem 0}.grid .sum,.one{white-space:nowrap}.grid .sum{color:var(--soft)}
        .cells span{display:inline-block;width:14px;height:14px;margin:4px 2px 0 0;vertical-align:top}.cells{line-height:0}
        .ok{background:color-mix(in srgb,var(--a) calc(var(--share)*100%),var(--paper))}.bad{background:var(--bad)}
        .rows{width:100%}.rows th,.rows td{text-align:left;vertical-align:top;border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0}.rows th{overflow-wrap:normal}.name{min-width:5em}pre{white-space:pre-wrap;font-size:12px}
        @media(max-width:640px){.wrong tr{display:flex;flex-wrap:wrap;gap:0 .75rem;border-bottom:1px solid var(--line)}.wrong th,.wrong td{border:0;padding:.15rem 0}.wrong td:last-child{width:100%}}
        """;
}

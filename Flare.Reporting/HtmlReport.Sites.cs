namespace Flare.Reporting;

public sealed partial class HtmlReport
{
    private const int MostSites = 100, MostCells = 500, MostFailures = 200, MostRanges = 50;

    private void AppendSites(Html html)
    {
        RoundReport[] whole = [.. Rounds.Where(IsWhole)];
        var shown = whole.TakeLast(MostCells).ToArray();
        var bySite = shown.SelectMany((round, index) => MainOutcomes(round).Select(outcome => (index, outcome)))
            .GroupBy(x => x.outcome.Site, StringComparer.Ordinal).ToArray();
        html.Append($"""
            <h2>Contributions by site</h2><p>Each cell is a round: <span class="key ok" style="--share:0.3"></span><span
            class="key ok" style="--share:1"></span> used, the darker, the more training steps; <span class="key bad"></span>
            not used, because the site failed, was refused, came too late or was lost. Point at a cell to read more.
            {Html.If(bySite.Length > MostSites, $"The first {MostSites} of {bySite.Length:N0} sites. ")}
            """);
        if (whole.Length < Rounds.Count)
            html.Append($"{whole.Length} of {Rounds.Count} rounds: reports of the others keep only what went wrong. ");
        if (shown.Length < whole.Length) html.Append($"The last {shown.Length} of {whole.Length:N0} rounds.");
        html.Append($"</p><table class=\"grid\">");
        var most = bySite.SelectMany(s => s).Max(x => x.outcome.NumSteps) ?? 1;
        foreach (var site in bySite.Take(MostSites))
        {
            html.Append($"<tr><th><bdi>{site.Key}</bdi></th><td class=\"cells\">");
            var cells = site.ToLookup(x => x.index, x => x.outcome);
            for (var i = 0; i < shown.Length; i++)
                AppendCell(html, cells[i].LastOrDefault(), shown[i].Number, Math.Max(1, most));
            html.Append(
                $"</td><td class=\"sum\">{Readable.Count(Steps(site.Select(x => x.outcome)), "step")}</td></tr>");
        }
        html.Append($"</table>");
    }

    // The round's main task is its first; further ones of its name count with it.
    private static IEnumerable<SiteOutcome> MainOutcomes(RoundReport round) =>
        round.Sites.Where(s => s.Task == round.Sites[0].Task);

    // A report that was thinned out has lost outcomes that were accepted; its first may be of another task than the
    // round's.
    private static bool IsWhole(RoundReport round) =>
        MainOutcomes(round).Count() == round.Targets
        && MainOutcomes(round).Count(s => s.Status == SiteStatus.Accepted) == round.Accepted;

    // Sites state what they like: a sum of such numbers has room for all.
    private static Int128 Steps(IEnumerable<SiteOutcome> outcomes) => outcomes
        .Where(o => o.Status == SiteStatus.Accepted)
        .Aggregate(Int128.Zero, (sum, outcome) => sum + (outcome.NumSteps ?? 0));

    private static void AppendCell(Html html, SiteOutcome? outcome, int round, long mostSteps)
    {
        if (outcome is null)
        {
            html.Append($"<span></span>");
            return;
        }
        var steps = outcome.NumSteps is { } n ? $", {Readable.Count(n, "step")}" : "";
        var hint = $"round {round}: {outcome}{steps}, {Readable.Duration(outcome.Elapsed)}";
        var share = 0.25 + 0.75 * (outcome.NumSteps ?? mostSteps) / mostSteps;
        if (outcome.Status == SiteStatus.Accepted)
            html.Append($"<span class=\"ok\" style=\"--share:{share:F2}\" title=\"{hint}\"></span>");
        else
            html.Append($"<span class=\"bad\" title=\"{hint}\"></span>");
    }

    private void AppendFailures(Html html)
    {
        // A site that is unwell is so in many rounds: one row says it once.
        var failures = Rounds
            .SelectMany(r => r.Sites.Where(s => s.Status != SiteStatus.Accepted).Select(s => (r.Number, Outcome: s)))
            .GroupBy(f => (f.Outcome.Site, f.Outcome.Task, f.Outcome.Status, f.Outcome.Reason)).ToArray();
        if (failures.Length == 0) return;
        html.Append($"""
            <h2>What went wrong</h2>{Html.If(failures.Length > MostFailures,
                $"<p>The first {MostFailures} of {failures.Length:N0}.</p>")}
            <table class="rows wrong"><tr><th>rounds</th><th>site</th><th>task</th><th>status</th><th>reason</th></tr>
            """);
        foreach (var failure in failures.Take(MostFailures))
        {
            var (site, task, status, reason) = failure.Key;
            var stack = failure.Select(f => f.Outcome.Error?.Stack).FirstOrDefault(s => s is { Length: > 0 });
            html.Append($"<tr><td>{Ranges([.. failure.Select(f => f.Number).Distinct().Order()])}</td>");
            html.Append($"<td class=\"name\"><bdi>{site}</bdi></td><td class=\"name\"><bdi>{task}</bdi></td>");
            html.Append($"<td class=\"one\">{status}</td><td>{reason}");
            if (stack is not null) html.Append($"<details><summary>stack</summary><pre>{stack}</pre></details>");
            html.Append($"</td></tr>");
        }
        html.Append($"</table>");
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
        return string.Join(", ", ranges.Take(MostRanges)) + (ranges.Count > MostRanges ? ", …" : "");
    }
}

namespace Flare.Reporting;

public sealed partial class HtmlReport
{
    private const int MostWarnings = 200;

    private string? _failure;

    /// <summary>Says that the run failed, and of what: what <c>RunAsync</c> threw. Returns this instance.</summary>
    /// <param name="failure">The exception; its message is shown.</param>
    public HtmlReport AddFailure(Exception failure)
    {
        ArgumentNullException.ThrowIfNull(failure);
        _failure = failure is OperationCanceledException ? $"was aborted: {failure.Message}"
            : $"failed: {failure.Message}";
        return this;
    }

    // The same numbers as the last line of the run's log, of all rounds that the page has.
    private void AppendEnd(Html html)
    {
        var time = Readable.Duration(TimeSpan.FromTicks(Rounds.Sum(r => r.Elapsed.Ticks)));
        var unused = Rounds.SelectMany(r => r.Sites).Where(s => s.Status != SiteStatus.Accepted)
            .GroupBy(s => s.Status).OrderBy(g => g.Key).Select(g => $", {g.Count()} {g.Key}");
        html.Append($"<p class=\"end\">{Readable.Count(Rounds.Count, "round")} in {time}: ");
        html.Append($"{Rounds.Sum(r => (long)r.Accepted)} of {Rounds.Sum(r => (long)r.Targets)} contributions used");
        html.Append($"{string.Concat(unused)}");
        var (late, again) = (Rounds.Sum(r => (long)r.LateResults), Rounds.Sum(r => (long)r.DuplicateResults));
        html.Append($"{Html.If(late > 0, $", {late} late")}{Html.If(again > 0, $", {again} again")}.</p>");
        html.Append($"{Html.If(_failure is not null, $"<p class=\"end bad-end\">The run {_failure}</p>")}");
    }

    private void AppendWarnings(Html html)
    {
        // What is odd in every round is told once.
        var warnings = Rounds.SelectMany(r => r.Warnings.Select(w => (r.Number, Text: w)))
            .GroupBy(w => w.Text, StringComparer.Ordinal).ToArray();
        if (warnings.Length == 0) return;
        html.Append($"""
            <h2>What to look at</h2>{Html.If(warnings.Length > MostWarnings,
                $"<p>The first {MostWarnings} of {warnings.Length:N0}.</p>")}
            <table class="rows warnings"><tr><th>rounds</th><th>warning</th></tr>
            """);
        foreach (var warning in warnings.Take(MostWarnings))
        {
            html.Append($"<tr><td>{Ranges([.. warning.Select(w => w.Number).Distinct().Order()])}</td>");
            html.Append($"<td>{warning.Key}</td></tr>");
        }
        html.Append($"</table>");
    }
}

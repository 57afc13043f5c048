using System.Globalization;
using System.Text;

namespace Flare.Reporting;

/// <summary>
/// A table of rounds in the terminal: a row a round, and under it whose answers were not used, and why. Not
/// thread-safe, but for its <see cref="Progress"/>.
/// </summary>
public sealed class RoundTable
{
    private const int LeastWidth = 8, MostMetrics = 4, MostOutcomes = 3;
    private readonly TextWriter _output;
    private readonly List<(string Heading, Func<RoundReport, string> Value)> _columns = [];
    private bool _begun;

    /// <summary>A table that is written as rounds are added.</summary>
    /// <param name="output">Where to write; the console unless given.</param>
    /// <param name="live">Whether that is a terminal; unless given, whether the console is one.</param>
    public RoundTable(TextWriter? output = null, bool? live = null) =>
        (_output, Progress) = (output ?? Console.Out, new ProgressLine(output, live));

    /// <summary>
    /// The running round's progress, in the table's last line: a component for <c>AddServerComponent</c>.
    /// </summary>
    public ProgressLine Progress { get; }

    /// <summary>
    /// Adds a column. Without any, the table has the first round's metrics: at most four, in alphabetical order,
    /// without those of single parts, which have a dot in their name (<c>encryption.seconds</c>). Returns this
    /// instance.
    /// </summary>
    /// <param name="heading">The column's heading.</param>
    /// <param name="value">A round's cell; called once for each row, from left to right.</param>
    /// <exception cref="InvalidOperationException">The table has rows already.</exception>
    public RoundTable AddColumn(string heading, Func<RoundReport, string> value)
    {
        ArgumentNullException.ThrowIfNull(heading);
        ArgumentNullException.ThrowIfNull(value);
        if (_begun)
            throw new InvalidOperationException("The table has rows already: add columns before the first round.");
        _columns.Add((heading, value));
        return this;
    }

    /// <summary>Adds a column for a metric; a round that lacks it has a dash. Returns this instance.</summary>
    /// <param name="metric">The metric, as <see cref="RoundReport.Metrics"/> names it; the heading, too.</param>
    /// <param name="format">Its format, in the invariant culture.</param>
    /// <exception cref="InvalidOperationException">The table has rows already.</exception>
    public RoundTable AddMetric(string metric, string format = "G4") => AddColumn(metric, round =>
        round.Metrics.TryGetValue(metric, out var value) ? value.ToString(format, CultureInfo.InvariantCulture) : "–");

    /// <summary>Writes a round's row, and the headings before the first.</summary>
    public void Add(RoundReport round)
    {
        ArgumentNullException.ThrowIfNull(round);
        var rows = new StringBuilder();
        if (!_begun) Begin(rows, round);
        rows.Append(CultureInfo.InvariantCulture, $"{round.Number,5}   {$"{round.Accepted}/{round.Targets}",5}");
        foreach (var (heading, value) in _columns) rows.Append("   ").Append(value(round).PadLeft(WidthOf(heading)));
        rows.Append(CultureInfo.InvariantCulture, $"   {round.Elapsed.TotalSeconds,7:F2}{(round.IsBest ? "  *" : "")}");
        rows.AppendLine();
        SiteOutcome[] unused = [.. round.Sites.Where(s => s.Status != SiteStatus.Accepted)];
        foreach (var outcome in unused.Take(MostOutcomes))
            rows.Append("        ").AppendLine(ShownText.Of($"{outcome}"));
        if (unused.Length > MostOutcomes)
            rows.AppendLine(
                CultureInfo.InvariantCulture,
                $"        … and {Readable.Count(unused.Length - MostOutcomes, "more answer")}");
        Progress.Write(rows.ToString());
    }

    private void Begin(StringBuilder rows, RoundReport first)
    {
        if (_columns.Count == 0)
            foreach (var metric in first.Metrics.Keys.Where(m => !m.Contains('.')).Order(StringComparer.Ordinal)
                .Take(MostMetrics))
                AddMetric(metric);
        _begun = true;
        rows.Append("round   sites");
        foreach (var (heading, _) in _columns)
            rows.Append("   ").Append(ShownText.Of(heading).PadLeft(WidthOf(heading)));
        rows.AppendLine("   seconds");
    }

    private static int WidthOf(string heading) => Math.Max(LeastWidth, heading.Length);
}

namespace Flare.Reporting;

/// <summary>
/// The two kinds of chart in a report, as SVG. Classes name the colours, which the page's style sets.
/// </summary>
/// <param name="rounds">The numbers of the rounds, from left to right.</param>
internal sealed class SvgChart(IReadOnlyList<int> rounds)
{
    private const double Width = 480, Height = 220, Right = 16, Top = 12, Bottom = 24, LetterWidth = 7.5;

    // More than these nobody can tell apart at that width.
    private const int MostStretches = 120;

    /// <summary>
    /// Lines over rounds, with their legend; a value that is not finite leaves a gap. Of very many rounds, each stretch
    /// of a line shows its lowest and its highest value, so that no outlier is lost.
    /// </summary>
    public Html Lines(IReadOnlyList<(string Label, IReadOnlyList<double> Values)> lines, bool counts = false)
    {
        var axis = ChartAxis.Of(lines.SelectMany(l => l.Values.Take(rounds.Count)), counts, counts);
        var left = Left(axis);
        var svg = Begin(axis);
        var legend = new Html();
        for (var s = 0; s < lines.Count; s++)
        {
            var (label, values) = lines[s];
            var points = new Html();
            foreach (var i in Drawn(values))
            {
                var (x, y) = (X(i, left), Y(values[i], axis));
                points.Append($"{x:F1},{y:F1} ");
                svg.Append($"<circle class=\"s{s % 3}\" cx=\"{x:F1}\" cy=\"{y:F1}\" r=\"2.5\">");
                svg.Append($"<title>{label}, round {rounds[i]}: {values[i]:G5}</title></circle>");
            }
            svg.Append($"<polyline class=\"s{s % 3}\" points=\"{points}\"/>");
            legend.Append($"<span class=\"key k{s % 3}\"></span><bdi>{label}</bdi> ");
        }
        svg.Append($"</svg><p>{legend}</p>");
        return svg;
    }

    /// <summary>A bar a round, from zero; of very many rounds, a stretch's bar is its highest.</summary>
    /// <param name="values">The bars' heights.</param>
    /// <param name="hint">What to say about a bar.</param>
    public Html Bars(IReadOnlyList<double> values, Func<int, string> hint)
    {
        var axis = ChartAxis.Of(values, fromZero: true);
        var left = Left(axis);
        var svg = Begin(axis);
        int[] bars = [.. Stretches(values.Count).Select(s => s.MaxBy(i => values[i]))];
        var width = Math.Max(1, (Width - left - Right) / Math.Max(1, bars.Length) * 0.7);
        foreach (var i in bars)
        {
            var (x, y) = (X(i, left) - width / 2, Y(values[i], axis));
            svg.Append($"<rect class=\"s0\" x=\"{x:F1}\" y=\"{y:F1}\" width=\"{width:F1}\"");
            svg.Append($" height=\"{Height - Bottom - y:F1}\"><title>round {rounds[i]}: {hint(i)}</title></rect>");
        }
        svg.Append($"</svg>");
        return svg;
    }

    private IEnumerable<int> Drawn(IReadOnlyList<double> values)
    {
        var count = Math.Min(values.Count, rounds.Count);
        int[] finite = [.. Enumerable.Range(0, count).Where(i => ChartAxis.Holds(values[i]))];
        if (finite.Length <= 2 * MostStretches) return finite;
        double Value(int i) => values[finite[i]];
        var extremes = Stretches(finite.Length).SelectMany(s => new[] { s.MinBy(Value), s.MaxBy(Value) });
        return extremes.Append(0).Append(finite.Length - 1).Distinct().Order().Select(i => finite[i]);
    }

    // The indices up to a count, as at most so many runs of about one length.
    private static IEnumerable<IEnumerable<int>> Stretches(int count)
    {
        var stretches = Math.Min(count, count <= 2 * MostStretches ? count : MostStretches);
        for (long s = 0; s < stretches; s++)
        {
            var (from, to) = ((int)(s * count / stretches), (int)((s + 1) * count / stretches));
            yield return Enumerable.Range(from, to - from);
        }
    }

    private Html Begin(ChartAxis axis)
    {
        var svg = new Html();
        var left = Left(axis);
        svg.Append($"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\">");
        foreach (var tick in axis.Ticks)
        {
            var y = Y(tick, axis);
            svg.Append($"<line class=\"axis\" x1=\"{left:F0}\" x2=\"{Width - Right}\" y1=\"{y:F1}\" y2=\"{y:F1}\"/>");
            svg.Append(
                $"<text class=\"y\" x=\"{left - 6:F0}\" y=\"{y + 4:F1}\" "
                    + $"text-anchor=\"end\">{axis.Label(tick)}</text>");
        }
        var step = (int)ChartAxis.WholeStep(Math.Max(1, rounds.Count) / 10.0);
        for (var i = 0; i < rounds.Count; i++)
        {
            if (rounds[i] % step != 0) continue;
            svg.Append($"<text class=\"x\" x=\"{X(i, left):F1}\" y=\"{Height - Bottom + 18}\" ");
            svg.Append($"text-anchor=\"middle\">{rounds[i]}</text>");
        }
        return svg;
    }

    // As wide as the longest label needs.
    private static double Left(ChartAxis axis) => 12 + LetterWidth * axis.Ticks.Max(t => axis.Label(t).Length);

    private double X(int index, double left) =>
        left + (index + 0.5) * (Width - left - Right) / Math.Max(1, rounds.Count);

    private static double Y(double value, ChartAxis axis) =>
        Height - Bottom - (value - axis.Low) / (axis.High - axis.Low) * (Height - Top - Bottom);
}

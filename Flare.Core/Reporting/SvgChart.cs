using System.Globalization;
using System.Net;
using System.Text;

namespace Flare;

/// <summary>The two kinds of chart in a report, as SVG. Classes name the colours, which the page's style sets.</summary>
/// <param name="rounds">The numbers of the rounds, from left to right.</param>
internal sealed class SvgChart(IReadOnlyList<int> rounds)
{
    private const double Width = 480, Height = 220, Right = 16, Top = 12, Bottom = 24, LetterWidth = 7.5;

    /// <summary>Lines over rounds, with their legend; a value that is not finite leaves a gap.</summary>
    public string Lines(IReadOnlyList<(string Label, IReadOnlyList<double> Values)> lines, bool counts = false)
    {
        var axis = ChartAxis.Of(lines.SelectMany(l => l.Values.Take(rounds.Count)), counts, counts);
        var left = Left(axis);
        var svg = Begin(axis);
        var legend = new StringBuilder();
        for (var s = 0; s < lines.Count; s++)
        {
            var (label, values) = lines[s];
            var points = new StringBuilder();
            for (var i = 0; i < Math.Min(values.Count, rounds.Count); i++)
            {
                if (!ChartAxis.Holds(values[i])) continue;
                var (x, y) = (X(i, left), Y(values[i], axis));
                points.Append(CultureInfo.InvariantCulture, $"{x:F1},{y:F1} ");
                svg.Append(CultureInfo.InvariantCulture, $"<circle class=\"s{s % 3}\" cx=\"{x:F1}\" cy=\"{y:F1}\" r=\"2.5\"><title>{Escape(label)}, round {rounds[i]}: {values[i]:G5}</title></circle>");
            }
            svg.Append(CultureInfo.InvariantCulture, $"<polyline class=\"s{s % 3}\" points=\"{points}\"/>");
            legend.Append(CultureInfo.InvariantCulture, $"<span class=\"key k{s % 3}\"></span>{Escape(label)} ");
        }
        return svg.Append(CultureInfo.InvariantCulture, $"</svg><p>{legend}</p>").ToString();
    }

    /// <summary>A bar a round, from zero.</summary>
    /// <param name="values">The bars' heights.</param>
    /// <param name="hint">What to say about a bar.</param>
    public string Bars(IReadOnlyList<double> values, Func<int, string> hint)
    {
        var axis = ChartAxis.Of(values, fromZero: true);
        var left = Left(axis);
        var svg = Begin(axis);
        var width = Math.Max(1, (Width - left - Right) / Math.Max(1, values.Count) * 0.7);
        for (var i = 0; i < values.Count; i++)
        {
            var (x, y) = (X(i, left) - width / 2, Y(values[i], axis));
            svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"s0\" x=\"{x:F1}\" y=\"{y:F1}\" width=\"{width:F1}\" height=\"{Height - Bottom - y:F1}\"><title>round {rounds[i]}: {Escape(hint(i))}</title></rect>");
        }
        return svg.Append("</svg>").ToString();
    }

    private StringBuilder Begin(ChartAxis axis)
    {
        var svg = new StringBuilder();
        var left = Left(axis);
        svg.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\">");
        foreach (var tick in axis.Ticks)
        {
            var y = Y(tick, axis);
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"axis\" x1=\"{left:F0}\" x2=\"{Width - Right}\" y1=\"{y:F1}\" y2=\"{y:F1}\"/><text class=\"y\" x=\"{left - 6:F0}\" y=\"{y + 4:F1}\" text-anchor=\"end\">{axis.Label(tick)}</text>");
        }
        var step = (int)ChartAxis.WholeStep(Math.Max(1, rounds.Count) / 10.0);
        for (var i = 0; i < rounds.Count; i++)
        {
            if (rounds[i] % step == 0)
                svg.Append(CultureInfo.InvariantCulture, $"<text class=\"x\" x=\"{X(i, left):F1}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{rounds[i]}</text>");
        }
        return svg;
    }

    // As wide as the longest label needs.
    private static double Left(ChartAxis axis) => 12 + LetterWidth * axis.Ticks.Max(t => axis.Label(t).Length);

    private double X(int index, double left) => left + (index + 0.5) * (Width - left - Right) / Math.Max(1, rounds.Count);

    private static double Y(double value, ChartAxis axis) => Height - Bottom - (value - axis.Low) / (axis.High - axis.Low) * (Height - Top - Bottom);

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}

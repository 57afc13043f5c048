using System.Globalization;
using System.Text;

namespace Flare;

/// <summary>The two kinds of chart in a report, as SVG. Classes name the colours, which the page's style sets.</summary>
internal static class SvgChart
{
    private const double Width = 480, Height = 220, Left = 46, Right = 12, Top = 10, Bottom = 42;

    /// <summary>Lines over rounds; a value that is not finite leaves a gap.</summary>
    public static string Lines(IReadOnlyList<(string Label, IReadOnlyList<double> Values)> lines, int firstRound)
    {
        var finite = lines.SelectMany(l => l.Values).Where(double.IsFinite).DefaultIfEmpty(0).ToArray();
        var (low, high) = (finite.Min(), finite.Max());
        if (high - low < 1e-9) (low, high) = (low - 0.5, high + 0.5);
        var count = lines.Max(l => l.Values.Count);
        var svg = Begin(low, high, count, firstRound);
        for (var s = 0; s < lines.Count; s++)
        {
            var (label, values) = lines[s];
            var points = new StringBuilder();
            for (var i = 0; i < values.Count; i++)
            {
                if (!double.IsFinite(values[i])) continue;
                var (x, y) = (X(i, count), Y(values[i], low, high));
                points.Append(CultureInfo.InvariantCulture, $"{x:F1},{y:F1} ");
                svg.Append(CultureInfo.InvariantCulture, $"<circle class=\"s{s % 3}\" cx=\"{x:F1}\" cy=\"{y:F1}\" r=\"2.5\"><title>{HtmlText(label)}, round {firstRound + i}: {values[i]:G5}</title></circle>");
            }
            svg.Append(CultureInfo.InvariantCulture, $"<polyline class=\"s{s % 3}\" points=\"{points}\"/>");
            svg.Append(CultureInfo.InvariantCulture, $"<circle class=\"s{s % 3}\" cx=\"{Left + s * 140 + 5:F0}\" cy=\"{Height - 8:F0}\" r=\"4\"/><text x=\"{Left + s * 140 + 14:F0}\" y=\"{Height - 4:F0}\">{HtmlText(label)}</text>");
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>A bar a round, from zero.</summary>
    public static string Bars(IReadOnlyList<double> values, int firstRound)
    {
        var high = Math.Max(values.DefaultIfEmpty(0).Max(), 1e-9);
        var svg = Begin(0, high, values.Count, firstRound);
        var width = Math.Max(1, (Width - Left - Right) / Math.Max(1, values.Count) * 0.7);
        for (var i = 0; i < values.Count; i++)
        {
            var (x, y) = (X(i, values.Count) - width / 2, Y(values[i], 0, high));
            svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"s0\" x=\"{x:F1}\" y=\"{y:F1}\" width=\"{width:F1}\" height=\"{Height - Bottom - y:F1}\"><title>round {firstRound + i}: {values[i]:F3} s</title></rect>");
        }
        return svg.Append("</svg>").ToString();
    }

    private static StringBuilder Begin(double low, double high, int count, int firstRound)
    {
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\">");
        for (var tick = 0; tick <= 4; tick++)
        {
            var value = low + (high - low) * tick / 4;
            var y = Y(value, low, high);
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"axis\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{y:F1}\" y2=\"{y:F1}\"/><text x=\"{Left - 6}\" y=\"{y + 4:F1}\" text-anchor=\"end\">{value:G3}</text>");
        }
        var step = Math.Max(1, (count + 9) / 10);
        for (var i = 0; i < count; i += step)
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(i, count):F1}\" y=\"{Height - Bottom + 15}\" text-anchor=\"middle\">{firstRound + i}</text>");
        return svg;
    }

    private static double X(int index, int count) => Left + (index + 0.5) * (Width - Left - Right) / Math.Max(1, count);

    private static double Y(double value, double low, double high) => Height - Bottom - (value - low) / (high - low) * (Height - Top - Bottom);

    private static string HtmlText(string text) => System.Net.WebUtility.HtmlEncode(text);
}

using System.Globalization;

namespace Flare.Reporting;

/// <summary>An axis whose ticks are round numbers: multiples of 1, 2, 2.5 or 5 times a power of ten.</summary>
internal readonly record struct ChartAxis(double Low, double High, double Step)
{
    private const int MostTicks = 5;

    /// <summary>The axis that holds the values. What is not finite, or too large to draw, is left out.</summary>
    /// <param name="values">The values.</param>
    /// <param name="fromZero">Whether it begins at 0.</param>
    /// <param name="whole">Whether the ticks are whole numbers.</param>
    public static ChartAxis Of(IEnumerable<double> values, bool fromZero = false, bool whole = false)
    {
        double[] drawn = [.. values.Where(Holds).DefaultIfEmpty(0)];
        var (low, high) = (fromZero ? 0 : drawn.Min(), drawn.Max());
        if (high - low <= 1e-9 * Math.Max(Math.Abs(low), Math.Abs(high)))
        {
            var margin = high == 0 ? 0.5 : Math.Abs(high) / 2;
            (low, high) = (fromZero ? 0 : low - margin, fromZero ? 1 : high + margin);
        }
        var step = whole ? WholeStep((high - low) / (MostTicks - 1)) : RoundStep((high - low) / (MostTicks - 1));
        return new(Math.Floor(low / step) * step, Math.Ceiling(high / step) * step, step);
    }

    /// <summary>Whether a value can be drawn.</summary>
    public static bool Holds(double value) => Math.Abs(value) < 1e300;

    /// <summary>The ticks, from low to high.</summary>
    public IEnumerable<double> Ticks
    {
        get
        {
            var (low, step) = (Low, Step);
            return Enumerable.Range(0, (int)Math.Round((High - Low) / Step) + 1).Select(i => low + i * step);
        }
    }

    /// <summary>A tick's text, with as many decimals as the step needs.</summary>
    public string Label(double tick)
    {
        if (Step < 1e-4 || Math.Max(Math.Abs(Low), Math.Abs(High)) >= 1e6)
            return tick.ToString("0.##E+0", CultureInfo.InvariantCulture);
        var decimals = 0;
        for (var scaled = Step; decimals < 6 && Math.Abs(scaled - Math.Round(scaled)) > 1e-6; scaled *= 10) decimals++;
        return tick.ToString($"F{decimals}", CultureInfo.InvariantCulture);
    }

    /// <summary>The least round number that is whole, and no less.</summary>
    public static double WholeStep(double least) => Math.Max(1, RoundStep(least) is 2.5 ? 5 : RoundStep(least));

    private static double RoundStep(double least)
    {
        var unit = Math.Pow(10, Math.Floor(Math.Log10(least)));
        foreach (var factor in (ReadOnlySpan<double>)[1, 2, 2.5, 5])
            if (factor * unit >= least * (1 - 1e-9)) return factor * unit;
        return 10 * unit;
    }
}

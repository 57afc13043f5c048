namespace Flare.Learning;

/// <summary>Turns features × samples into samples × features, and back.</summary>
internal static unsafe class Transpose
{
    private const int Block = 16;

    /// <summary>to[c·toStride + r] = from[r·columns + c].</summary>
    public static void Run(float* from, int rows, int columns, float* to, int toStride)
    {
        for (var r0 = 0; r0 < rows; r0 += Block)
        {
            var rowEnd = Math.Min(rows, r0 + Block);
            for (var c = 0; c < columns; c++)
            {
                var target = to + (nint)c * toStride;
                for (var r = r0; r < rowEnd; r++) target[r] = from[(nint)r * columns + c];
            }
        }
    }

    /// <summary>Puts one run of a sample's features into its lane: to[i·lanes + lane] = features[i].</summary>
    public static void Scatter(ReadOnlySpan<float> features, float* to, int lanes, int lane)
    {
        var target = to + lane;
        foreach (var feature in features)
        {
            *target = feature;
            target += lanes;
        }
    }
}

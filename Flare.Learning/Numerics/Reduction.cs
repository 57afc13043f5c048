using System.Numerics;

namespace Flare.Learning;

/// <summary>Sums in 16 partial sums (index modulo 16), whatever the vectors' width.</summary>
internal static unsafe class Reduction
{
    /// <summary>totals[r] = Σⱼ rows[r·length + j]; length is a multiple of 16.</summary>
    public static void RowSums(float* rows, int count, int length, Span<float> totals)
    {
        for (var row = 0; row < count; row++) totals[row] = Sum(rows + (nint)row * length, length);
    }

    /// <summary>Σⱼ values[j]; length is a multiple of 16.</summary>
    public static float Sum(float* values, int length)
    {
        var partials = stackalloc float[Correlation.Partials];
        for (var lane = 0; lane < Correlation.Partials; lane += Vector<float>.Count)
        {
            var sum = Vector<float>.Zero;
            for (nint j = lane; j < length; j += Correlation.Partials) sum += Vector.Load(values + j);
            sum.Store(partials + lane);
        }
        return Correlation.Fold(partials);
    }

    /// <summary>Σⱼ left[j]·right[j]; length is a multiple of 16.</summary>
    public static float Dot(float* left, float* right, int length)
    {
        var partials = stackalloc float[Correlation.Partials];
        for (var lane = 0; lane < Correlation.Partials; lane += Vector<float>.Count)
        {
            var sum = Vector<float>.Zero;
            for (nint j = lane; j < length; j += Correlation.Partials)
                sum = Vector.MultiplyAddEstimate(Vector.Load(left + j), Vector.Load(right + j), sum);
            sum.Store(partials + lane);
        }
        return Correlation.Fold(partials);
    }
}

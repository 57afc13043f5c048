namespace Flare.Learning;

/// <summary>Sums in 16 partial sums (index modulo 16), whatever the vectors' width.</summary>
internal static unsafe class Reduction
{
    /// <summary>totals[r] = Σⱼ rows[r·length + j]; length is a multiple of 16.</summary>
    public static void RowSums<T>(float* rows, int count, int length, Span<float> totals) where T : struct, ILanes<T>
    {
        for (var row = 0; row < count; row++) totals[row] = Sum<T>(rows + (nint)row * length, length);
    }

    /// <summary>Σⱼ values[j]; length is a multiple of 16.</summary>
    public static float Sum<T>(float* values, int length) where T : struct, ILanes<T>
    {
        var partials = stackalloc float[Correlation.Partials];
        for (var lane = 0; lane < Correlation.Partials; lane += T.Count)
        {
            var sum = T.Broadcast(0);
            for (nint j = lane; j < length; j += Correlation.Partials) sum += T.Load(values + j);
            T.Store(sum, partials + lane);
        }
        return Correlation.Fold(partials);
    }

    /// <summary>Σⱼ left[j]·right[j]; length is a multiple of 16.</summary>
    public static float Dot<T>(float* left, float* right, int length) where T : struct, ILanes<T>
    {
        var partials = stackalloc float[Correlation.Partials];
        for (var lane = 0; lane < Correlation.Partials; lane += T.Count)
        {
            var sum = T.Broadcast(0);
            for (nint j = lane; j < length; j += Correlation.Partials) sum += T.Load(left + j) * T.Load(right + j);
            T.Store(sum, partials + lane);
        }
        return Correlation.Fold(partials);
    }
}

using System.Buffers;

namespace Flare.Workflows;

/// <summary>
/// The median of every coordinate (Yin et al. 2018, "Byzantine-Robust Distributed Learning"): fewer than half of the sites, whatever they
/// send, cannot move a coordinate beyond what the others sent. It keeps every contribution until it is complete, so its memory grows with the
/// number of sites. Float32 models; integers and Booleans, which are no weights, take the first site's values, in the order of names.
/// </summary>
public sealed class CoordinateMedian
{
    private readonly SortedDictionary<string, StateDict> _weights = new(StringComparer.Ordinal);

    /// <summary>Takes a contribution: weights, or a difference, which is added to the model it was trained from.</summary>
    /// <exception cref="InvalidOperationException">The site has contributed already.</exception>
    /// <exception cref="ArgumentException">The layout differs from the first contribution's, or has floating-point tensors other than Float32.</exception>
    public void Accept(Contribution contribution)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        if (_weights.ContainsKey(contribution.Site)) throw new InvalidOperationException($"{contribution.Site} has contributed already.");
        var weights = contribution.ToWeights();
        if (weights.Layout.FirstOrDefault(t => t.DType.IsFloatingPoint() && t.DType != DType.Float32) is { } other)
            throw new ArgumentException($"Tensor '{other.Name}' holds {other.DType}; the median is taken of Float32. Send Float32 weights.", nameof(contribution));
        if (_weights.Count > 0 && weights.Layout.DifferenceFrom(_weights.First().Value.Layout) is { } difference)
            throw new ArgumentException($"The model of {contribution.Site} differs in layout: {difference}.", nameof(contribution));
        _weights.Add(contribution.Site, weights);
    }

    /// <summary>The median of what was accepted; with an even number of sites, the mean of the middle two. The caller owns it.</summary>
    /// <exception cref="FlareException">Nothing was accepted.</exception>
    public StateDict Complete()
    {
        if (_weights.Count == 0) throw new FlareException(ErrorIds.NothingToAggregate, "There is nothing to take the median of: no contribution was accepted.");
        StateDict[] models = [.. _weights.Values];
        var median = models[0].Clone();
        for (var tensor = 0; tensor < median.Count; tensor++)
            if (median.Layout[tensor].DType == DType.Float32) Median(models, median, tensor);
        foreach (var model in models) model.Dispose();
        _weights.Clear();
        return median;
    }

    private static void Median(StateDict[] models, StateDict destination, int tensor)
    {
        var column = ArrayPool<float>.Shared.Rent(models.Length);
        foreach (var (start, count) in destination[tensor].Chunks(4096))
        {
            var result = destination[tensor].AsSpan<float>(start, count);
            for (var i = 0; i < count; i++)
            {
                for (var k = 0; k < models.Length; k++) column[k] = models[k][tensor].AsReadOnlySpan<float>(start, count)[i];
                var values = column.AsSpan(0, models.Length);
                values.Sort();
                var middle = models.Length / 2;
                result[i] = models.Length % 2 == 1 ? values[middle] : (float)(((double)values[middle - 1] + values[middle]) / 2);
            }
        }
        ArrayPool<float>.Shared.Return(column);
    }
}

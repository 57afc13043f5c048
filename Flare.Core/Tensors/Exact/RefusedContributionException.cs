namespace Flare;

/// <summary>A contribution cannot be aggregated. It was left out without a trace: the mean is what it was before the
/// call.</summary>
public sealed class RefusedContributionException : FlareException
{
    internal RefusedContributionException(int index, string? tensor, string reason)
        : base(ErrorIds.Aggregation, $"Contribution {index} is refused: {reason}.") =>
            (Index, Tensor) = (index, tensor);

    /// <summary>Index of the contribution among those of the call, from 0.</summary>
    public int Index { get; }

    /// <summary>The tensor at fault; null where it is the weight.</summary>
    public string? Tensor { get; }
}

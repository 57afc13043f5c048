using System.Buffers;

namespace Flare.Workflows;

/// <summary>
/// The median of every coordinate (Yin et al. 2018, "Byzantine-Robust Distributed Learning"): fewer than half of the
/// sites, whatever they send, cannot move a coordinate beyond what the others sent. With an even number of sites, the
/// mean of the middle two. Sites send weights or differences, each as it likes; training steps do not count.
/// <para>It keeps every contribution until the round is complete, so its memory grows with the number of sites. Float32
/// models; integers and Booleans, which are no weights, take the first site's values, in the order of names.</para>
/// </summary>
public sealed class CoordinateMedian : Aggregator, IDisposable
{
    private const int Chunk = 4096;

    private readonly SortedDictionary<string, Contribution> _contributions = new(StringComparer.Ordinal);
    private ControllerContext? _context;

    /// <summary>True: a median has no sum.</summary>
    public override bool NeedsSingleUpdates => true;

    /// <inheritdoc/>
    /// <exception cref="FlareException">The model has floating-point tensors other than Float32.</exception>
    public override void Begin(ControllerContext context, int round)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (context.Model.Layout.FirstOrDefault(
            t => t.DType.IsFloatingPoint() && t.DType != DType.Float32) is { } other)
        {
            throw new FlareException(ErrorIds.Configuration,
                $"The median is taken of Float32, and tensor '{other.Name}' "
                    + $"holds {other.DType}. Begin with a Float32 model.");
        }
        Drop();
        _context = context;
    }

    /// <inheritdoc/>
    public override ResultContract Refine(ResultContract contract)
    {
        ArgumentNullException.ThrowIfNull(contract);
        return contract with { Kinds = [DataKind.WeightDiff, DataKind.Weights], AllowMissingTensors = false };
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The site has contributed already.</exception>
    /// <exception cref="ArgumentException">The layout differs from the model's.</exception>
    public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(contribution);
        if (_contributions.ContainsKey(contribution.Site))
            throw new InvalidOperationException($"{contribution.Site} has contributed already.");
        if (contribution.Tensors.Layout.DifferenceFrom(Context.Model.Layout) is { } difference)
            throw new ArgumentException(
                $"The model of {contribution.Site} differs in layout: {difference}.", nameof(contribution));
        _contributions.Add(contribution.Site, contribution.Retain());
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override async ValueTask<StateDict> CompleteAsync(CancellationToken abort)
    {
        if (_contributions.Count == 0)
            throw new FlareException(
                ErrorIds.NothingToAggregate, "There is nothing to take the median of: no contribution was accepted.");
        abort.ThrowIfCancellationRequested();
        var (global, compute) = (Context.Model, Context.Compute);
        (StateDict, bool)[] terms = [.. _contributions.Values.Select(c => (c.Tensors, c.Kind == DataKind.WeightDiff))];
        var median = await compute.RunAsync(() => Median(global, terms, compute));
        Drop();
        return median;
    }

    /// <summary>Lets go of what a round has left.</summary>
    public void Dispose() => Drop();

    private ControllerContext Context =>
        _context ?? throw new InvalidOperationException("Call Begin before a round's first contribution.");

    private void Drop()
    {
        foreach (var contribution in _contributions.Values) contribution.Dispose();
        _contributions.Clear();
    }

    private static StateDict Median(
        StateDict global, (StateDict Tensors, bool IsDifference)[] terms, ComputeScheduler compute)
    {
        var median = terms[0].Tensors.Clone();
        if (terms[0].IsDifference) median.AddInPlace(global); // for what has no median; the rest is written over
        for (var tensor = 0; tensor < median.Count; tensor++)
        {
            if (median.Layout[tensor].DType != DType.Float32) continue;
            var (index, length) = (tensor, median.Layout[tensor].Length);
            compute.ForEachPart(
                checked((int)((length + Chunk - 1) / Chunk)),
                part => OfChunk(global, terms, median, index, part * (long)Chunk));
        }
        return median;
    }

    private static void OfChunk(
        StateDict global, (StateDict Tensors, bool IsDifference)[] terms, StateDict median, int tensor, long start)
    {
        var count = (int)Math.Min(Chunk, median.Layout[tensor].Length - start);
        var columns = ArrayPool<float>.Shared.Rent(count * terms.Length);
        var model = global[tensor].AsReadOnlySpan<float>(start, count);
        for (var site = 0; site < terms.Length; site++)
        {
            var values = terms[site].Tensors[tensor].AsReadOnlySpan<float>(start, count);
            for (var i = 0; i < count; i++)
                columns[i * terms.Length + site] = terms[site].IsDifference ? model[i] + values[i] : values[i];
        }
        var result = median[tensor].AsSpan<float>(start, count);
        var middle = terms.Length / 2;
        for (var i = 0; i < count; i++)
        {
            var values = columns.AsSpan(i * terms.Length, terms.Length);
            values.Sort();
            result[i] = terms.Length % 2 == 1 ? values[middle]
                : (float)(((double)values[middle - 1] + values[middle]) / 2);
        }
        ArrayPool<float>.Shared.Return(columns);
    }
}

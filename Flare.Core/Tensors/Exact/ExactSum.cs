
namespace Flare;

/// <summary>
/// The exact sum Σ wᵢxᵢ of weighted models, tensor by tensor, and its mean Σ wᵢxᵢ / Σ wᵢ: no bit is dropped before one
/// final rounding. The result is a pure function of the contributions, with the same bits whatever their order and
/// grouping, the number of threads, and the processor; what was added can be subtracted without a trace; and sums
/// merge, here or, written and read, elsewhere, to what one sum of everything would be.
/// <para>Floating-point results are the exact mean rounded to nearest, ties to even (correct to the last bit while the
/// sum of weights has at most 53 significant bits, within one unit in the last place otherwise, and for
/// <see cref="DType.Float64"/> always within one). A mean of exactly zero is +0. Integers are rounded to nearest, ties
/// to even.</para>
/// <para>Every tensor has its own denominator: the weights of the contributions that hold it. A tensor that none holds,
/// an excluded one, and one of <see cref="DType.Bool"/> is left in the destination as it is there.</para>
/// <para>Memory: if all contributions are given to
/// <see cref="Complete(ReadOnlySpan{ValueTuple{StateDict, double}}, StateDict)"/>, none that grows with the model. The
/// first <c>Add</c> rents 16 bytes an element, of which blocks whose values span few bits touch 8;
/// <see cref="Dispose"/> gives them back. Contributions are only read during a call. After the first round of a shape
/// nothing is allocated.</para>
/// <para>Not thread-safe: one call at a time.</para>
/// </summary>
public sealed unsafe partial class ExactSum : IDisposable
{
    /// <summary>The smallest weight, 2^-64.</summary>
    public const double MinWeight = Weight.Smallest;

    /// <summary>The largest weight, 2^64.</summary>
    public const double MaxWeight = Weight.Largest;

    /// <summary>The most contributions that a sum takes, 2^28.</summary>
    public const int MaxContributions = LongAccumulator.MaxAdditions / 4;

    // Subsets of tensors that sites may send; one map each is kept, up to this many.
    private const int MaxMaps = 256;

    private readonly bool[] _averaged;
    private readonly Dictionary<TensorLayout, int[]> _maps = [];
    private WeightSums _weights;
    private WeightSums _newWeights;
    private Term[] _batch = new Term[8];
    private int _batchCount;
    // Terms that a word of this sum took, and contributions that it or a sum in it took, whether or not they were taken
    // out again.
    private long _additions;
    private long _contributions;
    private bool _broken;

    /// <summary>Prepares means of models of a layout.</summary>
    /// <param name="layout">The model's tensors.</param>
    /// <param name="excluded">Per tensor of the layout, whether it is left out; empty for none.</param>
    /// <param name="scheduler">Runs the arithmetic; null for the calling thread alone. The results do not depend on
    /// it.</param>
    /// <exception cref="ArgumentException"><paramref name="excluded"/> has another length than the layout.</exception>
    public ExactSum(TensorLayout layout, ReadOnlySpan<bool> excluded = default, ComputeScheduler? scheduler = null)
        : this(layout, excluded, scheduler, BlockKernels.Best) { }

    internal ExactSum(
        TensorLayout layout, ReadOnlySpan<bool> excluded, ComputeScheduler? scheduler, BlockKernels kernels,
        bool alwaysWide = false)
    {
        ArgumentNullException.ThrowIfNull(layout);
        if (!excluded.IsEmpty && excluded.Length != layout.Count)
            throw new ArgumentException(
                $"There are {excluded.Length} flags for the {layout.Count} tensors of the layout; give one for each.",
                nameof(excluded));
        Layout = layout;
        (_kernels, _scheduler, _alwaysWide) = (kernels, scheduler, alwaysWide);
        _averaged = new bool[layout.Count];
        for (var i = 0; i < _averaged.Length; i++)
            _averaged[i] = layout[i].DType != DType.Bool && (excluded.IsEmpty || !excluded[i]);
        (_weights, _newWeights) = (new WeightSums(layout.Count), new WeightSums(layout.Count));
        _quotients = new Quotient[layout.Count];
        (_firstBlocks, _blockCount) = LayOutBlocks(layout);
        _parts = new Part[PartCount()];
    }

    /// <summary>The model's tensors.</summary>
    public TensorLayout Layout { get; }

    /// <summary>Number of contributions in the sum.</summary>
    public int Count { get; private set; }

    /// <summary>The sum of the weights of the contributions that hold a tensor, rounded to nearest.</summary>
    /// <param name="tensor">The tensor's place in <see cref="Layout"/>.</param>
    public double WeightOf(int tensor) => _weights.Of(tensor).Divisor;

    /// <summary>Adds a contribution.</summary>
    /// <param name="tensors">The model's tensors or some of them, by name.</param>
    /// <param name="weight">From <see cref="MinWeight"/> to <see cref="MaxWeight"/>.</param>
    /// <exception cref="RefusedContributionException">A weight out of range, a tensor that the layout does not have, or
    /// has with another type or shape, or a value that is infinite or not a number. The sum is as before.</exception>
    public void Add(StateDict tensors, double weight) => Add([(tensors, weight)]);

    /// <summary>Adds contributions, all or none: several in one pass over the memory, which is faster than one by
    /// one.</summary>
    /// <param name="contributions">Tensors with their weights.</param>
    /// <inheritdoc cref="Add(StateDict, double)" path="/exception"/>
    public void Add(params ReadOnlySpan<(StateDict Tensors, double Weight)> contributions) =>
        Accumulate(contributions, subtract: false);

    /// <summary>Takes a contribution out again: the sum is as if it had never been added.</summary>
    /// <param name="tensors">What was added.</param>
    /// <param name="weight">The weight that it was added with.</param>
    /// <exception cref="RefusedContributionException">It cannot have been added like this. The sum is as
    /// before.</exception>
    public void Subtract(StateDict tensors, double weight) => Accumulate([(tensors, weight)], subtract: true);

    /// <summary>Writes the mean, and starts anew.</summary>
    /// <param name="destination">Takes the mean; tensors that are not averaged stay as they are.</param>
    /// <exception cref="FlareException">There is nothing to aggregate.</exception>
    public void Complete(StateDict destination) => Complete([], destination);

    /// <summary>The mean in a new state dict, which the caller owns; tensors that are not averaged are zero. Starts
    /// anew.</summary>
    /// <exception cref="FlareException">There is nothing to aggregate.</exception>
    public StateDict Complete()
    {
        var mean = new StateDict(Layout);
        Complete([], mean);
        return mean;
    }

    /// <summary>
    /// Adds the last contributions, writes the mean, and starts anew, in one pass. Given all of a round's
    /// contributions, it touches no memory but theirs and the destination's.
    /// </summary>
    /// <param name="last">Tensors with their weights.</param>
    /// <param name="destination">Takes the mean; tensors that are not averaged stay as they are. If the call throws, it
    /// may hold anything.</param>
    /// <exception cref="FlareException">There is nothing to aggregate.</exception>
    /// <exception cref="InvalidOperationException">The destination is frozen.</exception>
    /// <inheritdoc cref="Add(StateDict, double)" path="/exception"/>
    public void Complete(ReadOnlySpan<(StateDict Tensors, double Weight)> last, StateDict destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        if (destination.Layout.DifferenceFrom(Layout) is { } difference)
            throw new ArgumentException(
                $"The destination differs from the mean's layout: {difference}.", nameof(destination));
        if (destination.IsReadOnly)
            throw new InvalidOperationException(
                "The destination is frozen: it was sent, or belongs to a message. Write to a Clone().");
        if (Count + last.Length == 0)
            throw new FlareException(
                ErrorIds.NothingToAggregate, "There is nothing to aggregate: no contribution was accepted.");
        try
        {
            Prepare(last, subtract: false);
            for (var i = 0; i < _quotients.Length; i++) _quotients[i] = _newWeights.Of(i);
            Run(accumulate: Count > 0, destination);
        }
        finally
        {
            Release();
        }
        Reset();
    }

    /// <summary>Forgets all contributions, and keeps the memory for the next round.</summary>
    public void Reset()
    {
        if (_sumsUsed) foreach (ref var sum in _sums.AsSpan()) sum.Clear();
        _sumsUsed = false;
        _weights.Clear();
        (Count, _additions, _contributions, _broken) = (0, 0, 0, false);
    }

    /// <summary>Gives the memory back. The instance may be used again.</summary>
    public void Dispose()
    {
        Reset();
        GiveBackSums();
    }

    private void Accumulate(ReadOnlySpan<(StateDict Tensors, double Weight)> contributions, bool subtract)
    {
        if (contributions.IsEmpty) return;
        try
        {
            Prepare(contributions, subtract);
            Run(accumulate: true, destination: null);
        }
        finally
        {
            Release();
        }
        (_weights, _newWeights) = (_newWeights, _weights);
        Count += subtract ? -contributions.Length : contributions.Length;
    }

    /// <summary>Checks all that can be checked without looking at the values, and sums the weights.</summary>
    private void Prepare(ReadOnlySpan<(StateDict Tensors, double Weight)> contributions, bool subtract)
    {
        RequireWhole();
        if (_contributions + contributions.Length > MaxContributions) throw TooMany();
        CountAdditions(contributions.Length);
        _contributions += contributions.Length;
        if (_batch.Length < contributions.Length)
            Array.Resize(ref _batch, Math.Max(contributions.Length, 2 * _batch.Length));
        _newWeights.CopyFrom(_weights);
        for (var i = 0; i < contributions.Length; i++)
        {
            var (tensors, weight) = contributions[i];
            ArgumentNullException.ThrowIfNull(tensors, nameof(contributions));
            if (!Weight.IsValid(weight))
                throw new RefusedContributionException(
                    i, null, Invariant($"its weight is {weight:R}, not a number from 2^-64 to 2^64"));
            var map = MapOf(tensors.Layout, i);
            var exact = new Weight(subtract ? -weight : weight);
            _batch[i] = new(tensors, tensors.Pointer, map, exact);
            _batchCount = i + 1;
            for (var tensor = 0; tensor < Layout.Count; tensor++)
            {
                if ((map is null ? tensor : map[tensor]) < 0) continue;
                if (!_newWeights.TryAdd(tensor, exact))
                    throw new RefusedContributionException(
                        i, Layout[tensor].Name,
                        Invariant($"tensor '{Layout[tensor].Name}' was never added with the weight {weight:R}"));
            }
        }
    }

    private void RequireWhole()
    {
        if (_broken)
        {
            throw new InvalidOperationException(
                "An earlier call was cut short, and its sums are incomplete. "
                    + "Call Reset() and add the contributions again.");
        }
    }

    private void CountAdditions(int terms)
    {
        if ((_additions += terms) > MaxContributions) throw TooMany();
    }

    private static InvalidOperationException TooMany() =>
        new("More than 2^28 contributions were added without a Reset().");

    // References to state dicts would keep models alive that nobody needs any more.
    private void Release()
    {
        Array.Clear(_batch, 0, _batchCount);
        _batchCount = 0;
    }

    /// <summary>Where each of our tensors lies in a contribution's layout, -1 where it does not; null where the layouts
    /// are one.</summary>
    private int[]? MapOf(TensorLayout layout, int contribution)
    {
        if (layout.Equals(Layout)) return null;
        if (_maps.TryGetValue(layout, out var map)) return map;
        map = new int[Layout.Count];
        Array.Fill(map, -1);
        for (var i = 0; i < layout.Count; i++)
        {
            var spec = layout[i];
            var index = Layout.IndexOf(spec.Name);
            if (index < 0)
                throw new RefusedContributionException(
                    contribution, spec.Name, $"the model has no tensor '{spec.Name}'");
            if (!spec.Equals(Layout[index]))
                throw new RefusedContributionException(
                    contribution, spec.Name, $"its tensor is {spec}, the model's {Layout[index]}");
            map[index] = i;
        }
        if (_maps.Count == MaxMaps) _maps.Clear();
        _maps.Add(layout, map);
        return map;
    }

    private readonly record struct Term(StateDict Tensors, nint Pointer, int[]? Map, Weight Weight)
    {
        public Term(StateDict tensors, byte* pointer, int[]? map, Weight weight)
            : this(tensors, (nint)pointer, map, weight) { }

        public byte* AddressOf(int tensor)
        {
            var index = Map is null ? tensor : Map[tensor];
            return index < 0 ? null : (byte*)Pointer + Tensors.Layout.OffsetOf(index);
        }
    }
}

namespace Flare.Learning;

/// <summary>
/// Layers one after the other, ending in one logit a class, with softmax cross entropy as the loss. Parameters and
/// buffers lie in one state dict that the network owns; <see cref="StateDict"/> and <see cref="Load"/> copy out of it
/// and into it.
/// <para>Memory is laid out for the largest batch seen so far: a training step allocates nothing. Training runs on the
/// calling thread alone, and gives the same bits for the same seed, losses included, on every processor and operating
/// system: whatever its vectors' width, compiled just in time or ahead of it. Not thread-safe: one network for each
/// thread.</para>
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001",
    Justification = "Its tensors never leave it and are the collector's; a "
        + "using around every network would buy nothing.")]
public sealed unsafe class Sequential
{
    private const int LaneUnit = 16;
    private readonly Layer[] _layers;
    private readonly StateDict _state;
    private readonly SeededRandom _random;
    private readonly FloatBuffer[] _activations, _activationGradients;
    private int[] _labels = [];
    private int _lanes;

    /// <summary>Puts a network together and initialises it as PyTorch does by default.</summary>
    /// <param name="inputShape">The shape of one sample, such as [3, 32, 32].</param>
    /// <param name="seed">Initial weights, and the draws of dropout, follow from it.</param>
    /// <param name="layers">The layers with their names; <c>conv1</c> gives tensors such as
    /// <c>conv1.weight</c>.</param>
    /// <exception cref="ArgumentException">A layer does not fit the one before it, two bear one name, or the output is
    /// not one row of logits.</exception>
    public Sequential(ReadOnlySpan<int> inputShape, long seed, params ReadOnlySpan<(string Name, Layer Layer)> layers)
    {
        if (layers.IsEmpty) throw new ArgumentException("A network has at least one layer.", nameof(layers));
        foreach (var dimension in inputShape)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(dimension, nameof(inputShape));
        InputShape = inputShape.ToArray();
        _layers = new Layer[layers.Length];
        _activations = new FloatBuffer[layers.Length + 1];
        _activationGradients = new FloatBuffer[layers.Length + 1];
        var names = new HashSet<string>(StringComparer.Ordinal);
        var shape = InputShape;
        for (var i = 0; i < layers.Length; i++)
        {
            var (name, layer) = layers[i];
            ArgumentException.ThrowIfNullOrEmpty(name);
            if (!names.Add(name))
                throw new ArgumentException(
                    $"Two layers are named '{name}'; names are unique in a network.", nameof(layers));
            layer.Join(name, shape);
            shape = layer.OutputShape;
            _layers[i] = layer;
        }
        if (shape.Count != 1)
            throw new ArgumentException(
                $"The last layer gives [{string.Join(", ", shape)}] where one row of "
                    + "logits is expected; end with Flatten or Linear.", nameof(layers));
        Classes = shape[0];

        var layout = new TensorLayout(_layers.SelectMany(layer => layer.Tensors()));
        _state = new StateDict(layout);
        Gradients = new StateDict(new TensorLayout(layout.Where(spec => spec.Role == TensorRole.Parameter)));
        foreach (var layer in _layers) layer.Attach(_state, Gradients);
        Parameters = [.. Gradients.Select(gradient => new Parameter(_state[gradient.Name], gradient))];
        _random = new SeededRandom(unchecked((ulong)seed), stream: 0x1417);
        foreach (var layer in _layers) layer.Initialize(_random);
    }

    /// <summary>The shape of one sample.</summary>
    public IReadOnlyList<int> InputShape { get; }

    /// <summary>Number of classes, one logit each.</summary>
    public int Classes { get; }

    /// <summary>The layers in order.</summary>
    public IReadOnlyList<Layer> Layers => _layers;

    /// <summary>Parameters and buffers: names, shapes, roles.</summary>
    public TensorLayout Layout => _state.Layout;

    /// <summary>
    /// The parameters with their gradients, in order: what an optimizer, or a term added to the gradient, works on.
    /// </summary>
    public IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>
    /// The gradients of the last <see cref="Backpropagate"/>, parameters only. The network's own memory: read and
    /// write, do not dispose.
    /// </summary>
    public StateDict Gradients { get; }

    /// <summary>A copy of parameters and buffers; the caller owns it.</summary>
    public StateDict StateDict() => _state.Clone();

    /// <summary>Copies parameters and buffers into a state dict that has them all, in any order.</summary>
    /// <exception cref="ArgumentException">A tensor is missing, of another shape or type, or not expected; nothing is
    /// copied then.</exception>
    public void CopyTo(StateDict destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        Copy(_state, destination, destination.Layout);
    }

    /// <summary>
    /// Takes parameters and buffers by name, in any order and whatever their roles, which files do not carry; the
    /// source is copied. As in PyTorch, <c>num_batches_tracked</c> may be of shape [] or [1], and is 0 where it is
    /// missing, as in files of before PyTorch 0.4.1.
    /// </summary>
    /// <exception cref="ArgumentException">A tensor is missing, of another shape or type, or not expected; nothing is
    /// taken then.</exception>
    public void Load(StateDict weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Copy(weights, _state, weights.Layout);
        foreach (var spec in Layout)
            if (IsCounter(spec) && weights.Layout.IndexOf(spec.Name) < 0) _state[spec.Name].AsSpan<long>().Clear();
    }

    private void Copy(StateDict from, StateDict to, TensorLayout theirs)
    {
        if (theirs.Equals(Layout))
        {
            to.CopyFrom(from);
            return;
        }
        foreach (var spec in Layout)
        {
            var index = theirs.IndexOf(spec.Name);
            if (index < 0 && from != _state && IsCounter(spec)) continue;
            if (index < 0) throw new ArgumentException($"The weights lack tensor '{spec.Name}' of this network.");
            var given = theirs[index];
            if (given.DType != spec.DType || !IsSameShape(given, spec))
                throw new ArgumentException(
                    $"Tensor '{spec.Name}' of the weights is {given} where this network has {spec}.");
        }
        foreach (var spec in theirs)
            if (Layout.IndexOf(spec.Name) < 0)
                throw new ArgumentException($"The weights have tensor '{spec.Name}', which this network does not.");
        foreach (var tensor in from)
        {
            if (tensor.Spec.DType == DType.Int64) tensor.AsReadOnlySpan<long>().CopyTo(to[tensor.Name].AsSpan<long>());
            else tensor.AsReadOnlySpan<float>().CopyTo(to[tensor.Name].AsSpan<float>());
        }
    }

    private static bool IsCounter(TensorSpec spec) => spec.Name == BatchNorm.Tracked
        || spec.Name.EndsWith("." + BatchNorm.Tracked, StringComparison.Ordinal);

    // A scalar is one of one element: tools differ.
    private static bool IsSameShape(TensorSpec given, TensorSpec spec) =>
        given.Shape.AsSpan().SequenceEqual(spec.Shape.AsSpan())
        || (spec.Shape.Length == 0 && given is { Length: 1, Shape.Length: 1 });

    /// <summary>Starts dropout's draws anew, so that a training run repeats.</summary>
    public void Reseed(long seed) => _random.Reseed(unchecked((ulong)seed), stream: 0xD80);

    /// <summary>
    /// One training pass over a batch: forward, loss, and the gradients of the mean loss into <see cref="Gradients"/>.
    /// Weights do not change (running statistics of batch normalisation do); an optimizer steps afterwards.
    /// </summary>
    /// <param name="data">The data.</param>
    /// <param name="samples">Which of its samples make the batch.</param>
    /// <returns>The mean loss over the batch.</returns>
    public double Backpropagate(Dataset data, ReadOnlySpan<int> samples)
    {
        var pass = Forward(data, samples, training: true);
        var loss = CrossEntropy.Gradient(
            pass, _activations[^1].Pointer, Classes, _labels, _activationGradients[^1].Pointer);
        switch (Lanes.Width)
        {
            case 16: Backward<Lanes16>(pass); break;
            case 8: Backward<Lanes8>(pass); break;
            case 4: Backward<Lanes4>(pass); break;
            default: Backward<Lanes1>(pass); break;
        }
        return loss / samples.Length;
    }

    /// <summary>The logits of some samples, as in evaluation (running statistics, no dropout).</summary>
    /// <param name="data">The data.</param>
    /// <param name="samples">Which of its samples.</param>
    /// <param name="logits">Receives <see cref="Classes"/> values a sample, sample by sample.</param>
    public void Predict(Dataset data, ReadOnlySpan<int> samples, Span<float> logits)
    {
        if (logits.Length < samples.Length * Classes)
            throw new ArgumentException(
                $"{samples.Length} samples of {Classes} classes give {samples.Length * Classes} logits; there is room "
                    + $"for {logits.Length}.", nameof(logits));
        var pass = Forward(data, samples, training: false);
        var output = _activations[^1].Pointer;
        for (var sample = 0; sample < samples.Length; sample++)
            for (var c = 0; c < Classes; c++) logits[sample * Classes + c] = output[(nint)c * pass.Lanes + sample];
    }

    /// <summary>Sum of losses and number of right answers over a batch, as in evaluation.</summary>
    internal (double Loss, int Right) Score(Dataset data, ReadOnlySpan<int> samples)
    {
        var pass = Forward(data, samples, training: false);
        var output = _activations[^1].Pointer;
        var right = 0;
        for (var sample = 0; sample < samples.Length; sample++)
            if (CrossEntropy.Argmax(output, Classes, pass.Lanes, sample) == _labels[sample]) right++;
        return (CrossEntropy.Gradient(pass, output, Classes, _labels, _activationGradients[^1].Pointer), right);
    }

    private Pass Forward(Dataset data, ReadOnlySpan<int> samples, bool training)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (samples.IsEmpty) throw new ArgumentException("A batch has at least one sample.", nameof(samples));
        var lanes = (samples.Length + LaneUnit - 1) / LaneUnit * LaneUnit;
        if (lanes != _lanes) Reserve(lanes);
        data.Gather(samples, _layers[0].InputLength, _activations[0].Pointer, lanes, _labels, Classes);
        var pass = new Pass(samples.Length, lanes, training, _random);
        switch (Lanes.Width)
        {
            case 16: Forward<Lanes16>(pass); break;
            case 8: Forward<Lanes8>(pass); break;
            case 4: Forward<Lanes4>(pass); break;
            default: Forward<Lanes1>(pass); break;
        }
        return pass;
    }

    private void Forward<T>(in Pass pass) where T : struct, ILanes<T>
    {
        for (var i = 0; i < _layers.Length; i++)
            _layers[i].Forward<T>(pass, _activations[i].Pointer, _activations[i + 1].Pointer);
    }

    private void Backward<T>(in Pass pass) where T : struct, ILanes<T>
    {
        for (var i = _layers.Length - 1; i >= 0; i--)
        {
            // Nobody asks for the gradient of the data.
            var inputGradient = i > 0 ? _activationGradients[i].Pointer : null;
            float* input = _activations[i].Pointer, output = _activations[i + 1].Pointer;
            _layers[i].Backward<T>(pass, input, output, _activationGradients[i + 1].Pointer, inputGradient);
        }
    }

    private void Reserve(int lanes)
    {
        for (var i = 0; i <= _layers.Length; i++)
        {
            var view = i > 0 && _layers[i - 1].IsView;
            var length = (long)(i == 0 ? _layers[0].InputLength : _layers[i - 1].OutputLength) * lanes;
            if (view) _activations[i] = _activations[i - 1];
            else FloatBuffer.Fit(ref _activations[i]!, length);
            // Nobody asks for the gradient of the data.
            if (view && i > 1) _activationGradients[i] = _activationGradients[i - 1];
            else if (i > 0) FloatBuffer.Fit(ref _activationGradients[i]!, length);
        }
        if (_labels.Length < lanes) _labels = new int[lanes];
        foreach (var layer in _layers) layer.Reserve(lanes);
        _lanes = lanes;
    }
}

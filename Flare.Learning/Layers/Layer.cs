namespace Flare.Learning;

/// <summary>
/// One layer of a <see cref="Sequential"/>. Its parameters and buffers bear PyTorch's names and shapes, so that weights
/// move to and from PyTorch. A layer belongs to one network: create a new one for each.
/// <para>Inside a network samples lie innermost (features × samples, the number of samples rounded up to a multiple of
/// 16), so that vectors run over samples: no layer needs a copy of its input in another order, and each sample's sums
/// are the same whatever the vectors' width.</para>
/// </summary>
public abstract unsafe class Layer
{
    private protected Layer() { }

    /// <summary>The shape of one sample that comes in; empty before the layer is in a network.</summary>
    public IReadOnlyList<int> InputShape { get; private set; } = [];

    /// <summary>The shape of one sample that goes out; empty before the layer is in a network.</summary>
    public IReadOnlyList<int> OutputShape { get; private set; } = [];

    /// <summary>Whether the output is the input's memory, only its shape differs.</summary>
    internal virtual bool IsView => false;

    internal string Name { get; private set; } = "";

    internal int InputLength { get; private set; }

    internal int OutputLength { get; private set; }

    /// <summary>Takes the layer into a network.</summary>
    internal void Join(string name, IReadOnlyList<int> inputShape)
    {
        if (InputShape.Count > 0)
            throw new ArgumentException(
                $"The layer '{name}' is already '{Name}' of a network; create a new layer for each place.");
        Name = name;
        OutputShape = Infer(inputShape);
        InputShape = [.. inputShape];
        (InputLength, OutputLength) = (CountOf(inputShape), CountOf(OutputShape));
        if (OutputLength <= 0) throw Misfit(inputShape, "which leaves no output");
    }

    /// <summary>The output's shape for an input's; throws where they do not fit.</summary>
    private protected abstract IReadOnlyList<int> Infer(IReadOnlyList<int> input);

    /// <summary>Parameters and buffers in PyTorch's order, by their own names.</summary>
    internal virtual IEnumerable<TensorSpec> Tensors() => [];

    /// <summary>Gets the places of the layer's tensors; they stay for the network's life.</summary>
    internal virtual void Attach(StateDict state, StateDict gradients) { }

    /// <summary>Sets parameters and buffers as PyTorch does by default.</summary>
    internal virtual void Initialize(SeededRandom random) { }

    /// <summary>
    /// Makes scratch memory for so many lanes (samples, rounded up); called when the number changes; keeps what is
    /// large enough.
    /// </summary>
    internal virtual void Reserve(int lanes) { }

    /// <summary>Computes the output, with vectors of one width; its bits do not depend on it.</summary>
    internal abstract void Forward<T>(in Pass pass, float* input, float* output) where T : struct, ILanes<T>;

    /// <summary>
    /// Sets the gradients of the layer's parameters, and of its input unless <paramref name="inputGradient"/> is null.
    /// Lanes without a sample have gradient 0 coming in and going out.
    /// </summary>
    internal abstract void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
        where T : struct, ILanes<T>;

    private protected string Full(string tensor) => $"{Name}.{tensor}";

    private protected ArgumentException Misfit(IReadOnlyList<int> input, string expected) =>
        new($"Layer '{Name}' ({GetType().Name}) gets samples of shape [{string.Join(", ", input)}], {expected}.");

    internal static int CountOf(IReadOnlyList<int> shape)
    {
        var product = 1L;
        foreach (var dimension in shape) product *= dimension;
        return shape.Count == 0 ? 0 : checked((int)product);
    }
}

/// <summary>What one pass over a batch needs to know.</summary>
/// <param name="Samples">Samples in the batch.</param>
/// <param name="Lanes">Samples rounded up to a multiple of 16: the innermost dimension of all activations.</param>
/// <param name="Training">Whether this is a training step (batch statistics, dropout) and not an evaluation.</param>
/// <param name="Random">The training run's randomness, for dropout.</param>
internal readonly record struct Pass(int Samples, int Lanes, bool Training, SeededRandom Random);

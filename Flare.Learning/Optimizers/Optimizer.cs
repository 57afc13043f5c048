namespace Flare.Learning;

/// <summary>Changes parameters after each batch. Its state (momentum) belongs to one network and one run of training.</summary>
public abstract class Optimizer
{
    private Sequential? _network;

    private protected Optimizer(double learningRate)
    {
        if (!(learningRate >= 0 && double.IsFinite(learningRate))) throw new ArgumentOutOfRangeException(nameof(learningRate), learningRate, "A finite learning rate of at least 0 is expected.");
        LearningRate = learningRate;
    }

    /// <summary>The learning rate; may change between steps.</summary>
    public double LearningRate { get; set; }

    /// <summary>Coefficient of an L2 penalty that is added to the gradient (PyTorch's weight_decay).</summary>
    public double WeightDecay { get; init; }

    /// <summary>Changes the network's parameters by its gradients.</summary>
    /// <exception cref="InvalidOperationException">The optimizer has already stepped for another network.</exception>
    public void Step(Sequential network)
    {
        ArgumentNullException.ThrowIfNull(network);
        if (_network is null)
        {
            _network = network;
            Start(network.Gradients.Layout);
        }
        else if (!ReferenceEquals(_network, network))
        {
            throw new InvalidOperationException("An optimizer's momentum belongs to one network; create an optimizer for each.");
        }
        for (var i = 0; i < network.Parameters.Count; i++)
            Update(i, network.Parameters[i].Value.AsSpan<float>(), network.Parameters[i].Gradient.AsReadOnlySpan<float>());
    }

    /// <summary>Makes the optimizer's state for parameters of a layout.</summary>
    private protected abstract void Start(TensorLayout layout);

    private protected static float[][] Zeros(TensorLayout layout) => [.. layout.Select(spec => new float[spec.Length])];

    /// <summary>Steps one parameter, by its place in the layout; they come in order.</summary>
    private protected abstract void Update(int index, Span<float> values, ReadOnlySpan<float> gradients);
}

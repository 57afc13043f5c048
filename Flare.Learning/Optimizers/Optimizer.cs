namespace Flare.Learning;

/// <summary>
/// Changes parameters after each batch. Its state (momentum) belongs to one network; <see cref="StateDict"/> and
/// <see cref="Load"/> carry it to another optimizer.
/// </summary>
public abstract unsafe partial class Optimizer
{
    private Sequential? _network;

    private protected Optimizer(double learningRate)
    {
        if (!(learningRate >= 0 && double.IsFinite(learningRate)))
        {
            throw new ArgumentOutOfRangeException(
                nameof(learningRate), learningRate, "A finite learning rate of at least 0 is expected.");
        }
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
            throw new InvalidOperationException(
                "An optimizer's momentum belongs to one network; create an optimizer for each.");
        }
        Begin();
        switch (Lanes.Width)
        {
            case 16: Step<Lanes16>(network); break;
            case 8: Step<Lanes8>(network); break;
            case 4: Step<Lanes4>(network); break;
            default: Step<Lanes1>(network); break;
        }
    }

    private void Step<T>(Sequential network) where T : struct, ILanes<T>
    {
        for (var i = 0; i < network.Parameters.Count; i++)
        {
            var parameter = network.Parameters[i];
            var values = parameter.Value.AsSpan<float>();
            var wide = values.Length / T.Count * T.Count;
            fixed (float* value = values, gradient = parameter.Gradient.AsReadOnlySpan<float>())
            {
                Update<T>(i, value, gradient, 0, wide);
                // What is left over.
                Update<Lanes1>(i, value, gradient, wide, values.Length);
            }
        }
    }

    /// <summary>Makes the optimizer's state for parameters of a layout.</summary>
    private protected abstract void Start(TensorLayout layout);

    private protected static float[][] Zeros(TensorLayout layout) => [.. layout.Select(spec => new float[spec.Length])];

    /// <summary>Called before the parameters are stepped.</summary>
    private protected virtual void Begin() { }

    /// <summary>
    /// Steps a range of one parameter's values, by its place in the layout; the range is a multiple of the lanes.
    /// </summary>
    private protected abstract void Update<T>(int index, float* values, float* gradients, int from, int to)
        where T : struct, ILanes<T>;
}

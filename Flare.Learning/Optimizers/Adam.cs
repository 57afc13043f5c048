namespace Flare.Learning;

/// <summary>
/// Adam (Kingma and Ba 2015) as PyTorch's torch.optim.Adam: bias-corrected running means of the gradient and of its
/// square; w ← w − rate·m̂/(√v̂ + ε).
/// </summary>
/// <param name="learningRate">The learning rate.</param>
/// <param name="beta1">Decay of the mean of gradients.</param>
/// <param name="beta2">Decay of the mean of squared gradients.</param>
/// <param name="epsilon">Added to the denominator.</param>
public sealed unsafe class Adam(
    double learningRate = 0.001, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
    : Optimizer(learningRate)
{
    private readonly double _beta1 = InUnit(beta1, nameof(beta1)), _beta2 = InUnit(beta2, nameof(beta2));
    private float[][] _mean = [], _square = [];
    private double _power1 = 1, _power2 = 1;

    private protected override void Start(TensorLayout layout) => (_mean, _square) = (Zeros(layout), Zeros(layout));

    private protected override IEnumerable<(string Name, float[][] Values)> Gathered() =>
        [("mean", _mean), ("square", _square)];

    private protected override double[] GatheredNumbers
    {
        get => [_power1, _power2];
        set => (_power1, _power2) = (value[0], value[1]);
    }

    private protected override void Begin()
    {
        // The decays' powers by multiplication: Math.Pow may differ between platforms.
        _power1 *= _beta1;
        _power2 *= _beta2;
    }

    private protected override void Update<T>(int index, float* values, float* gradients, int from, int to)
    {
        var rate = T.Broadcast((float)(LearningRate / (1 - _power1)));
        var correction = T.Broadcast((float)(1 / Math.Sqrt(1 - _power2)));
        T decay = T.Broadcast((float)WeightDecay), small = T.Broadcast((float)epsilon);
        T keep1 = T.Broadcast((float)_beta1), take1 = T.Broadcast((float)(1 - _beta1));
        T keep2 = T.Broadcast((float)_beta2), take2 = T.Broadcast((float)(1 - _beta2));
        fixed (float* means = _mean[index], squares = _square[index])
        {
            for (nint i = from; i < to; i += T.Count)
            {
                var value = T.Load(values + i);
                var gradient = decay * value + T.Load(gradients + i);
                var mean = T.Load(means + i) * keep1 + gradient * take1;
                var square = T.Load(squares + i) * keep2 + gradient * gradient * take2;
                T.Store(mean, means + i);
                T.Store(square, squares + i);
                T.Store(value - mean * rate / (T.SquareRoot(square) * correction + small), values + i);
            }
        }
    }

    private static double InUnit(double value, string name) =>
        value is >= 0 and < 1
            ? value
            : throw new ArgumentOutOfRangeException(name, value, "A decay in [0, 1) is expected.");
}

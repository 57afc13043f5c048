namespace Flare.Learning;

/// <summary>
/// Stochastic gradient descent as PyTorch's torch.optim.SGD: g ← gradient + decay·w; v ← momentum·v + g (v ← g in the
/// first step); w ← w − rate·v.
/// </summary>
/// <param name="learningRate">The learning rate.</param>
/// <param name="momentum">Share of the last step's direction that is kept; 0 for none.</param>
public sealed unsafe class Sgd(double learningRate, double momentum = 0) : Optimizer(learningRate)
{
    private float[][] _velocity = [];

    /// <summary>Share of the last step's direction that is kept.</summary>
    public double Momentum { get; } = momentum is >= 0 and < 1
        ? momentum
        : throw new ArgumentOutOfRangeException(nameof(momentum), momentum, "A momentum in [0, 1) is expected.");

    private protected override void Start(TensorLayout layout) => _velocity = Zeros(layout);

    private protected override IEnumerable<(string Name, float[][] Values)> Gathered() => [("velocity", _velocity)];

    private protected override void Update<T>(int index, float* values, float* gradients, int from, int to)
    {
        // A velocity of zero makes the first step's v equal to g.
        fixed (float* velocities = _velocity[index])
        {
            T rate = T.Broadcast((float)-LearningRate), decay = T.Broadcast((float)WeightDecay);
            var momentum = T.Broadcast((float)Momentum);
            for (nint i = from; i < to; i += T.Count)
            {
                var value = T.Load(values + i);
                var velocity = momentum * T.Load(velocities + i) + (decay * value + T.Load(gradients + i));
                T.Store(velocity, velocities + i);
                T.Store(rate * velocity + value, values + i);
            }
        }
    }
}

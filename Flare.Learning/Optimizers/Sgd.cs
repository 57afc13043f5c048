using System.Numerics;
using System.Runtime.InteropServices;

namespace Flare.Learning;

/// <summary>
/// Stochastic gradient descent as PyTorch's torch.optim.SGD: g ← gradient + decay·w; v ← momentum·v + g (v ← g in the first step);
/// w ← w − rate·v.
/// </summary>
/// <param name="learningRate">The learning rate.</param>
/// <param name="momentum">Share of the last step's direction that is kept; 0 for none.</param>
public sealed class Sgd(double learningRate, double momentum = 0) : Optimizer(learningRate)
{
    private float[][] _velocity = [];

    /// <summary>Share of the last step's direction that is kept.</summary>
    public double Momentum { get; } = momentum is >= 0 and < 1 ? momentum : throw new ArgumentOutOfRangeException(nameof(momentum), momentum, "A momentum in [0, 1) is expected.");

    private protected override void Start(TensorLayout layout) => _velocity = Zeros(layout);

    private protected override void Update(int index, Span<float> values, ReadOnlySpan<float> gradients)
    {
        float rate = (float)-LearningRate, decay = (float)WeightDecay;
        // A velocity of zero makes the first step's v equal to g.
        var velocity = _velocity[index].AsSpan();
        var wide = MemoryMarshal.Cast<float, Vector<float>>(values);
        var wideVelocity = MemoryMarshal.Cast<float, Vector<float>>(velocity);
        var wideGradients = MemoryMarshal.Cast<float, Vector<float>>(gradients);
        Vector<float> rates = new(rate), decays = new(decay), momenta = new((float)Momentum);
        for (var i = 0; i < wide.Length; i++)
        {
            var gradient = Vector.MultiplyAddEstimate(decays, wide[i], wideGradients[i]);
            wideVelocity[i] = Vector.MultiplyAddEstimate(momenta, wideVelocity[i], gradient);
            wide[i] = Vector.MultiplyAddEstimate(rates, wideVelocity[i], wide[i]);
        }
        for (var i = wide.Length * Vector<float>.Count; i < values.Length; i++)
        {
            var gradient = float.MultiplyAddEstimate(decay, values[i], gradients[i]);
            velocity[i] = float.MultiplyAddEstimate((float)Momentum, velocity[i], gradient);
            values[i] = float.MultiplyAddEstimate(rate, velocity[i], values[i]);
        }
    }
}

using System.Numerics;
using System.Runtime.InteropServices;

namespace Flare.Learning;

/// <summary>
/// Adam (Kingma and Ba 2015) as PyTorch's torch.optim.Adam: bias-corrected running means of the gradient and of its square;
/// w ← w − rate·m̂/(√v̂ + ε).
/// </summary>
/// <param name="learningRate">The learning rate.</param>
/// <param name="beta1">Decay of the mean of gradients.</param>
/// <param name="beta2">Decay of the mean of squared gradients.</param>
/// <param name="epsilon">Added to the denominator.</param>
public sealed class Adam(double learningRate = 0.001, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8) : Optimizer(learningRate)
{
    private readonly double _beta1 = InUnit(beta1, nameof(beta1)), _beta2 = InUnit(beta2, nameof(beta2));
    private float[][] _mean = [], _square = [];
    private double _power1 = 1, _power2 = 1;

    private protected override void Start(TensorLayout layout) => (_mean, _square) = (Zeros(layout), Zeros(layout));

    private protected override void Update(int index, Span<float> values, ReadOnlySpan<float> gradients)
    {
        if (index == 0)
        {
            // The decays' powers by multiplication: Math.Pow may differ between platforms.
            _power1 *= _beta1;
            _power2 *= _beta2;
        }
        var means = _mean[index].AsSpan();
        var squares = _square[index].AsSpan();
        var rate = (float)(LearningRate / (1 - _power1));
        var correction = (float)(1 / Math.Sqrt(1 - _power2));
        float decay = (float)WeightDecay, keep1 = (float)_beta1, take1 = (float)(1 - _beta1), keep2 = (float)_beta2, take2 = (float)(1 - _beta2), small = (float)epsilon;

        var wide = MemoryMarshal.Cast<float, Vector<float>>(values);
        var wideMeans = MemoryMarshal.Cast<float, Vector<float>>(means);
        var wideSquares = MemoryMarshal.Cast<float, Vector<float>>(squares);
        var wideGradients = MemoryMarshal.Cast<float, Vector<float>>(gradients);
        for (var i = 0; i < wide.Length; i++)
        {
            var gradient = Vector.MultiplyAddEstimate(new Vector<float>(decay), wide[i], wideGradients[i]);
            var mean = wideMeans[i] = Vector.MultiplyAddEstimate(wideMeans[i], new Vector<float>(keep1), gradient * take1);
            var square = wideSquares[i] = Vector.MultiplyAddEstimate(wideSquares[i], new Vector<float>(keep2), gradient * gradient * take2);
            wide[i] -= mean * rate / Vector.MultiplyAddEstimate(Vector.SquareRoot(square), new Vector<float>(correction), new Vector<float>(small));
        }
        for (var i = wide.Length * Vector<float>.Count; i < values.Length; i++)
        {
            var gradient = float.MultiplyAddEstimate(decay, values[i], gradients[i]);
            means[i] = float.MultiplyAddEstimate(means[i], keep1, gradient * take1);
            squares[i] = float.MultiplyAddEstimate(squares[i], keep2, gradient * gradient * take2);
            values[i] -= means[i] * rate / float.MultiplyAddEstimate(MathF.Sqrt(squares[i]), correction, small);
        }
    }

    private static double InUnit(double value, string name) =>
        value is >= 0 and < 1 ? value : throw new ArgumentOutOfRangeException(name, value, "A decay in [0, 1) is expected.");
}

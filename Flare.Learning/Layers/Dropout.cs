namespace Flare.Learning;

/// <summary>
/// While training, sets each value to zero with a probability and scales the others up by 1/(1 − p), so that evaluation
/// needs no scaling (PyTorch's nn.Dropout). The draws come from the training run's seed.
/// </summary>
public sealed unsafe class Dropout : Layer
{
    private FloatBuffer? _scales;

    /// <summary>Creates the layer.</summary>
    /// <param name="probability">The probability that a value is set to zero, in [0, 1).</param>
    public Dropout(double probability = 0.5)
    {
        if (!(probability is >= 0 and < 1))
            throw new ArgumentOutOfRangeException(
                nameof(probability), probability, "A probability in [0, 1) is expected.");
        Probability = probability;
    }

    /// <summary>The probability that a value is set to zero.</summary>
    public double Probability { get; }

    private protected override IReadOnlyList<int> Infer(IReadOnlyList<int> input) => [.. input];

    internal override void Reserve(int lanes) => FloatBuffer.Fit(ref _scales, (long)InputLength * lanes);

    internal override void Forward<T>(in Pass pass, float* input, float* output)
    {
        var scales = _scales!.Pointer;
        var kept = (float)(1 / (1 - Probability));
        // Lanes without a sample draw nothing: the draws do not depend on how many lanes there are.
        for (nint feature = 0, i = 0; feature < InputLength; feature++)
            for (var lane = 0; lane < pass.Lanes; lane++, i++)
            {
                scales[i] = !pass.Training ? 1 : lane >= pass.Samples || pass.Random.NextDouble() < Probability ? 0
                    : kept;
                output[i] = input[i] * scales[i];
            }
    }

    internal override void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        if (inputGradient == null) return;
        var length = (nint)InputLength * pass.Lanes;
        for (nint i = 0; i < length; i++) inputGradient[i] = outputGradient[i] * _scales!.Pointer[i];
    }
}

namespace Flare.Learning;

/// <summary>Makes one row of features of an image, channel by channel (PyTorch's nn.Flatten). Costs nothing.</summary>
public sealed unsafe class Flatten : Layer
{
    internal override bool IsView => true;

    private protected override IReadOnlyList<int> Infer(IReadOnlyList<int> input) => [CountOf(input)];

    internal override void Forward<T>(in Pass pass, float* input, float* output) { }

    internal override void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient) { }
}

using System.Numerics;

namespace Flare.Learning;

/// <summary>max(x, 0). After a max pooling it costs less than before it, and does the same.</summary>
public sealed unsafe class ReLU : Layer
{
    private protected override IReadOnlyList<int> Infer(IReadOnlyList<int> input) => [.. input];

    internal override void Forward(in Pass pass, float* input, float* output)
    {
        var length = (nint)InputLength * pass.Lanes;
        for (nint i = 0; i < length; i += Vector<float>.Count) Vector.Max(Vector.Load(input + i), Vector<float>.Zero).Store(output + i);
    }

    internal override void Backward(in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        if (inputGradient == null) return;
        var length = (nint)InputLength * pass.Lanes;
        for (nint i = 0; i < length; i += Vector<float>.Count)
            (Vector.GreaterThan(Vector.Load(output + i), Vector<float>.Zero).As<int, float>() & Vector.Load(outputGradient + i)).Store(inputGradient + i);
    }
}

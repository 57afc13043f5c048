namespace Flare.Learning;

/// <summary>max(x, 0). After a max pooling it costs less than before it, and does the same.</summary>
public sealed unsafe class ReLU : Layer
{
    private protected override IReadOnlyList<int> Infer(IReadOnlyList<int> input) => [.. input];

    internal override void Forward<T>(in Pass pass, float* input, float* output)
    {
        var length = (nint)InputLength * pass.Lanes;
        for (nint i = 0; i < length; i += T.Count) T.Store(T.Max(T.Load(input + i), T.Broadcast(0)), output + i);
    }

    internal override void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        if (inputGradient == null) return;
        var length = (nint)InputLength * pass.Lanes;
        for (nint i = 0; i < length; i += T.Count)
        {
            var gradient = T.WhereGreater(T.Load(output + i), T.Broadcast(0), T.Load(outputGradient + i));
            T.Store(gradient, inputGradient + i);
        }
    }
}

namespace Flare.Learning;

/// <summary>The mean of each window (PyTorch's nn.AvgPool2d).</summary>
/// <param name="kernel">Width and height of the window.</param>
/// <param name="stride">Steps between windows; the window's width by default.</param>
public sealed unsafe class AvgPool2d(int kernel, int? stride = null) : Pooling(kernel, stride)
{
    internal override void Forward<T>(in Pass pass, float* input, float* output)
    {
        nint lanes = pass.Lanes, row = InputShape[2] * lanes;
        var share = T.Broadcast(1f / (Kernel * Kernel));
        for (var pixel = 0; pixel < OutputLength; pixel++, output += lanes)
        {
            var window = input + Starts[pixel] * lanes;
            for (nint lane = 0; lane < lanes; lane += T.Count)
            {
                var sum = T.Broadcast(0);
                for (var y = 0; y < Kernel; y++)
                    for (var x = 0; x < Kernel; x++) sum += T.Load(window + y * row + x * lanes + lane);
                T.Store(sum * share, output + lane);
            }
        }
    }

    internal override void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        if (inputGradient == null) return;
        nint lanes = pass.Lanes, row = InputShape[2] * lanes;
        var share = T.Broadcast(1f / (Kernel * Kernel));
        new Span<float>(inputGradient, checked((int)(InputLength * lanes))).Clear();
        for (var pixel = 0; pixel < OutputLength; pixel++, outputGradient += lanes)
        {
            var window = inputGradient + Starts[pixel] * lanes;
            for (nint lane = 0; lane < lanes; lane += T.Count)
            {
                var gradient = T.Load(outputGradient + lane) * share;
                for (var y = 0; y < Kernel; y++)
                    for (var x = 0; x < Kernel; x++)
                    {
                        var at = window + y * row + x * lanes + lane;
                        T.Store(T.Load(at) + gradient, at);
                    }
            }
        }
    }
}

namespace Flare.Learning;

/// <summary>
/// The largest value of each window (PyTorch's nn.MaxPool2d). The gradient goes to the first largest.
/// </summary>
/// <param name="kernel">Width and height of the window.</param>
/// <param name="stride">Steps between windows; the window's width by default.</param>
public sealed unsafe class MaxPool2d(int kernel, int? stride = null) : Pooling(kernel, stride)
{
    internal override void Forward<T>(in Pass pass, float* input, float* output)
    {
        nint lanes = pass.Lanes, row = InputShape[2] * lanes;
        for (var pixel = 0; pixel < OutputLength; pixel++, output += lanes)
        {
            var window = input + Starts[pixel] * lanes;
            for (nint lane = 0; lane < lanes; lane += T.Count)
            {
                var largest = T.Load(window + lane);
                for (var y = 0; y < Kernel; y++)
                    for (var x = 0; x < Kernel; x++)
                        largest = T.Max(largest, T.Load(window + y * row + x * lanes + lane));
                T.Store(largest, output + lane);
            }
        }
    }

    internal override void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        if (inputGradient == null) return;
        nint lanes = pass.Lanes, row = InputShape[2] * lanes;
        // Windows that tile the input set every gradient; otherwise they add to it.
        var tiles = Stride == Kernel && InputShape[1] % Kernel == 0 && InputShape[2] % Kernel == 0;
        if (!tiles) new Span<float>(inputGradient, checked((int)(InputLength * lanes))).Clear();
        for (var pixel = 0; pixel < OutputLength; pixel++, output += lanes, outputGradient += lanes)
        {
            var start = Starts[pixel] * lanes;
            for (nint lane = 0; lane < lanes; lane += T.Count)
            {
                var largest = T.Load(output + lane);
                var gradient = T.Load(outputGradient + lane);
                for (var y = 0; y < Kernel; y++)
                    for (var x = 0; x < Kernel; x++)
                    {
                        var at = start + y * row + x * lanes + lane;
                        var here = T.Load(input + at);
                        var share = T.WhereEqual(here, largest, gradient);
                        T.Store(tiles ? share : share + T.Load(inputGradient + at), inputGradient + at);
                        gradient = T.WhereUnequal(here, largest, gradient);
                    }
            }
        }
    }
}

using System.Numerics;

namespace Flare.Learning;

/// <summary>The largest value of each window (PyTorch's nn.MaxPool2d). The gradient goes to the first largest.</summary>
/// <param name="kernel">Width and height of the window.</param>
/// <param name="stride">Steps between windows; the window's width by default.</param>
public sealed unsafe class MaxPool2d(int kernel, int? stride = null) : Pooling(kernel, stride)
{
    internal override void Forward(in Pass pass, float* input, float* output)
    {
        nint lanes = pass.Lanes, row = InputShape[2] * lanes;
        for (var pixel = 0; pixel < OutputLength; pixel++, output += lanes)
        {
            var window = input + Starts[pixel] * lanes;
            for (nint lane = 0; lane < lanes; lane += Vector<float>.Count)
            {
                var largest = Vector.Load(window + lane);
                for (var y = 0; y < Kernel; y++)
                    for (var x = 0; x < Kernel; x++)
                        largest = Vector.Max(largest, Vector.Load(window + y * row + x * lanes + lane));
                largest.Store(output + lane);
            }
        }
    }

    internal override void Backward(in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        if (inputGradient == null) return;
        nint lanes = pass.Lanes, row = InputShape[2] * lanes;
        // Windows that tile the input set every gradient; otherwise they add to it.
        var tiles = Stride == Kernel && InputShape[1] % Kernel == 0 && InputShape[2] % Kernel == 0;
        if (!tiles) new Span<float>(inputGradient, checked((int)(InputLength * lanes))).Clear();
        for (var pixel = 0; pixel < OutputLength; pixel++, output += lanes, outputGradient += lanes)
        {
            var start = Starts[pixel] * lanes;
            for (nint lane = 0; lane < lanes; lane += Vector<float>.Count)
            {
                var largest = Vector.Load(output + lane);
                var gradient = Vector.Load(outputGradient + lane);
                for (var y = 0; y < Kernel; y++)
                    for (var x = 0; x < Kernel; x++)
                    {
                        var at = start + y * row + x * lanes + lane;
                        var here = Vector.Equals(Vector.Load(input + at), largest).As<int, float>();
                        var share = gradient & here;
                        (tiles ? share : share + Vector.Load(inputGradient + at)).Store(inputGradient + at);
                        gradient = Vector.AndNot(gradient, here);
                    }
            }
        }
    }
}

using System.Numerics;

namespace Flare.Learning;

/// <summary>What the pooling layers share: windows of images [channels, height, width], without padding.</summary>
public abstract class Pooling : Layer
{
    private protected Pooling(int kernel, int? stride)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(kernel);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stride ?? kernel, nameof(stride));
        (Kernel, Stride) = (kernel, stride ?? kernel);
    }

    /// <summary>Width and height of the window.</summary>
    public int Kernel { get; }

    /// <summary>Steps between windows.</summary>
    public int Stride { get; }

    /// <summary>Where each output pixel's window begins in the input, in pixels.</summary>
    private protected int[] Starts { get; private set; } = [];

    private protected override IReadOnlyList<int> Infer(IReadOnlyList<int> input)
    {
        if (input.Count != 3) throw Misfit(input, "but takes [channels, height, width]");
        int channels = input[0], height = input[1], width = input[2];
        if (height < Kernel || width < Kernel) throw Misfit(input, $"smaller than its window of {Kernel}");
        int outHeight = (height - Kernel) / Stride + 1, outWidth = (width - Kernel) / Stride + 1;
        Starts = new int[channels * outHeight * outWidth];
        for (var i = 0; i < Starts.Length; i++)
        {
            var (rest, x) = (i / outWidth, i % outWidth);
            var (channel, y) = (rest / outHeight, rest % outHeight);
            Starts[i] = (channel * height + y * Stride) * width + x * Stride;
        }
        return [channels, outHeight, outWidth];
    }
}

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

/// <summary>The mean of each window (PyTorch's nn.AvgPool2d).</summary>
/// <param name="kernel">Width and height of the window.</param>
/// <param name="stride">Steps between windows; the window's width by default.</param>
public sealed unsafe class AvgPool2d(int kernel, int? stride = null) : Pooling(kernel, stride)
{
    internal override void Forward(in Pass pass, float* input, float* output)
    {
        nint lanes = pass.Lanes, row = InputShape[2] * lanes;
        var share = 1f / (Kernel * Kernel);
        for (var pixel = 0; pixel < OutputLength; pixel++, output += lanes)
        {
            var window = input + Starts[pixel] * lanes;
            for (nint lane = 0; lane < lanes; lane += Vector<float>.Count)
            {
                var sum = Vector<float>.Zero;
                for (var y = 0; y < Kernel; y++)
                    for (var x = 0; x < Kernel; x++) sum += Vector.Load(window + y * row + x * lanes + lane);
                (sum * share).Store(output + lane);
            }
        }
    }

    internal override void Backward(in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        if (inputGradient == null) return;
        nint lanes = pass.Lanes, row = InputShape[2] * lanes;
        var share = 1f / (Kernel * Kernel);
        new Span<float>(inputGradient, checked((int)(InputLength * lanes))).Clear();
        for (var pixel = 0; pixel < OutputLength; pixel++, outputGradient += lanes)
        {
            var window = inputGradient + Starts[pixel] * lanes;
            for (nint lane = 0; lane < lanes; lane += Vector<float>.Count)
            {
                var gradient = Vector.Load(outputGradient + lane) * share;
                for (var y = 0; y < Kernel; y++)
                    for (var x = 0; x < Kernel; x++)
                    {
                        var at = window + y * row + x * lanes + lane;
                        (Vector.Load(at) + gradient).Store(at);
                    }
            }
        }
    }
}

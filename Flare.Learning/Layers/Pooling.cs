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

using Flare.Learning;

namespace Flare.Tests.Learning;

/// <summary>
/// The same layers in double precision and plain loops, sample by sample: an oracle that shares no code with the
/// kernels. Dropout is left out (probability 0 only).
/// </summary>
internal static class ReferenceNetwork
{
    /// <summary>The mean loss over a batch, as in training (batch statistics).</summary>
    public static double Loss(
        Sequential network, IReadOnlyDictionary<string, double[]> weights, Dataset data, int[] samples)
    {
        var logits = Logits(network, weights, data, samples);
        var loss = 0.0;
        for (var n = 0; n < samples.Length; n++)
        {
            var largest = logits[n].Max();
            loss += Math.Log(logits[n].Sum(x => Math.Exp(x - largest))) + largest - logits[n][data.Label(samples[n])];
        }
        return loss / samples.Length;
    }

    public static double[][] Logits(
        Sequential network, IReadOnlyDictionary<string, double[]> weights, Dataset data, int[] samples)
    {
        var x = samples.Select(n => data.Features(n).ToArray().Select(v => (double)v).ToArray()).ToArray();
        foreach (var layer in network.Layers)
        {
            double[] W(string tensor) => weights[$"{layer.Name}.{tensor}"];
            x = layer switch
            {
                Linear linear => [.. x.Select(v => Linear(linear, v, W("weight"), W("bias")))],
                Conv2d conv => [.. x.Select(v => Convolve(conv, v, W("weight"), W("bias")))],
                Pooling pooling => [.. x.Select(v => Pool(pooling, v))],
                ReLU => [.. x.Select(v => v.Select(a => Math.Max(a, 0)).ToArray())],
                Flatten or Dropout { Probability: 0 } => x,
                BatchNorm norm => Normalize(norm, x, W("weight"), W("bias")),
                _ => throw new NotSupportedException(layer.GetType().Name),
            };
        }
        return x;
    }

    public static Dictionary<string, double[]> WeightsOf(Sequential network)
    {
        using var state = network.StateDict();
        return state.Where(t => t.Spec.DType == DType.Float32)
            .ToDictionary(t => t.Name, t => t.AsReadOnlySpan<float>().ToArray().Select(v => (double)v).ToArray());
    }

    private static double[] Linear(Linear layer, double[] x, double[] weight, double[] bias)
    {
        var y = new double[layer.OutFeatures];
        for (var o = 0; o < y.Length; o++)
        {
            y[o] = bias[o];
            for (var i = 0; i < x.Length; i++) y[o] += weight[o * x.Length + i] * x[i];
        }
        return y;
    }

    private static double[] Convolve(Conv2d layer, double[] x, double[] weight, double[] bias)
    {
        int height = layer.InputShape[1], width = layer.InputShape[2], outHeight = layer.OutputShape[1], outWidth =
            layer.OutputShape[2], k = layer.Kernel;
        var y = new double[layer.OutChannels * outHeight * outWidth];
        for (var o = 0; o < layer.OutChannels; o++)
            for (var oy = 0; oy < outHeight; oy++)
                for (var ox = 0; ox < outWidth; ox++)
                {
                    var sum = bias[o];
                    for (var c = 0; c < layer.InChannels; c++)
                        for (var ky = 0; ky < k; ky++)
                            for (var kx = 0; kx < k; kx++)
                            {
                                int iy = oy * layer.Stride + ky - layer.Padding, ix = ox * layer.Stride
                                    + kx - layer.Padding;
                                if (iy >= 0 && iy < height && ix >= 0 && ix < width)
                                    sum += weight[((o * layer.InChannels + c) * k + ky) * k + kx]
                                        * x[(c * height + iy) * width + ix];
                            }
                    y[(o * outHeight + oy) * outWidth + ox] = sum;
                }
        return y;
    }

    private static double[] Pool(Pooling layer, double[] x)
    {
        int channels = layer.InputShape[0], height = layer.InputShape[1], width = layer.InputShape[2], outHeight =
            layer.OutputShape[1], outWidth = layer.OutputShape[2];
        var y = new double[channels * outHeight * outWidth];
        for (var c = 0; c < channels; c++)
            for (var oy = 0; oy < outHeight; oy++)
                for (var ox = 0; ox < outWidth; ox++)
                {
                    var window = new List<double>();
                    for (var ky = 0; ky < layer.Kernel; ky++)
                        for (var kx = 0; kx < layer.Kernel; kx++)
                            window.Add(x[(c * height + oy * layer.Stride + ky) * width + ox * layer.Stride + kx]);
                    y[(c * outHeight + oy) * outWidth + ox] = layer is MaxPool2d ? window.Max() : window.Average();
                }
        return y;
    }

    private static double[][] Normalize(BatchNorm layer, double[][] x, double[] weight, double[] bias)
    {
        var pixels = x[0].Length / layer.Channels;
        var y = x.Select(v => new double[v.Length]).ToArray();
        for (var c = 0; c < layer.Channels; c++)
        {
            var values = x.SelectMany(v => v.Skip(c * pixels).Take(pixels)).ToArray();
            double mean = values.Average(), variance = values.Average(v => (v - mean) * (v - mean));
            for (var n = 0; n < x.Length; n++)
                for (var i = c * pixels; i < (c + 1) * pixels; i++)
                    y[n][i] = (x[n][i] - mean) / Math.Sqrt(variance + 1e-5) * weight[c] + bias[c];
        }
        return y;
    }
}

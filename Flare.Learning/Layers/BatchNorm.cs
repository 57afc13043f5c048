namespace Flare.Learning;

/// <summary>
/// Batch normalisation (Ioffe and Szegedy 2015) as PyTorch's nn.BatchNorm1d and 2d: while training with the batch's
/// mean and biased variance per channel, in evaluation with running averages of the mean and the unbiased variance
/// (momentum 0.1, ε = 1e-5). Parameters <c>weight</c> and <c>bias</c>; buffers <c>running_mean</c>, <c>running_var</c>
/// and <c>num_batches_tracked</c> (Int64).
/// <para>A batch with one value per channel has no variance: it is normalised to 0 and leaves the averages as they are
/// (PyTorch throws there; a site's last, smaller batch should not end its training).</para>
/// </summary>
public abstract unsafe class BatchNorm : Layer
{
    /// <summary>The name of the count of training batches, after the layer's own.</summary>
    internal const string Tracked = "num_batches_tracked";

    private const double Momentum = 0.1, Epsilon = 1e-5;
    private readonly int _rank;
    private TensorView _weight, _bias, _runningMean, _runningVar, _tracked, _weightGradient, _biasGradient;
    private FloatBuffer? _normalized;
    private readonly float[] _inverseDeviations;

    private protected BatchNorm(int channels, int rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(channels);
        (Channels, _rank, _inverseDeviations) = (channels, rank, new float[channels]);
    }

    /// <summary>Number of channels, each with its own statistics.</summary>
    public int Channels { get; }

    private protected override IReadOnlyList<int> Infer(IReadOnlyList<int> input) =>
        input.Count == _rank && input[0] == Channels ? [.. input]
        : throw Misfit(input, _rank == 1 ? $"but takes [{Channels}]" : $"but takes [{Channels}, height, width]");

    internal override IEnumerable<TensorSpec> Tensors() =>
    [
        new(Full("weight"), DType.Float32, [Channels]),
        new(Full("bias"), DType.Float32, [Channels]),
        new(Full("running_mean"), DType.Float32, [Channels], TensorRole.Buffer),
        new(Full("running_var"), DType.Float32, [Channels], TensorRole.Buffer),
        new(Full(Tracked), DType.Int64, [], TensorRole.Buffer),
    ];

    internal override void Attach(StateDict state, StateDict gradients)
    {
        (_weight, _bias, _runningMean, _runningVar) =
            (state[Full("weight")], state[Full("bias")], state[Full("running_mean")], state[Full("running_var")]);
        _tracked = state[Full(Tracked)];
        (_weightGradient, _biasGradient) = (gradients[Full("weight")], gradients[Full("bias")]);
    }

    internal override void Initialize(SeededRandom random)
    {
        _weight.AsSpan<float>().Fill(1);
        _runningVar.AsSpan<float>().Fill(1);
    }

    internal override void Reserve(int lanes) => FloatBuffer.Fit(ref _normalized, (long)InputLength * lanes);

    internal override void Forward<T>(in Pass pass, float* input, float* output)
    {
        int pixels = InputLength / Channels, count = pixels * pass.Samples;
        var run = (nint)pixels * pass.Lanes;
        Span<float> means = _runningMean.AsSpan<float>(), variances = _runningVar.AsSpan<float>();
        ReadOnlySpan<float> weights = _weight.AsReadOnlySpan<float>(), biases = _bias.AsReadOnlySpan<float>();
        if (pass.Training) _tracked.AsSpan<long>()[0]++;
        for (var channel = 0; channel < Channels; channel++)
        {
            float* x = input + channel * run, normalized = _normalized!.Pointer + channel * run, y = output
                + channel * run;
            double mean = means[channel], variance = variances[channel];
            if (pass.Training)
            {
                (mean, variance) = Moments<T>(pass, x, normalized, pixels, count);
                if (count > 1)
                {
                    means[channel] = (float)((1 - Momentum) * means[channel] + Momentum * mean);
                    variances[channel] =
                        (float)((1 - Momentum) * variances[channel] + Momentum * variance * count / (count - 1));
                }
            }
            var inverse = _inverseDeviations[channel] = (float)(1 / Math.Sqrt(variance + Epsilon));
            T center = T.Broadcast((float)mean), scale = T.Broadcast(inverse);
            T weight = T.Broadcast(weights[channel]), bias = T.Broadcast(biases[channel]);
            for (nint i = 0; i < run; i += T.Count)
            {
                var value = (T.Load(x + i) - center) * scale;
                T.Store(value, normalized + i);
                T.Store(value * weight + bias, y + i);
            }
            ClearUnused(pass, normalized, pixels);
        }
    }

    internal override void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        int pixels = InputLength / Channels, count = pixels * pass.Samples;
        var run = pixels * pass.Lanes;
        Span<float> weightGradients = _weightGradient.AsSpan<float>(), biasGradients = _biasGradient.AsSpan<float>();
        var weights = _weight.AsReadOnlySpan<float>();
        for (var channel = 0; channel < Channels; channel++)
        {
            float* normalized = _normalized!.Pointer + (nint)channel * run, dy = outputGradient + (nint)channel * run;
            var sum = biasGradients[channel] = Reduction.Sum<T>(dy, run);
            var dot = weightGradients[channel] = Reduction.Dot<T>(dy, normalized, run);
            if (inputGradient == null) continue;
            // dx = w/σ · (dy − mean(dy) − x̂ · mean(dy · x̂))
            var dx = inputGradient + (nint)channel * run;
            T mean = T.Broadcast(sum / count), slope = T.Broadcast(-dot / count);
            var scale = T.Broadcast(weights[channel] * _inverseDeviations[channel]);
            for (nint i = 0; i < run; i += T.Count)
                T.Store((T.Load(normalized + i) * slope + (T.Load(dy + i) - mean)) * scale, dx + i);
            ClearUnused(pass, dx, pixels);
        }
    }

    /// <summary>
    /// Mean and biased variance over the lanes that hold a sample; two passes, the second over squares of differences.
    /// </summary>
    private static (double Mean, double Variance) Moments<T>(
        in Pass pass, float* x, float* scratch, int pixels, int count)
        where T : struct, ILanes<T>
    {
        var run = pixels * pass.Lanes;
        new ReadOnlySpan<float>(x, run).CopyTo(new(scratch, run));
        ClearUnused(pass, scratch, pixels);
        var mean = (double)Reduction.Sum<T>(scratch, run) / count;
        var center = T.Broadcast((float)mean);
        for (nint i = 0; i < run; i += T.Count) T.Store(T.Load(x + i) - center, scratch + i);
        ClearUnused(pass, scratch, pixels);
        return (mean, (double)Reduction.Dot<T>(scratch, scratch, run) / count);
    }

    private static void ClearUnused(in Pass pass, float* values, int pixels)
    {
        if (pass.Samples == pass.Lanes) return;
        for (var pixel = 0; pixel < pixels; pixel++)
            new Span<float>(values + (nint)pixel * pass.Lanes + pass.Samples, pass.Lanes - pass.Samples).Clear();
    }
}

/// <summary>Batch normalisation of features [channels].</summary>
/// <param name="channels">Number of features.</param>
public sealed class BatchNorm1d(int channels) : BatchNorm(channels, 1);

/// <summary>Batch normalisation of images [channels, height, width], per channel.</summary>
/// <param name="channels">Number of channels.</param>
public sealed class BatchNorm2d(int channels) : BatchNorm(channels, 3);

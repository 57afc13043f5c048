namespace Flare.Learning;

/// <summary>
/// Cross-correlation of images [channels, height, width] with <c>weight</c> [out, in, kernel, kernel] plus <c>bias</c>
/// [out] (PyTorch's nn.Conv2d with a square kernel).
/// </summary>
public sealed unsafe class Conv2d : Layer
{
    private readonly ConvolutionPlan _plan = new();
    private TensorView _weight, _bias, _weightGradient, _biasGradient;

    /// <summary>Creates the layer.</summary>
    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="kernel">Width and height of the kernel.</param>
    /// <param name="stride">Steps between applications of the kernel.</param>
    /// <param name="padding">Zeros around the image on each side, at most <paramref name="kernel"/> − 1.</param>
    public Conv2d(int inChannels, int outChannels, int kernel, int stride = 1, int padding = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(kernel);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stride);
        ArgumentOutOfRangeException.ThrowIfNegative(padding);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(padding, kernel);
        (InChannels, OutChannels, Kernel, Stride, Padding) = (inChannels, outChannels, kernel, stride, padding);
    }

    /// <summary>Channels of the input.</summary>
    public int InChannels { get; }

    /// <summary>Channels of the output.</summary>
    public int OutChannels { get; }

    /// <summary>Width and height of the kernel.</summary>
    public int Kernel { get; }

    /// <summary>Steps between applications of the kernel.</summary>
    public int Stride { get; }

    /// <summary>Zeros around the image on each side.</summary>
    public int Padding { get; }

    private protected override IReadOnlyList<int> Infer(IReadOnlyList<int> input)
    {
        if (input.Count != 3 || input[0] != InChannels) throw Misfit(input, $"but takes [{InChannels}, height, width]");
        int height = input[1] + 2 * Padding, width = input[2] + 2 * Padding;
        if (height < Kernel || width < Kernel)
            throw Misfit(input, $"smaller than its kernel of {Kernel}; use padding or a smaller kernel");
        _plan.Shape(this, input);
        return [OutChannels, _plan.OutHeight, _plan.OutWidth];
    }

    internal override IEnumerable<TensorSpec> Tensors() =>
    [
        new(Full("weight"), DType.Float32, [OutChannels, InChannels, Kernel, Kernel]),
        new(Full("bias"), DType.Float32, [OutChannels]),
    ];

    internal override void Attach(StateDict state, StateDict gradients)
    {
        (_weight, _bias) = (state[Full("weight")], state[Full("bias")]);
        (_weightGradient, _biasGradient) = (gradients[Full("weight")], gradients[Full("bias")]);
    }

    internal override void Initialize(SeededRandom random) =>
        Initial.KaimingUniform(random, InChannels * Kernel * Kernel, _weight, _bias);

    internal override void Reserve(int lanes) => _plan.Reserve(lanes);

    internal override void Forward<T>(in Pass pass, float* input, float* output)
    {
        fixed (float* weight = _weight.AsReadOnlySpan<float>(), bias = _bias.AsReadOnlySpan<float>())
            _plan.Forward<T>(input, weight, bias, output);
    }

    internal override void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        Reduction.RowSums<T>(
            outputGradient, OutChannels, OutputLength / OutChannels * pass.Lanes, _biasGradient.AsSpan<float>());
        _plan.WeightGradient<T>(input, outputGradient, _weightGradient.AsSpan<float>());
        if (inputGradient == null) return;
        fixed (float* weight = _weight.AsReadOnlySpan<float>())
            _plan.InputGradient<T>(weight, outputGradient, inputGradient);
    }
}

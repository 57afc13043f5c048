namespace Flare.Learning;

/// <summary>y = W x + b, with <c>weight</c> [out, in] and <c>bias</c> [out] (PyTorch's nn.Linear).</summary>
/// <param name="inFeatures">Values a sample comes with.</param>
/// <param name="outFeatures">Values a sample leaves with.</param>
public sealed unsafe class Linear(int inFeatures, int outFeatures) : Layer
{
    private TensorView _weight, _bias, _weightGradient, _biasGradient;
    private int[] _forwardOffsets = [], _backwardOffsets = [], _gradientOffsets = [];
    private FloatBuffer? _samplesFirst, _paddedGradient;

    /// <summary>Values a sample comes with.</summary>
    public int InFeatures { get; } = inFeatures > 0 ? inFeatures
        : throw new ArgumentOutOfRangeException(nameof(inFeatures));

    /// <summary>Values a sample leaves with.</summary>
    public int OutFeatures { get; } = outFeatures > 0 ? outFeatures
        : throw new ArgumentOutOfRangeException(nameof(outFeatures));

    private int PaddedInput => (InFeatures + 31) / 32 * 32;

    private protected override IReadOnlyList<int> Infer(IReadOnlyList<int> input) =>
        input.Count == 1 && input[0] == InFeatures ? [OutFeatures]
        : throw Misfit(input, $"but takes [{InFeatures}]; put a Flatten before it, or correct inFeatures");

    internal override IEnumerable<TensorSpec> Tensors() =>
    [
        new(Full("weight"), DType.Float32, [OutFeatures, InFeatures]),
        new(Full("bias"), DType.Float32, [OutFeatures]),
    ];

    internal override void Attach(StateDict state, StateDict gradients)
    {
        (_weight, _bias) = (state[Full("weight")], state[Full("bias")]);
        (_weightGradient, _biasGradient) = (gradients[Full("weight")], gradients[Full("bias")]);
    }

    internal override void Initialize(SeededRandom random) =>
        Initial.KaimingUniform(random, InFeatures, _weight, _bias);

    internal override void Reserve(int lanes)
    {
        Offsets(ref _forwardOffsets, InFeatures, lanes);
        Offsets(ref _backwardOffsets, OutFeatures, lanes);
        Offsets(ref _gradientOffsets, lanes, PaddedInput);
        FloatBuffer.Fit(ref _samplesFirst, (long)lanes * PaddedInput);
        FloatBuffer.Fit(ref _paddedGradient, (long)OutFeatures * PaddedInput);
    }

    internal override void Forward<T>(in Pass pass, float* input, float* output)
    {
        fixed (float* weight = _weight.AsReadOnlySpan<float>(), bias = _bias.AsReadOnlySpan<float>())
        fixed (int* offsets = _forwardOffsets)
        {
            Product.Compute<T>(new()
            {
                A = weight, RowStride = InFeatures, StepStride = 1, B = input, Offsets = offsets, Bias = bias,
                C = output, CStride = pass.Lanes, Rows = OutFeatures, Steps = InFeatures, Columns = pass.Lanes,
            });
        }
    }

    internal override void Backward<T>(
        in Pass pass, float* input, float* output, float* outputGradient, float* inputGradient)
    {
        Reduction.RowSums<T>(outputGradient, OutFeatures, pass.Lanes, _biasGradient.AsSpan<float>());
        WeightGradient<T>(pass, input, outputGradient);
        if (inputGradient == null) return;
        fixed (float* weight = _weight.AsReadOnlySpan<float>())
        fixed (int* offsets = _backwardOffsets)
        {
            Product.Compute<T>(new()
            {
                A = weight, RowStride = 1, StepStride = InFeatures, B = outputGradient, Offsets = offsets, Bias = null,
                C = inputGradient, CStride = pass.Lanes, Rows = InFeatures, Steps = OutFeatures, Columns = pass.Lanes,
            });
        }
    }

    // With few samples a sum over samples is too short for vectors along it: they run along the input's features
    // instead.
    private void WeightGradient<T>(in Pass pass, float* input, float* outputGradient) where T : struct, ILanes<T>
    {
        float* samplesFirst = _samplesFirst!.Pointer, padded = _paddedGradient!.Pointer;
        Transpose.Run(input, InFeatures, pass.Lanes, samplesFirst, PaddedInput);
        fixed (int* offsets = _gradientOffsets)
        {
            Product.Compute<T>(new()
            {
                A = outputGradient, RowStride = pass.Lanes, StepStride = 1, B = samplesFirst, Offsets = offsets,
                    Bias = null,
                C = padded, CStride = PaddedInput, Rows = OutFeatures, Steps = pass.Samples, Columns = PaddedInput,
            });
        }
        var gradient = _weightGradient.AsSpan<float>();
        for (var row = 0; row < OutFeatures; row++)
            new ReadOnlySpan<float>(padded + (long)row * PaddedInput, InFeatures).CopyTo(
                gradient[(row * InFeatures)..]);
    }

    private static void Offsets(ref int[] offsets, int count, int stride)
    {
        if (offsets.Length < count) offsets = new int[count];
        for (var i = 0; i < count; i++) offsets[i] = checked(i * stride);
    }
}

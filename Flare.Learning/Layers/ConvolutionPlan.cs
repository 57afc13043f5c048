namespace Flare.Learning;

/// <summary>
/// The geometry and scratch memory of one convolution, and its three products. The input is read in place through
/// tables of offsets, or from a copy with a border where there is padding.
/// </summary>
internal sealed unsafe class ConvolutionPlan
{
    private int _inChannels, _outChannels, _kernel, _stride, _padding, _height, _width, _lanes, _spreadLanes;
    private int[] _inputOffsets = [], _gradientOffsets = [], _flipped = [];
    private FloatBuffer? _paddedInput, _spreadGradient, _flippedWeight, _partials;

    public int OutHeight { get; private set; }

    public int OutWidth { get; private set; }

    private int PaddedHeight => _height + 2 * _padding;

    private int PaddedWidth => _width + 2 * _padding;

    /// <summary>
    /// Pixels of a row of the output's gradient, spread by the stride, with room for the kernel to overhang on both
    /// sides.
    /// </summary>
    private int SpreadWidth => _width + _kernel - 1;

    private int Taps => _inChannels * _kernel * _kernel;

    public void Shape(Conv2d layer, IReadOnlyList<int> input)
    {
        (_inChannels, _outChannels, _kernel, _stride, _padding) =
            (layer.InChannels, layer.OutChannels, layer.Kernel, layer.Stride, layer.Padding);
        (_height, _width) = (input[1], input[2]);
        OutHeight = (PaddedHeight - _kernel) / _stride + 1;
        OutWidth = (PaddedWidth - _kernel) / _stride + 1;
    }

    public void Reserve(int lanes)
    {
        _lanes = lanes;
        if (_padding > 0) FloatBuffer.Fit(ref _paddedInput, (long)_inChannels * PaddedHeight * PaddedWidth * lanes);
        // Borders lie elsewhere with another number of lanes.
        _paddedInput?.Span.Clear();
        FloatBuffer.Fit(ref _flippedWeight, (long)_outChannels * Taps);
        FloatBuffer.Fit(ref _partials, (long)_outChannels * Taps * Correlation.Partials);
        SetInputOffsets();
        SetGradientOffsets();
    }

    public void Forward<T>(float* input, float* weight, float* bias, float* output) where T : struct, ILanes<T>
    {
        input = Padded(input);
        var product = new Product.Operands
        {
            A = weight, RowStride = Taps, StepStride = 1, B = input, Offsets = null, Bias = bias,
            C = output, CStride = (nint)OutHeight * OutWidth * _lanes, Rows = _outChannels, Steps = Taps,
            Columns = RunLength,
        };
        fixed (int* offsets = _inputOffsets)
        {
            for (var y = 0; y < OutHeight; y++)
                for (var x = 0; x < OutWidth; x += RunPixels)
                    Product.Compute<T>(
                        product with { B = input + InputRun(y, x), Offsets = offsets, C = output + OutputRun(y, x) });
        }
    }

    public void WeightGradient<T>(float* input, float* outputGradient, Span<float> weightGradient)
        where T : struct, ILanes<T>
    {
        // In training the forward pass has filled the padded copy.
        if (_padding > 0) input = _paddedInput!.Pointer;
        _partials!.Span.Clear();
        var correlation = new Correlation.Operands
        {
            D = outputGradient, DStride = (nint)OutHeight * OutWidth * _lanes, B = input, Offsets = null,
                Sums = _partials.Pointer,
            Rows = _outChannels, Steps = Taps, Columns = RunLength,
        };
        fixed (int* offsets = _inputOffsets)
        {
            for (var y = 0; y < OutHeight; y++)
                for (var x = 0; x < OutWidth; x += RunPixels)
                    Correlation.Accumulate<T>(
                        correlation with { D = outputGradient + OutputRun(y, x), B = input
                            + InputRun(y, x), Offsets = offsets });
        }
        Correlation.Fold(_partials.Pointer, weightGradient);
    }

    // The transposed convolution, as a product with the flipped kernel over the output's gradient, spread by the
    // stride. A row of the input meets only the kernel's rows of one residue modulo the stride; the steps are ordered
    // by residue, so that those a row meets follow one another.
    public void InputGradient<T>(float* weight, float* outputGradient, float* inputGradient) where T : struct, ILanes<T>
    {
        Spread(outputGradient);
        var flipped = _flippedWeight!.Pointer;
        var perInput = _outChannels * _kernel * _kernel;
        for (var i = 0; i < _flipped.Length; i++) flipped[i] = weight[_flipped[i]];
        nint spreadRow = (nint)SpreadWidth * _lanes, row = (nint)_width * _lanes;
        fixed (int* offsets = _gradientOffsets)
        {
            for (var y = 0; y < _height; y++)
            {
                int residue = (y + _padding) % _stride, quotient = (y + _padding) / _stride;
                var rowsOfResidue = residue < _kernel ? (_kernel - 1 - residue) / _stride + 1 : 0;
                var first = Math.Max(0, quotient - (OutHeight - 1));
                var end = Math.Min(rowsOfResidue, quotient + 1);
                if (first >= end)
                {
                    for (var channel = 0; channel < _inChannels; channel++)
                        new Span<float>(inputGradient + (channel * _height + y) * row, (int)row).Clear();
                    continue;
                }
                var step = (RowsBefore(residue) + first) * _outChannels * _kernel;
                Product.Compute<T>(new()
                {
                    A = flipped + step, RowStride = perInput, StepStride = 1, B = _spreadGradient!.Pointer
                        + quotient * spreadRow, Offsets = offsets + step,
                    Bias = null, C = inputGradient + y * row, CStride = _height * row, Rows = _inChannels,
                    Steps = (end - first) * _outChannels * _kernel,
                    Columns = (int)row,
                });
            }
        }
    }

    // With stride 1 neighbouring pixels are neighbours in memory too: a whole row is one run of columns.
    private int RunPixels => _stride == 1 ? OutWidth : 1;

    private int RunLength => RunPixels * _lanes;

    private nint InputRun(int y, int x) => ((nint)y * _stride * PaddedWidth + x * _stride) * _lanes;

    private nint OutputRun(int y, int x) => ((nint)y * OutWidth + x) * _lanes;

    private int RowsBefore(int residue)
    {
        var rows = 0;
        for (var r = 0; r < residue && r < _kernel; r++) rows += (_kernel - 1 - r) / _stride + 1;
        return rows;
    }

    private void SetInputOffsets()
    {
        if (_inputOffsets.Length == 0) _inputOffsets = new int[Taps];
        for (int channel = 0, i = 0; channel < _inChannels; channel++)
            for (var y = 0; y < _kernel; y++)
                for (var x = 0; x < _kernel; x++)
                    _inputOffsets[i++] = checked(((channel * PaddedHeight + y) * PaddedWidth + x) * _lanes);
    }

    private void SetGradientOffsets()
    {
        var steps = _outChannels * _kernel * _kernel;
        if (_gradientOffsets.Length == 0) (_gradientOffsets, _flipped) = (new int[steps], new int[steps * _inChannels]);
        var step = 0;
        for (var residue = 0; residue < Math.Min(_stride, _kernel); residue++)
            for (int q = 0, y = residue; y < _kernel; q++, y += _stride)
                for (var channel = 0; channel < _outChannels; channel++)
                    for (var x = 0; x < _kernel; x++, step++)
                    {
                        _gradientOffsets[step] =
                            checked(((channel * OutHeight - q) * SpreadWidth + (_kernel - 1 - x)) * _lanes);
                        for (var input = 0; input < _inChannels; input++)
                            _flipped[input * steps + step] = ((channel * _inChannels + input) * _kernel + y) * _kernel
                                + x;
                    }
    }

    private float* Padded(float* input)
    {
        if (_padding == 0) return input;
        var padded = _paddedInput!.Pointer;
        for (var channel = 0; channel < _inChannels; channel++)
            for (var y = 0; y < _height; y++)
                new ReadOnlySpan<float>(input + (nint)(channel * _height + y) * _width * _lanes, _width * _lanes)
                    .CopyTo(
                        new(padded + ((nint)(channel * PaddedHeight + y + _padding) * PaddedWidth + _padding) * _lanes,
                            _width * _lanes));
        return padded;
    }

    // The places between and around are zero from the start. The first layer of a network never comes here.
    private void Spread(float* outputGradient)
    {
        if (_spreadLanes != _lanes)
        {
            FloatBuffer.Fit(ref _spreadGradient, (long)_outChannels * OutHeight * SpreadWidth * _lanes);
            _spreadGradient!.Span.Clear();
            _spreadLanes = _lanes;
        }
        var left = _kernel - 1 - _padding;
        for (var row = 0; row < _outChannels * OutHeight; row++)
            for (var x = 0; x < OutWidth; x += RunPixels)
                new ReadOnlySpan<float>(outputGradient + ((nint)row * OutWidth + x) * _lanes, RunLength)
                    .CopyTo(
                        new(_spreadGradient!.Pointer + ((nint)row * SpreadWidth + left + x * _stride) * _lanes,
                            RunLength));
    }
}

namespace Flare.Learning;

/// <summary>
/// Labelled samples: float32 features of one shape, and a class label each. Subsets (<see cref="Slice"/>,
/// <see cref="Subset"/>, the Split methods) are views that share the features; nothing is copied. Immutable: do not
/// change arrays that were handed in.
/// </summary>
public sealed unsafe class Dataset
{
    private readonly float[] _features;
    private readonly int[] _labels;
    private readonly int[] _rows;

    /// <summary>Makes a data set of arrays, which it keeps without copying.</summary>
    /// <param name="sampleShape">The shape of one sample, such as [1, 28, 28].</param>
    /// <param name="features">The samples' features one after the other, each row-major.</param>
    /// <param name="labels">One label a sample, from 0 to <paramref name="classes"/> − 1.</param>
    /// <param name="classes">Number of classes.</param>
    /// <exception cref="ArgumentException">The lengths do not agree, or a label is out of range.</exception>
    public Dataset(ReadOnlySpan<int> sampleShape, float[] features, int[] labels, int classes)
    {
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(classes);
        foreach (var dimension in sampleShape)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(dimension, nameof(sampleShape));
        SampleShape = sampleShape.ToArray();
        SampleLength = Layer.CountOf(SampleShape);
        if (SampleLength == 0 || (long)SampleLength * labels.Length != features.Length)
            throw new ArgumentException(
                $"{labels.Length} samples of shape [{string.Join(", ", SampleShape)}] take "
                    + $"{(long)SampleLength * labels.Length} features; there are {features.Length}.", nameof(features));
        for (var i = 0; i < labels.Length; i++)
            if ((uint)labels[i] >= (uint)classes)
                throw new ArgumentException(
                    $"Sample {i} has label {labels[i]}; with {classes} classes labels go from 0 to {classes - 1}.",
                    nameof(labels));
        (_features, _labels, Classes) = (features, labels, classes);
        _rows = new int[labels.Length];
        for (var i = 0; i < _rows.Length; i++) _rows[i] = i;
    }

    private Dataset(Dataset source, int[] rows)
    {
        (_features, _labels, _rows) = (source._features, source._labels, rows);
        (SampleShape, SampleLength, Classes) = (source.SampleShape, source.SampleLength, source.Classes);
    }

    /// <summary>Number of samples.</summary>
    public int Count => _rows.Length;

    /// <summary>The shape of one sample.</summary>
    public IReadOnlyList<int> SampleShape { get; }

    /// <summary>Number of features of one sample.</summary>
    public int SampleLength { get; }

    /// <summary>Number of classes of the whole; a subset may lack some.</summary>
    public int Classes { get; }

    /// <summary>The features of a sample, row-major.</summary>
    public ReadOnlySpan<float> Features(int sample) =>
        _features.AsSpan((int)((long)_rows[sample] * SampleLength), SampleLength);

    /// <summary>The label of a sample.</summary>
    public int Label(int sample) => _labels[_rows[sample]];

    /// <summary>How many samples each class has.</summary>
    public int[] LabelCounts()
    {
        var counts = new int[Classes];
        foreach (var row in _rows) counts[_labels[row]]++;
        return counts;
    }

    /// <summary>A view of consecutive samples.</summary>
    /// <param name="start">The first.</param>
    /// <param name="count">How many.</param>
    public Dataset Slice(int start, int count) => new(this, _rows.AsSpan(start, count).ToArray());

    /// <summary>A view of some samples, in the order given; a sample may come more than once.</summary>
    /// <param name="samples">Indexes of samples.</param>
    public Dataset Subset(ReadOnlySpan<int> samples)
    {
        var rows = new int[samples.Length];
        for (var i = 0; i < rows.Length; i++) rows[i] = _rows[samples[i]];
        return new(this, rows);
    }

    /// <summary>For people: <c>1437 samples of [1, 8, 8], 10 classes</c>.</summary>
    public override string ToString() => $"{Count} samples of [{string.Join(", ", SampleShape)}], {Classes} classes";

    /// <summary>Lays a batch out for a network: features × lanes, unused lanes zero.</summary>
    internal void Gather(ReadOnlySpan<int> samples, int length, float* to, int lanes, Span<int> labels, int classes)
    {
        if (SampleLength != length)
            throw new ArgumentException(
                $"The samples have shape [{string.Join(", ", SampleShape)}], "
                    + $"{SampleLength} values; the network takes {length}.");
        if (Classes > classes)
            throw new ArgumentException(
                $"The data have {Classes} classes, the network {classes}; give its last layer as many outputs.");
        for (var lane = 0; lane < samples.Length; lane++) labels[lane] = Label(samples[lane]);
        // In blocks of features that stay in the first-level cache while all samples write their lane of them.
        const int Block = 64;
        for (var first = 0; first < length; first += Block)
        {
            var count = Math.Min(Block, length - first);
            var block = to + (nint)first * lanes;
            for (var lane = 0; lane < samples.Length; lane++)
                Transpose.Scatter(Features(samples[lane]).Slice(first, count), block, lanes, lane);
            for (var lane = samples.Length; lane < lanes; lane++)
                for (var i = 0; i < count; i++) block[(nint)i * lanes + lane] = 0;
        }
    }
}

/// <summary>Data to train on, and data held back to judge by.</summary>
/// <param name="Train">Data to train on.</param>
/// <param name="Test">Data that training never sees.</param>
public sealed record TrainTest(Dataset Train, Dataset Test);

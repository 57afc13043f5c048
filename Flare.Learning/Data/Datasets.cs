using System.Globalization;
using System.IO.Compression;

namespace Flare.Learning;

/// <summary>
/// Data sets: two small ones that come with this package, and readers of the usual files of three larger ones.
/// </summary>
public static partial class Datasets
{
    private const double TestShare = 0.2;

    /// <summary>
    /// Handwritten digits, 8 × 8 pixels: 1,797 samples of shape [1, 8, 8] in [0, 1], ten classes. A fifth of each
    /// class, drawn with a fixed seed, is the test part; the split is the same everywhere and for good.
    /// <para>UCI Optical Recognition of Handwritten Digits (test part), Alpaydin and Kaynak 1998, CC BY 4.0,
    /// https://doi.org/10.24432/C50P49.</para>
    /// </summary>
    public static TrainTest Digits()
    {
        using var resource = Resource("digits.csv.gz");
        using var unzipped = new GZipStream(resource, CompressionMode.Decompress);
        var (features, labels) = ReadRows(unzipped, columns: 64, skipHeader: false);
        for (var i = 0; i < features.Length; i++) features[i] /= 16;
        return SplitStratified(new Dataset([1, 8, 8], features, labels, classes: 10));
    }

    /// <summary>
    /// Breast cancer diagnosis: 569 samples of 30 features, two classes (0 malignant, 1 benign). A fifth of each class,
    /// drawn with a fixed seed, is the test part. Each feature is standardised with the mean and deviation of the
    /// training part.
    /// <para>UCI Breast Cancer Wisconsin (Diagnostic), Wolberg, Mangasarian, Street and Street 1995, CC BY 4.0,
    /// https://doi.org/10.24432/C5DW2B.</para>
    /// </summary>
    public static TrainTest BreastCancer()
    {
        using var resource = Resource("breast_cancer.csv");
        var (features, labels) = ReadRows(resource, columns: 30, skipHeader: true);
        var split = SplitStratified(new Dataset([30], features, labels, classes: 2));
        Standardize(features, split.Train);
        return split;
    }

    private static Stream Resource(string name) =>
        typeof(Datasets).Assembly.GetManifestResourceStream(name)
        ?? throw new InvalidOperationException($"The package's resource '{name}' is missing; was it trimmed away?");

    private static (float[] Features, int[] Labels) ReadRows(Stream stream, int columns, bool skipHeader)
    {
        using var reader = new StreamReader(stream);
        var features = new List<float>();
        var labels = new List<int>();
        if (skipHeader) reader.ReadLine();
        while (reader.ReadLine() is { Length: > 0 } line)
        {
            var column = 0;
            foreach (var range in line.AsSpan().Split(','))
            {
                var field = line.AsSpan(range);
                if (column++ < columns) features.Add(float.Parse(field, CultureInfo.InvariantCulture));
                else labels.Add(int.Parse(field, CultureInfo.InvariantCulture));
            }
        }
        return ([.. features], [.. labels]);
    }

    private static TrainTest SplitStratified(Dataset all)
    {
        var random = new SeededRandom(0, stream: 0x5911);
        var train = new List<int>();
        var test = new List<int>();
        for (var label = 0; label < all.Classes; label++)
        {
            var samples = Enumerable.Range(0, all.Count).Where(sample => all.Label(sample) == label).ToArray();
            random.Shuffle(samples);
            var held = (int)Math.Round(samples.Length * TestShare);
            test.AddRange(samples.AsSpan(0, held));
            train.AddRange(samples.AsSpan(held));
        }
        train.Sort();
        test.Sort();
        return new(all.Subset([.. train]), all.Subset([.. test]));
    }

    // In place: the split's two parts are views of these features.
    private static void Standardize(float[] features, Dataset train)
    {
        var length = train.SampleLength;
        for (var column = 0; column < length; column++)
        {
            double sum = 0, squares = 0;
            for (var i = 0; i < train.Count; i++) sum += train.Features(i)[column];
            var mean = sum / train.Count;
            for (var i = 0; i < train.Count; i++)
            {
                var difference = train.Features(i)[column] - mean;
                squares += difference * difference;
            }
            var deviation = Math.Sqrt(squares / train.Count);
            for (var i = column; i < features.Length; i += length)
                features[i] = (float)((features[i] - mean) / deviation);
        }
    }
}

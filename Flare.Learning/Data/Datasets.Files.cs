using System.Buffers.Binary;
using System.IO.Compression;

namespace Flare.Learning;

public static partial class Datasets
{
    /// <summary>
    /// The most feature bytes that one file may hold, unpacked: 1 GiB, which become 4 GiB of float32. A file that
    /// claims more is refused before memory is taken.
    /// </summary>
    public const long MaxFileBytes = 1L << 30;

    /// <summary>
    /// How many times its own size (and a mebibyte besides) a gzipped file may unpack to: 50. Images shrink to a fifth,
    /// so a file that claims more is made to fill memory, and is refused before it does. A file that is not packed has
    /// no such limit.
    /// </summary>
    public const int MaxInflation = 50;

    private const int CifarRecord = 1 + 3 * 32 * 32;

    /// <summary>
    /// MNIST, Fashion-MNIST or another set with those file names in a folder: <c>train-images-idx3-ubyte</c>,
    /// <c>train-labels-idx1-ubyte</c>, <c>t10k-images-idx3-ubyte</c> and <c>t10k-labels-idx1-ubyte</c>, plain or with
    /// <c>.gz</c>; also as some tools unpack them, <c>train-images.idx3-ubyte</c>. Samples are [1, 28, 28] in [0, 1].
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="FileNotFoundException">A file is not there.</exception>
    /// <exception cref="InvalidDataException">A file is malformed.</exception>
    public static TrainTest Mnist(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return new(Part("train"), Part("t10k"));

        Dataset Part(string part) =>
            Idx(Existing(folder, $"{part}-images-idx3-ubyte"), Existing(folder, $"{part}-labels-idx1-ubyte"));
    }

    /// <summary>
    /// Images and labels in IDX files of bytes (the format of MNIST, http://yann.lecun.com/exdb/mnist/), plain or
    /// gzipped, up to
    /// <see cref="MaxFileBytes"/> and <see cref="MaxInflation"/>. Samples are [1, height, width] in [0, 1].
    /// </summary>
    /// <param name="imagesPath">File of three dimensions: images, height, width.</param>
    /// <param name="labelsPath">File of one dimension: labels.</param>
    /// <param name="classes">Number of classes.</param>
    /// <exception cref="InvalidDataException">A file is malformed, or the two do not belong together.</exception>
    public static Dataset Idx(string imagesPath, string labelsPath, int classes = 10)
    {
        ArgumentException.ThrowIfNullOrEmpty(imagesPath);
        ArgumentException.ThrowIfNullOrEmpty(labelsPath);
        using var images = File.OpenRead(imagesPath);
        using var labels = File.OpenRead(labelsPath);
        return ReadIdx(images, imagesPath, labels, labelsPath, classes);
    }

    /// <summary>
    /// CIFAR-10 in its binary version (https://www.cs.toronto.edu/~kriz/cifar.html): <c>data_batch_1.bin</c> to
    /// <c>data_batch_5.bin</c> and <c>test_batch.bin</c>. Samples are [3, 32, 32] in [-1, 1], as in NVIDIA FLARE's
    /// examples.
    /// </summary>
    /// <param name="folder">The folder that holds the files.</param>
    /// <exception cref="FileNotFoundException">A file is not there.</exception>
    /// <exception cref="InvalidDataException">A file is malformed.</exception>
    public static TrainTest Cifar10(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return new(
            ReadCifar10([.. Enumerable.Range(1, 5).Select(i => Existing(folder, $"data_batch_{i}.bin"))]),
            ReadCifar10([Existing(folder, "test_batch.bin")]));
    }

    internal static Dataset ReadIdx(Stream images, string imagesName, Stream labels, string labelsName, int classes)
    {
        var (dimensions, pixels) = ReadIdxFile(images, imagesName, rank: 3);
        var (labelDimensions, labelBytes) = ReadIdxFile(labels, labelsName, rank: 1);
        if (labelDimensions[0] != dimensions[0])
            throw new InvalidDataException(
                $"'{imagesName}' holds {dimensions[0]} images, '{labelsName}' "
                    + $"{labelDimensions[0]} labels: do the files belong together?");
        var features = new float[pixels.Length];
        for (var i = 0; i < features.Length; i++) features[i] = pixels[i] / 255f;
        return new Dataset(
            [1, dimensions[1], dimensions[2]], features, Labels(labelBytes, labelsName, classes), classes);
    }

    internal static Dataset ReadCifar10(params ReadOnlySpan<string> paths)
    {
        var files = new byte[paths.Length][];
        var total = 0;
        for (var i = 0; i < files.Length; i++)
        {
            using var stream = File.OpenRead(paths[i]);
            if (stream.Length == 0 || stream.Length % CifarRecord != 0 || stream.Length > MaxFileBytes)
                throw new InvalidDataException(
                    $"'{paths[i]}' has {stream.Length} bytes, no multiple of a record's {CifarRecord}: is it "
                        + "CIFAR-10's binary version, fully downloaded?");
            files[i] = new byte[stream.Length];
            stream.ReadExactly(files[i]);
            total += files[i].Length / CifarRecord;
        }
        var features = new float[checked(total * (CifarRecord - 1))];
        var labels = new int[total];
        var sample = 0;
        for (var f = 0; f < files.Length; f++)
        {
            for (var at = 0; at < files[f].Length; at += CifarRecord, sample++)
            {
                labels[sample] = files[f][at];
                if (labels[sample] > 9)
                    throw new InvalidDataException(
                        $"'{paths[f]}' has label {labels[sample]} at byte {at}; CIFAR-10's go from 0 to 9.");
                var target = features.AsSpan(sample * (CifarRecord - 1), CifarRecord - 1);
                var source = files[f].AsSpan(at + 1, CifarRecord - 1);
                for (var i = 0; i < target.Length; i++) target[i] = source[i] / 127.5f - 1;
            }
        }
        return new Dataset([3, 32, 32], features, labels, classes: 10);
    }

    private static (int[] Dimensions, byte[] Payload) ReadIdxFile(Stream file, string name, int rank)
    {
        using var stream = Unzipped(file, out var mostBytes);
        try
        {
            Span<byte> header = stackalloc byte[4 + 4 * rank];
            stream.ReadExactly(header);
            if (header[0] != 0 || header[1] != 0 || header[2] != 8 || header[3] != rank)
                throw new InvalidDataException(
                    $"'{name}' does not begin as an IDX file of bytes with {rank} dimension{(rank > 1 ? "s" : "")} "
                        + $"does (00 00 08 {rank:D2}): are images and labels mixed up?");
            var dimensions = new int[rank];
            long size = 1;
            for (var i = 0; i < rank; i++)
            {
                dimensions[i] = BinaryPrimitives.ReadInt32BigEndian(header[(4 + 4 * i)..]);
                if (dimensions[i] <= 0 || dimensions[i] > MaxFileBytes / size)
                    throw new InvalidDataException(
                        $"'{name}' claims dimension {dimensions[i]}; sizes are positive, with at most "
                            + $"{MaxFileBytes} bytes in all.");
                size *= dimensions[i];
            }
            if (size > mostBytes)
            {
                throw new InvalidDataException(
                    $"'{name}' has {file.Length} bytes and claims to unpack to {size}, more "
                        + $"than {MaxInflation} times as many; if you trust it, unpack it "
                        + "yourself (gunzip): a file that is not packed has no such limit.");
            }
            return (dimensions, ReadClaimed(stream, (int)size, name));
        }
        catch (EndOfStreamException)
        {
            throw new InvalidDataException($"'{name}' ends before its header does.");
        }
    }

    // A header's claim costs memory only as far as bytes really come.
    private static byte[] ReadClaimed(Stream stream, int size, string name)
    {
        var payload = new byte[Math.Min(size, 1 << 20)];
        var read = 0;
        while (true)
        {
            var count = stream.ReadAtLeast(payload.AsSpan(read), payload.Length - read, throwOnEndOfStream: false);
            read += count;
            if (read < payload.Length)
                throw new InvalidDataException(
                    $"'{name}' claims {size} bytes and ends after {read}: is it fully downloaded?");
            if (read == size) break;
            Array.Resize(ref payload, (int)Math.Min(size, 2L * payload.Length));
        }
        if (stream.ReadByte() >= 0)
            throw new InvalidDataException($"'{name}' holds more than the {size} bytes that it claims.");
        return payload;
    }

    private static int[] Labels(byte[] bytes, string name, int classes)
    {
        var labels = new int[bytes.Length];
        for (var i = 0; i < labels.Length; i++)
            labels[i] = bytes[i] < classes ? bytes[i]
                : throw new InvalidDataException(
                    $"'{name}' has label {bytes[i]} for sample {i}; with {classes} "
                        + $"classes labels go from 0 to {classes - 1}.");
        return labels;
    }

    // Gzip is known by its first bytes, not by the file's name.
    private static Stream Unzipped(Stream file, out long mostBytes)
    {
        Span<byte> magic = stackalloc byte[2];
        var count = file.ReadAtLeast(magic, 2, throwOnEndOfStream: false);
        file.Position = 0;
        var zipped = count == 2 && magic[0] == 0x1F && magic[1] == 0x8B;
        mostBytes = zipped ? MaxInflation * file.Length + (1 << 20) : MaxFileBytes;
        return zipped ? new GZipStream(file, CompressionMode.Decompress, leaveOpen: true) : new BufferedStream(file);
    }

    private static string Existing(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        var dotted = Path.Combine(folder, name.Replace("-idx", ".idx", StringComparison.Ordinal));
        foreach (var candidate in (ReadOnlySpan<string>)[path, path + ".gz", dotted, dotted + ".gz"])
            if (File.Exists(candidate)) return candidate;
        throw new FileNotFoundException(
            $"'{path}' is not there, nor '{name}.gz'; the folder must hold the data set's original files.", path);
    }
}

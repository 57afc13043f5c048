using System.Buffers.Binary;
using System.IO.Compression;
using Flare.Learning;

namespace Flare.Tests.Learning;

public class DatasetTests
{
    [Test]
    public void Digits_are_split_by_class_into_four_fifths_and_one()
    {
        var (train, test) = Datasets.Digits();
        Assert.That(train.Count + test.Count, Is.EqualTo(1797));
        Assert.That(train.SampleShape, Is.EqualTo(new[] { 1, 8, 8 }));
        foreach (var (more, fewer) in train.LabelCounts().Zip(test.LabelCounts()))
            Assert.That((double)fewer / (more + fewer), Is.EqualTo(0.2).Within(0.005));
        Assert.That(
            Enumerable.Range(0, train.Count).Select(i => train.Features(i).ToArray().Max()), Has.All.InRange(0.5f, 1f));
        // The file's first row, a zero, is in the training part.
        Assert.That(train.Label(0), Is.Zero);
        Assert.That(
            train.Features(0)[..8].ToArray(), Is.EqualTo(new[] { 0, 0, 5, 13, 9, 1, 0, 0 }.Select(v => v / 16f)));
    }

    [Test]
    public void Breast_cancer_features_are_standardised_by_the_training_part()
    {
        var (train, test) = Datasets.BreastCancer();
        Assert.That(train.Count + test.Count, Is.EqualTo(569));
        Assert.That(train.LabelCounts().Zip(test.LabelCounts(), (a, b) => a + b), Is.EqualTo(new[] { 212, 357 }));
        for (var column = 0; column < 30; column++)
        {
            var values = Enumerable.Range(0, train.Count).Select(i => (double)train.Features(i)[column]).ToArray();
            Assert.That(values.Average(), Is.Zero.Within(1e-6));
            Assert.That(values.Average(v => v * v), Is.EqualTo(1).Within(1e-5));
        }
        Assert.That(test.Features(0).ToArray(), Has.All.InRange(-10f, 20f));
    }

    [Test]
    public void Views_share_the_features()
    {
        var data = new Dataset([2], [0, 1, 2, 3, 4, 5], [0, 1, 0], 2);
        Assert.That(data.Slice(1, 2).Features(1).Overlaps(data.Features(2)));
        Assert.That(data.Subset([2, 0, 2]).Slice(1, 2).Label(1), Is.Zero);
        Assert.That(data.Subset([2, 0, 2]).Features(0).ToArray(), Is.EqualTo(new[] { 4f, 5f }));
        Assert.That(data.ToString(), Is.EqualTo("3 samples of [2], 2 classes"));
    }

    [Test]
    public void Arrays_that_do_not_agree_are_refused()
    {
        Assert.That(
            () => new Dataset([2], [0, 1, 2], [0], 2),
            Throws.ArgumentException.With.Message.Contains("take 2 features; there are 3"));
        Assert.That(() => new Dataset([1], [0], [2], 2), Throws.ArgumentException.With.Message.Contains("label 2"));
        Assert.That(() => new Dataset([1], [0], [-1], 2), Throws.ArgumentException);
        Assert.That(() => new Dataset([0], [], [], 2), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new Dataset([65536, 65536], [], [0], 2), Throws.InstanceOf<Exception>());
    }

    [Test]
    public void Idx_files_are_read_plain_and_gzipped([Values] bool zipped)
    {
        var data = Read(
            Idx([3, 2, 2], [0, 51, 102, 153, 204, 255, 0, 0, 1, 2, 3, 4], zipped), Idx([3], [7, 0, 9], zipped));
        Assert.That(data.SampleShape, Is.EqualTo(new[] { 1, 2, 2 }));
        Assert.That(Enumerable.Range(0, 3).Select(data.Label), Is.EqualTo(new[] { 7, 0, 9 }));
        Assert.That(data.Features(0).ToArray(), Is.EqualTo(new[] { 0, 51 / 255f, 102 / 255f, 153 / 255f }));
        Assert.That(data.Features(1)[1], Is.EqualTo(1f));
    }

    [Test]
    public void Malformed_idx_files_are_refused_with_a_reason()
    {
        byte[] images = Idx([2, 1, 1], [1, 2]), labels = Idx([2], [0, 1]);
        Refuses(images[..^1], labels, "claims 2 bytes and ends after 1");
        Refuses([.. images, 0], labels, "holds more than the 2 bytes");
        Refuses(images[..9], labels, "ends before its header does");
        Refuses([], labels, "ends before its header does");
        Refuses(Idx([20], new byte[20]), labels, "mixed up");
        Refuses(images, Idx([3], [0, 1, 2]), "belong together");
        Refuses(images, Idx([2], [0, 10]), "label 10 for sample 1");
        Refuses(Idx([-1, 1, 1], []), labels, "claims dimension -1");
        Refuses(Idx([0, 1, 1], []), labels, "claims dimension 0");
        Refuses(Idx([int.MaxValue, 28, 28], []), labels, "claims dimension 2147483647");
        Refuses(Idx([65536, 65536, 65536], []), labels, "claims dimension 65536");
        Refuses(
            Idx([100, 1, 1], [.. Enumerable.Range(0, 100).Select(i => (byte)(i * i))], zipped: true)[..^30], labels,
            "claims 100 bytes and ends after");
    }

    [Test]
    public void A_claim_takes_memory_only_as_bytes_come()
    {
        var images = Idx([1 << 20, 32, 32], [1, 2, 3]);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(() => Read(images, Idx([1], [0])), Throws.InstanceOf<InvalidDataException>());
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(4 << 20));
    }

    [Test]
    public void A_small_gzipped_file_that_unpacks_to_much_is_refused_before_it_does()
    {
        const int Bytes = 64 << 20;
        var folder = Directory.CreateTempSubdirectory("flare-bomb").FullName;
        try
        {
            string images = Path.Combine(folder, "images.gz"), plain = Path.Combine(folder, "images");
            var labels = Path.Combine(folder, "labels");
            File.WriteAllBytes(images, Idx([Bytes >> 20, 1 << 10, 1 << 10], new byte[Bytes], zipped: true));
            File.WriteAllBytes(labels, Idx([Bytes >> 20], new byte[Bytes >> 20]));
            Assert.That(new FileInfo(images).Length, Is.LessThan(Bytes / 50));
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.That(() => Datasets.Idx(images, labels), Throws.InstanceOf<InvalidDataException>()
                .With.Message.Contains("claims to unpack to 67108864, more than 50 times as many").And.Message.Contains(
                    "gunzip"));
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));

            // As the message says: the same bytes, not packed, are taken.
            File.WriteAllBytes(plain, Idx([4, 1 << 10, 1 << 10], new byte[4 << 20]));
            File.WriteAllBytes(labels, Idx([4], new byte[4]));
            Assert.That(Datasets.Idx(plain, labels).Count, Is.EqualTo(4));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public void Mnist_is_read_under_the_names_that_other_tools_give_its_files([Values] bool zipped)
    {
        var folder = Directory.CreateTempSubdirectory("flare-mnist").FullName;
        try
        {
            foreach (var part in (string[])["train", "t10k"])
            {
                var end = zipped ? ".gz" : "";
                File.WriteAllBytes(
                    Path.Combine(folder, $"{part}-images.idx3-ubyte{end}"), Idx([1, 1, 1], [255], zipped));
                File.WriteAllBytes(Path.Combine(folder, $"{part}-labels.idx1-ubyte{end}"), Idx([1], [5], zipped));
            }
            var (train, test) = Datasets.Mnist(folder);
            Assert.That((train.Label(0), test.Features(0)[0]), Is.EqualTo((5, 1f)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public void Damaged_idx_files_surface_as_invalid_data_only([Values] bool zipped)
    {
        var random = new Random(5);
        byte[] images = Idx([4, 3, 3], [.. Enumerable.Range(0, 36).Select(i => (byte)i)], zipped), labels = Idx(
            [4], [0, 1, 2, 3], zipped);
        var refused = 0;
        for (var trial = 0; trial < 2000; trial++)
        {
            byte[] damagedImages = [.. images], damagedLabels = [.. labels];
            var target = trial % 2 == 0 ? damagedImages : damagedLabels;
            for (var i = random.Next(1, 4); i > 0; i--) target[random.Next(target.Length)] = (byte)random.Next(256);
            if (trial % 5 == 0) damagedImages = damagedImages[..random.Next(damagedImages.Length)];
            try
            {
                Read(damagedImages, damagedLabels);
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }
        Assert.That(refused, Is.GreaterThan(500));
    }

    [Test]
    public void Cifar10_files_are_read_and_checked()
    {
        var folder = Directory.CreateTempSubdirectory("flare-cifar").FullName;
        try
        {
            for (var i = 1; i <= 5; i++)
                File.WriteAllBytes(Path.Combine(folder, $"data_batch_{i}.bin"), Record((byte)i, (byte)(i * 50)));
            Assert.That(
                () => Datasets.Cifar10(folder),
                Throws.InstanceOf<FileNotFoundException>().With.Message.Contains("test_batch.bin"));
            File.WriteAllBytes(Path.Combine(folder, "test_batch.bin"), [.. Record(9, 255), .. Record(0, 0)]);
            var (train, test) = Datasets.Cifar10(folder);
            Assert.That(Enumerable.Range(0, 5).Select(train.Label), Is.EqualTo(new[] { 1, 2, 3, 4, 5 }));
            Assert.That(train.SampleShape, Is.EqualTo(new[] { 3, 32, 32 }));
            Assert.That(train.Features(4)[3071], Is.EqualTo(250 / 127.5f - 1));
            Assert.That(test.Features(0).ToArray(), Has.All.EqualTo(1f));
            Assert.That(test.Features(1).ToArray(), Has.All.EqualTo(-1f));

            var path = Path.Combine(folder, "test_batch.bin");
            File.WriteAllBytes(path, Record(10, 0));
            Assert.That(
                () => Datasets.Cifar10(folder),
                Throws.InstanceOf<InvalidDataException>().With.Message.Contains("label 10"));
            File.WriteAllBytes(path, Record(1, 0)[..^1]);
            Assert.That(
                () => Datasets.Cifar10(folder),
                Throws.InstanceOf<InvalidDataException>().With.Message.Contains("3072 bytes"));
            File.WriteAllBytes(path, []);
            Assert.That(() => Datasets.Cifar10(folder), Throws.InstanceOf<InvalidDataException>());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        static byte[] Record(byte label, byte pixel) => [label, .. Enumerable.Repeat(pixel, 3072)];
    }

    [Test]
    public void Mnist_is_read_from_a_folder_of_its_files()
    {
        var folder = Directory.CreateTempSubdirectory("flare-mnist").FullName;
        try
        {
            File.WriteAllBytes(
                Path.Combine(folder, "train-images-idx3-ubyte.gz"), Idx([2, 1, 1], [0, 255], zipped: true));
            File.WriteAllBytes(Path.Combine(folder, "train-labels-idx1-ubyte.gz"), Idx([2], [3, 4], zipped: true));
            File.WriteAllBytes(Path.Combine(folder, "t10k-images-idx3-ubyte"), Idx([1, 1, 1], [255]));
            Assert.That(
                () => Datasets.Mnist(folder),
                Throws.InstanceOf<FileNotFoundException>().With.Message.Contains("t10k-labels-idx1-ubyte"));
            File.WriteAllBytes(Path.Combine(folder, "t10k-labels-idx1-ubyte"), Idx([1], [5]));
            var (train, test) = Datasets.Mnist(folder);
            Assert.That(
                (train.Count, test.Count, train.Label(1), train.Features(1)[0], test.Label(0)),
                Is.EqualTo((2, 1, 4, 1f, 5)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Refuses(byte[] images, byte[] labels, string reason) =>
        Assert.That(
            () => Read(images, labels), Throws.InstanceOf<InvalidDataException>().With.Message.Contains(reason));

    private static Dataset Read(byte[] images, byte[] labels) =>
        Datasets.ReadIdx(new MemoryStream(images), "images", new MemoryStream(labels), "labels", 10);

    private static byte[] Idx(int[] dimensions, byte[] payload, bool zipped = false)
    {
        var stream = new MemoryStream();
        using (Stream target = zipped ? new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true) : stream)
        {
            target.Write([0, 0, 8, (byte)dimensions.Length]);
            Span<byte> size = stackalloc byte[4];
            foreach (var dimension in dimensions)
            {
                BinaryPrimitives.WriteInt32BigEndian(size, dimension);
                target.Write(size);
            }
            target.Write(payload);
            target.Flush();
            if (!zipped) return stream.ToArray();
        }
        return stream.ToArray();
    }
}

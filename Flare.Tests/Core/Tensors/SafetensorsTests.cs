using System.Buffers.Binary;
using System.Text;
using System.Text.Json;

namespace Flare.Tests.Core.Tensors;

public class SafetensorsTests
{
    [Test]
    public async Task Every_dtype_order_and_role_comes_back_through_file_and_stream([Values] bool async, [Values]
    bool seekable)
    {
        using var model = SampleModels.Random(SampleModels.MixedLayout(), 7);
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "model.safetensors");
        if (async) await model.SaveAsync(path);
        else model.Save(path);
        using var fromFile = async ? await StateDict.LoadAsync(path) : StateDict.Load(path);
        Assert.That(fromFile.ContentEquals(model), fromFile.Layout.DifferenceFrom(model.Layout));
        Assert.That(SampleModels.GapsAreZero(fromFile));

        var bytes = new MemoryStream();
        if (async) await model.SaveAsync(bytes);
        else model.Save(bytes);
        Assert.That(bytes.ToArray(), Is.EqualTo(File.ReadAllBytes(path)));
        bytes.Position = 0;
        Stream stream = seekable ? bytes : new TrickleStream(bytes.ToArray(), 977);
        using var fromStream = async ? await StateDict.LoadAsync(stream) : StateDict.Load(stream);
        Assert.That(fromStream.ContentEquals(model));
    }

    [Test]
    public void The_file_is_what_the_format_says()
    {
        using var model = SampleModels.Random(SampleModels.MixedLayout(), 8);
        var stream = new MemoryStream();
        model.Save(stream);
        var tensors = Independent.Parse(stream.ToArray(), out var metadata);

        Assert.That(metadata["format"], Is.EqualTo("pt"));
        Assert.That(tensors.Keys, Is.EquivalentTo(model.Select(t => t.Name)));
        foreach (var (i, tensor) in model.Index())
        {
            var (dtype, shape, begin, data) = tensors[tensor.Name];
            Assert.That(shape, Is.EqualTo(tensor.Spec.Shape), tensor.Name);
            Assert.That(
                begin % tensor.Spec.DType.Size(), Is.Zero, "PyTorch views a tensor in place only where it is aligned");
            Assert.That(dtype, Is.EqualTo(Independent.Names[(int)tensor.Spec.DType - 1]), tensor.Name);
            Assert.That(data, Is.EqualTo(model.Bytes(i, 0, data.Length).ToArray()), tensor.Name);
            Assert.That(data.LongLength, Is.EqualTo(tensor.Spec.ByteLength));
        }
    }

    [Test]
    public void A_file_from_Python_loads_as_parameters_in_the_order_of_its_data()
    {
        // As safetensors.numpy.save writes it: header in the order of the data, no metadata.
        const string header =
            """{"b":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"a.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}} """;
        using var model = StateDict.Load(Files.Of(header, [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]));
        Assert.That(model.Select(t => t.Spec.ToString()), Is.EqualTo(new[] { "b Int64[]", "a.weight Float32[1,2]" }));
        Assert.That(model["b"].ToArray<long>(), Is.EqualTo(new[] { 5L }));
        Assert.That(model["a.weight"].ToArray<float>(), Is.EqualTo(new[] { 1f, -2f }));
    }

    [Test]
    public void Metadata_outlives_tools_that_add_and_drop_tensors()
    {
        const string header = """
            {"__metadata__":{"flare.buffers":"[\"m\",\"gone\"]","flare.order":"[\"gone\",\"m\",\"a\"]","made by":"somebody"},
            "new":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"comment":{"any":["thing"]}},
            "a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"m":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}
            """;
        using var model = StateDict.Load(Files.Of(header, [1, 2, 3]));
        Assert.That(
            model.Select(t => $"{t.Spec} {t.ToArray<byte>()[0]}"),
            Is.EqualTo(new[] { "m UInt8[1] buffer 3", "a UInt8[1] 2", "new UInt8[1] 1" }));
    }

    [Test]
    public void A_stream_may_hold_several_models()
    {
        using var first = StateDict.Create(("a", [1, 2, 3]));
        using var second = StateDict.Create(("b", [4]));
        var stream = new MemoryStream();
        first.Save(stream);
        second.Save(stream);
        foreach (var source in new Stream[] { new MemoryStream(stream.ToArray()),
            new TrickleStream(stream.ToArray(), 5) })
        {
            using var one = StateDict.Load(source);
            using var two = StateDict.Load(source);
            Assert.That(one.ContentEquals(first) && two.ContentEquals(second));
        }
    }

    [Test]
    public void A_model_without_tensors_is_a_file_too()
    {
        using var model = new StateDict(new TensorLayout());
        var stream = new MemoryStream();
        model.Save(stream);
        stream.Position = 0;
        using var back = StateDict.Load(stream);
        Assert.That(back.Count, Is.Zero);
    }

    [Test]
    public async Task A_save_that_fails_leaves_the_earlier_file_and_nothing_else()
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "model.safetensors");
        using var model = StateDict.Create(("w", [1, 2, 3]));
        await model.SaveAsync(path);
        var before = await File.ReadAllBytesAsync(path);

        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        model.ScaleInPlace(2);
        Assert.That(
            async () => await model.SaveAsync(path, cancelled.Token), Throws.InstanceOf<OperationCanceledException>());
        using var unnameable = StateDict.Create(("__metadata__", [1]));
        Assert.That(
            () => unnameable.Save(path),
            Throws.InstanceOf<SafetensorsException>().With.Message.Contains("Rename the tensor"));
        Assert.That(await File.ReadAllBytesAsync(path), Is.EqualTo(before));
        Assert.That(Directory.GetFiles(directory.Path), Has.Length.EqualTo(1));

        await model.SaveAsync(path);
        using var back = await StateDict.LoadAsync(path);
        Assert.That(back.ContentEquals(model), "a later save takes the earlier file's place");
        Assert.That(Directory.GetFiles(directory.Path), Has.Length.EqualTo(1));
    }

    /// <summary>The format from its description alone.</summary>
    private static class Independent
    {
        public static readonly string[] Names =
            ["F32", "F64", "F16", "BF16", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"];

        public static Dictionary<string, (string DType, long[] Shape, int Begin, byte[] Data)> Parse(
            byte[] file, out Dictionary<string, string> metadata)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
            Assert.That(length % 8, Is.Zero, "padded, so that the data is aligned");
            Assert.That(file[8], Is.EqualTo((byte)'{'));
            var data = file.AsSpan(8 + length);
            using var json = JsonDocument.Parse(Encoding.UTF8.GetString(file, 8, length));
            var tensors = new Dictionary<string, (string, long[], int, byte[])>();
            metadata = [];
            foreach (var field in json.RootElement.EnumerateObject())
            {
                if (field.Name == "__metadata__")
                {
                    metadata = field.Value.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!);
                    continue;
                }
                int[] offsets = [.. field.Value.GetProperty("data_offsets").EnumerateArray().Select(x => x.GetInt32())];
                tensors.Add(field.Name, (field.Value.GetProperty("dtype").GetString()!,
                    [.. field.Value.GetProperty("shape").EnumerateArray().Select(x => x.GetInt64())], offsets[0],
                    data[offsets[0]..offsets[1]].ToArray()));
            }
            Assert.That(tensors.Values.Sum(t => t.Item4.Length), Is.EqualTo(data.Length), "the data has no gaps");
            return tensors;
        }
    }
}

/// <summary>Files made by hand.</summary>
internal static class Files
{
    public static MemoryStream Of(string header, byte[] data) => Of(Encoding.UTF8.GetBytes(header), data);

    public static MemoryStream Of(byte[] header, byte[] data)
    {
        var bytes = new byte[8 + header.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, header.Length);
        header.CopyTo(bytes, 8);
        data.CopyTo(bytes, 8 + header.Length);
        return new MemoryStream(bytes);
    }
}

/// <summary>A stream of unknown length that gives a few bytes at a time.</summary>
internal sealed class TrickleStream(byte[] content, int atMost) : Stream
{
    private int _position;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set =>
        throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        var count = Math.Min(Math.Min(buffer.Length, atMost), content.Length - _position);
        content.AsSpan(_position, count).CopyTo(buffer);
        _position += count;
        return count;
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        new(Read(buffer.Span));

    public override void Flush() { }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}

/// <summary>A directory of a test's own, gone with it.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("flare-tests-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Flare.Tests.Core.Tensors;

/// <summary>A tensor as bytes, in parts, pinned, and as System.Numerics.Tensors has it.</summary>
public unsafe class TensorViewTests
{
    private static IEnumerable<DType> DTypeValues => Enum.GetValues<DType>();

    private static StateDict Model(DType dtype, params long[] shape) =>
        SampleModels.Random(new TensorLayout(new("first", DType.Int8, [3]), new("w", dtype, shape)), 1);

    [TestCaseSource(nameof(DTypeValues))]
    public void Bytes_are_the_elements_whatever_their_type(DType dtype)
    {
        using var model = Model(dtype, 5, 3);
        var bytes = model["w"].Bytes;
        Assert.That(bytes.Length, Is.EqualTo(15 * dtype.Size()));
        using var other = StateDict.CreateUninitialized(model.Layout);
        foreach (var tensor in model) tensor.Bytes.CopyTo(other[tensor.Name].WritableBytes);
        Assert.That(other.ContentEquals(model));
        Assert.That(other.Sha256(), Is.EqualTo(model.Sha256()));
        if (dtype == DType.Float32)
            Assert.That(
                bytes.ToArray(), Is.EqualTo(MemoryMarshal.AsBytes(model["w"].AsReadOnlySpan<float>()).ToArray()));
    }

    [Test]
    public void Frozen_tensors_give_bytes_for_reading_only()
    {
        using var model = Model(DType.Float32, 2);
        model.Freeze();
        Assert.That(model["w"].Bytes.Length, Is.EqualTo(8));
        Assert.That(
            () => model["w"].WritableBytes.Length, Throws.InvalidOperationException.With.Message.Contains("frozen"));
        Assert.That(() => model["w"].WritableBytesOf(new(0, 1)).Length, Throws.InvalidOperationException);
        Assert.That(() => Model(DType.Float32, 2)["w"].CopyTo(model["w"]), Throws.InvalidOperationException);
    }

    [TestCase(0, 4), TestCase(1, 4), TestCase(4, 4), TestCase(10, 4), TestCase(10, 1), TestCase(10, 100)]
    public void Chunks_are_all_of_a_tensor_once_and_in_order(int elements, int length)
    {
        using var model = Model(DType.Float64, elements);
        List<double> walked = [];
        foreach (var chunk in model["w"].Chunks(length))
        {
            Assert.That(chunk.Length, Is.InRange(1, length));
            Assert.That(chunk.Start, Is.EqualTo(walked.Count));
            walked.AddRange(MemoryMarshal.Cast<byte, double>(model["w"].BytesOf(chunk)));
        }
        Assert.That(walked, Is.EqualTo(model["w"].ToArray<double>()));
        var whole = 0;
        foreach (var chunk in model["w"].Chunks()) whole += chunk.Length;
        Assert.That(whole, Is.EqualTo(elements));
    }

    [Test]
    public void Parts_outside_of_a_tensor_are_refused()
    {
        using var model = Model(DType.Int64, 4);
        TensorChunk[] outside =
            [new(3, 2), new(-1, 1), new(5, 0), new(0, -1), new(long.MaxValue, 1), new(long.MinValue, 1),
                new(0, int.MaxValue), new(1L << 61, 1)];
        foreach (var chunk in outside)
            Assert.That(
                () => model["w"].BytesOf(chunk).Length, Throws.InstanceOf<ArgumentOutOfRangeException>(), $"{chunk}");
        Assert.That(model["w"].BytesOf(new(4, 0)).Length, Is.Zero);
        Assert.That(() => model["w"].Chunks(0), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Walking_allocates_nothing()
    {
        using var model = Model(DType.Float32, 100_000);
        var (view, sum) = (model["w"], 0L);
        long Walk()
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            foreach (var chunk in view.Chunks(10)) sum += view.BytesOf(chunk).Length;
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Walk();
        Assert.That(Walk(), Is.Zero);
        Assert.That(sum, Is.EqualTo(800_000));
    }

    [Test]
    public void A_pinned_address_is_the_tensors_own()
    {
        using var model = Model(DType.Float32, 7);
        using var handle = model["w"].Pin();
        Assert.That((long)handle.Pointer % 64, Is.Zero);
        ((float*)handle.Pointer)[6] = 42;
        Assert.That(model["w"].AsReadOnlySpan<float>()[6], Is.EqualTo(42));
    }

    [Test]
    public void What_is_pinned_is_nobody_elses_until_the_handle_is_disposed_of()
    {
        var layout = new TensorLayout(new TensorSpec("w", DType.Int32, [54_321])); // a size that no other test has
        var model = new StateDict(layout);
        var handle = model["w"].Pin();
        ((int*)handle.Pointer)[54_320] = 42;
        model.Dispose();
        Assert.That(() => model["w"].Pin(), Throws.InstanceOf<ObjectDisposedException>());
        for (var i = 0; i < 3; i++)
        {
            GC.Collect();
            using var other = new StateDict(layout);
            other.Fill(7);
        }
        Assert.That(((int*)handle.Pointer)[54_320], Is.EqualTo(42));
        handle.Dispose();

        using var next = new StateDict(layout);
        var address = Address(next);
        next["w"].Pin().Dispose();
        next.Dispose();
        using var again = new StateDict(layout);
        Assert.That(Address(again), Is.EqualTo(address), "once unpinned, memory goes to the pool as ever");
    }

    private static nint Address(StateDict model)
    {
        using var handle = model["w"].Pin();
        return (nint)handle.Pointer;
    }

    [Test]
    public void A_scalar_is_one_element_for_reading_and_writing()
    {
        using var model = new StateDictBuilder()
            .Add<float>(new TensorSpec("temperature", DType.Float32, []), [7f])
            .Add<long>(new TensorSpec("num_batches_tracked", DType.Int64, [], TensorRole.Buffer), [3])
            .Add<float>(new TensorSpec("none", DType.Float32, [0, 2]), [])
            .Build();
        Assert.That(model["temperature"].AsReadOnlyTensorSpan<float>().FlattenedLength, Is.EqualTo((nint)1));
        Assert.That(Tensor.Sum(model["num_batches_tracked"].AsReadOnlyTensorSpan<long>()), Is.EqualTo(3));
        model["temperature"].AsTensorSpan<float>().Fill(8f);
        Assert.That(model["temperature"].AsReadOnlySpan<float>()[0], Is.EqualTo(8f));
        Assert.That(model["temperature"].AsTensorSpan<float>().Lengths.ToArray(), Is.EqualTo(new nint[] { 1 }));
        Assert.That(model["none"].AsReadOnlyTensorSpan<float>().FlattenedLength, Is.EqualTo((nint)0));
    }

    [Test]
    public void Elements_are_copied_between_tensors_of_one_type_and_length()
    {
        using var source = Model(DType.BFloat16, 2, 3);
        using var same = Model(DType.BFloat16, 6);
        source["w"].CopyTo(same["w"]);
        Assert.That(same["w"].Bytes.SequenceEqual(source["w"].Bytes));
        Assert.That(() => source["w"].CopyTo(Model(DType.BFloat16, 5)["w"]), Throws.ArgumentException);
        Assert.That(
            () => source["w"].CopyTo(Model(DType.Float16, 6)["w"]),
            Throws.ArgumentException.With.Message.Contains("w Float16[6]"));
    }
}

using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace Flare.Tests.Core.Tensors;

public class StateDictTests
{
    [Test]
    public void It_shows_people_what_it_holds()
    {
        using var model = StateDict.Create(("w", [1, 2, 3], [1, 3]), ("b", [4], [1]));
        Assert.That(model.ToString(), Is.EqualTo("2 tensors, 4 elements: w Float32[1,3], b Float32[1]"));
        Assert.That(model["w"].ToString(), Is.EqualTo("w Float32[1,3]"));
        Assert.That(default(TensorView).ToString(), Is.EqualTo("no tensor"));
        var many = new StateDict(
            new TensorLayout(Enumerable.Range(1, 6).Select(i => new TensorSpec($"t{i}", DType.Float32, [400]))));
        Assert.That(
            many.ToString(), Is.EqualTo(
                "6 tensors, 2,400 elements: t1 Float32[400], t2 Float32[400], t3 Float32[400], t4 Float32[400], t5 "
                    + "Float32[400], …"));
        many.Dispose();
        Assert.That(many.ToString(), Does.StartWith("6 tensors"), "a debugger may show what is disposed");
        Assert.That(new StateDict(new TensorLayout()).ToString(), Is.EqualTo("0 tensors, 0 elements"));
    }

    [Test]
    public void Tensors_are_made_of_arrays_and_read_by_name_and_place()
    {
        using var model = new StateDictBuilder()
            .Add("fc.weight", [1f, 2, 3, 4, 5, 6], 2, 3)
            .Add("fc.bias", new[] { 0.5, 1.5 })
            .AddBuffer("steps", [9L])
            .Build();
        Assert.That(
            model.Select(t => t.Spec.ToString()),
            Is.EqualTo(new[] { "fc.weight Float32[2,3]", "fc.bias Float64[2]", "steps Int64[1] buffer" }));
        Assert.That(model["fc.bias"].ToArray<double>(), Is.EqualTo(new[] { 0.5, 1.5 }));
        Assert.That(model[2].ToArray<long>(), Is.EqualTo(new[] { 9L }));
        Assert.That(model["fc.weight"].AsReadOnlySpan<float>(4, 2).ToArray(), Is.EqualTo(new[] { 5f, 6 }));

        using var shaped = StateDict.Create(("w", [1, 2, 3, 4], [2, 2]), ("s", [5], []));
        Assert.That(shaped.Select(t => t.Spec.ToString()), Is.EqualTo(new[] { "w Float32[2,2]", "s Float32[]" }));
    }

    [Test]
    public void Wrong_questions_are_answered_with_what_is_there()
    {
        using var model = StateDict.Create(("w", [1, 2, 3]));
        Assert.That(
            () => model["v"],
            Throws.InstanceOf<KeyNotFoundException>().With.Message.Contains("'v'").And.Message.Contains(
                "There are: w."));
        Assert.That(() => model[1], Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(
            () => model["w"].AsSpan<double>(),
            Throws.InvalidOperationException.With.Message.EqualTo("Tensor 'w' holds Float32, not Double."));
        Assert.That(() => model["w"].AsSpan<float>(2, 2), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => model["w"].AsSpan<float>(long.MaxValue, 2), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(
            () => new StateDictBuilder().Add("w", [1f, 2], 3),
            Throws.ArgumentException.With.Message.Contains(
                "Tensor 'w' is Float32[3], 3 elements, but there are 2 values."));
        Assert.That(() => new StateDictBuilder().Add("w", [1m]), Throws.InstanceOf<NotSupportedException>());
    }

    [Test]
    public void Views_meet_System_Numerics_Tensors()
    {
        using var model = StateDict.Create(("w", [1, 2, 3, 4, 5, 6], [2, 3]));
        var tensor = model["w"].AsTensorSpan<float>();
        tensor[1, 2] = 60;
        Assert.That(model["w"].ToArray<float>()[5], Is.EqualTo(60));
        Assert.That(model["w"].AsReadOnlyTensorSpan<float>().Lengths.ToArray(), Is.EqualTo(new nint[] { 2, 3 }));
        Assert.That(TensorPrimitives.Sum(model["w"].AsReadOnlySpan<float>()), Is.EqualTo(75));
    }

    [Test]
    public void A_clone_is_writable_and_its_own()
    {
        using var model = StateDict.Create(("w", [1, 2, 3])).Freeze();
        using var clone = model.Clone();
        clone["w"].AsSpan<float>()[0] = 100;
        Assert.That(model["w"].ToArray<float>(), Is.EqualTo(new float[] { 1, 2, 3 }));
    }

    [Test]
    public void Tensors_used_after_disposal_say_what_to_do()
    {
        var model = StateDict.Create(("w", [1, 2, 3]));
        var view = model["w"];
        model.Dispose();
        model.Dispose();
        Func<object?>[] uses =
            [() => view.ToArray<float>(), () => model.Clone(), () => model.L2Norm(), () => model.Sha256(), () => model
                + model];
        foreach (var use in uses)
            Assert.That(
                () => use(), Throws.InstanceOf<ObjectDisposedException>().With.Message.Contains("Keep a Clone()"));
    }

    [Test]
    public void A_frozen_state_dict_survives_its_holders_disposal_but_not_its_consumption_once_handed_over()
    {
        var frozen = StateDict.Create(("w", [1, 2, 3])).Freeze();
        frozen.Dispose();
        frozen.ReleaseIfHandedOver();
        Assert.That(frozen["w"].ToArray<float>(), Has.Length.EqualTo(3));

        var handed = StateDict.Create(("w", [1, 2, 3])).HandOver();
        handed.Dispose();
        Assert.That(handed["w"].ToArray<float>(), Has.Length.EqualTo(3), "handed over is frozen until consumed");
        handed.ReleaseIfHandedOver();
        Assert.That(() => handed["w"].ToArray<float>(), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void A_span_keeps_the_memory_of_a_state_dict_that_nobody_holds()
    {
        var span = SpanOfAbandoned();
        for (var i = 0; i < 3; i++)
        {
            GC.Collect();
            using var other = new StateDict(new TensorLayout(new TensorSpec("w", DType.Int32, [100_003])));
            other.Fill(-1);
        }
        Assert.That(span.ContainsAnyExcept(42), Is.False);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static Span<int> SpanOfAbandoned()
        {
            var model = new StateDict(new TensorLayout(new TensorSpec("w", DType.Int32, [100_003])));
            model.Fill(42);
            return model["w"].AsSpan<int>();
        }
    }

    [Test]
    public void New_state_dicts_are_zero_even_of_used_memory()
    {
        var layout = SampleModels.MixedLayout();
        using (var used = SampleModels.Random(layout, 3)) Assert.That(used.L2Norm(), Is.GreaterThan(0));
        using var fresh = new StateDict(layout);
        Assert.That(fresh.RunBytes(0, (int)layout.ByteLength).ContainsAnyExcept((byte)0), Is.False);
        fresh.RunBytes(0, (int)layout.ByteLength).Fill(0xFF);
        fresh.Dispose();
        using var garbage = StateDict.CreateUninitialized(layout);
        Assert.That(SampleModels.GapsAreZero(garbage));
    }
}

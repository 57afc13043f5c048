
namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>Values chosen to lie at the edges of what each form of the sums holds.</summary>
public class BoundsTests
{
    private static StateDict Filled(TensorLayout layout, Func<int, double> value)
    {
        var model = new StateDict(layout);
        var elements = model[0].AsSpan<float>();
        for (var i = 0; i < elements.Length; i++) elements[i] = (float)value(i);
        return model.Freeze();
    }

    [Test]
    public void The_lowest_bit_survives_sums_of_every_size_above_it([Values(1, 3, 8, 31)] int repeats, [Values]
    bool streaming, [Values] bool portable)
    {
        // A number with its lowest bit set stays. Something 2^d times as large comes and goes, and so do numbers of
        // every size between, each just under a power of two, which may be half a grid. One bit lost on the way shows
        // in what is left.
        var kernels = portable ? BlockKernels.PortableKernels : BlockKernels.Best;
        for (var d = 0; d <= 110; d++)
        {
            var layout = ExactModels.Floats(d + 1);
            var stays = Filled(layout, _ => MathF.BitIncrement(1));
            var (large, minusLarge) =
                (Filled(layout, _ => Math.ScaleB(1.5, d)), Filled(layout, _ => -Math.ScaleB(1.5, d)));
            var (middle, minusMiddle) = (Filled(layout, j => JustBelow(j + 1)), Filled(layout, j => -JustBelow(j + 1)));
            var (larger, minusLarger) =
                (Filled(layout, _ => Math.ScaleB(1.25, d + 9)), Filled(layout, _ => -Math.ScaleB(1.25, d + 9)));
            List<(StateDict, double)> contributions =
                [(large, 1), .. Enumerable.Repeat((middle, 1.0), repeats), (stays, 1)];
            if (streaming) contributions.AddRange([(larger, 1), (minusLarger, 1)]);
            contributions.AddRange([.. Enumerable.Repeat((minusMiddle, 1.0), repeats), (minusLarge, 1)]);
            var terms = contributions.Count;

            using var mean = new ExactSum(layout, [], null, kernels);
            using var result = new StateDict(layout);
            if (streaming)
            {
                foreach (var (model, weight) in contributions) mean.Add(model, weight);
                mean.Complete(result);
            }
            else
            {
                mean.Complete(contributions.ToArray(), result);
            }
            Assert.That(
                result[0].AsReadOnlySpan<float>()
                .ToArray(), Is.All.EqualTo(
                    (float)Oracle.Mean([(MathF.BitIncrement(1), 1), (0, terms - 1)], DType.Float32)), $"d = {d}");
        }

        static double JustBelow(int j) => Math.ScaleB(1, j) - Math.ScaleB(1, j - 24);
    }

    [Test]
    public void One_sign_fills_the_window_to_its_top([Values(1, 5, 29, 61)] int repeats, [Values] bool portable)
    {
        for (var d = 0; d <= 110; d++)
        {
            var layout = ExactModels.Floats(1);
            var one = Filled(layout, _ => MathF.BitIncrement(1));
            var full = Filled(layout, _ => Math.ScaleB(2 - Math.ScaleB(1, -23), d));
            (StateDict Tensors, double Weight)[] added =
                [.. Enumerable.Repeat((full, 1.0), repeats), (one, 1), (full, 1)];
            using var mean = new ExactSum(
                layout, [], null, portable ? BlockKernels.PortableKernels : BlockKernels.Best);
            mean.Add(added);
            for (var i = 0; i <= repeats; i++) mean.Subtract(full, 1);
            using var result = mean.Complete();
            Assert.That(result[0].AsReadOnlySpan<float>()[0], Is.EqualTo(MathF.BitIncrement(1)), $"d = {d}");
        }
    }

    [Test]
    public void The_faintest_bit_decides_between_two_floats([Values] bool portable, [Values] bool wide)
    {
        // Half of two neighbours' sum lies between them. A third contribution, too small to show in a double, decides.
        var random = new Random(1);
        var layout = ExactModels.Floats(4000);
        var lower = Filled(layout, _ => random.NextDouble() + 1);
        var upper = Filled(layout, i => MathF.BitIncrement(lower[0].AsReadOnlySpan<float>()[i]));
        var faint = Filled(layout, _ => Math.ScaleB(random.Next(-1, 2), -random.Next(40, 75)));
        (StateDict Tensors, double Weight)[] contributions = [(lower, 3), (upper, 3), (faint, 3), (faint, 3)];
        using var mean = new ExactSum(
            layout, [], null, portable ? BlockKernels.PortableKernels : BlockKernels.Best, wide);
        using var result = new StateDict(layout);
        mean.Complete(contributions, result);
        for (var i = 0; i < 4000; i++)
        {
            var expected = (float)Oracle.Mean(
                contributions.Select(c => ((double)c.Tensors[0].AsReadOnlySpan<float>()[i], c.Weight)), DType.Float32);
            Assert.That(result[0].AsReadOnlySpan<float>()[i], Is.EqualTo(expected), $"element {i}");
        }
    }
}

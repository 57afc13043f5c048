using Flare.Learning;

namespace Flare.Tests.Learning;

/// <summary>Losses and gradients against central differences of a plain network in double precision.</summary>
public class GradientTests
{
    private static IEnumerable<TestCaseData> Networks()
    {
        yield return Case("linear", () => new([7], 1, ("fc", new Linear(7, 4))));
        yield return Case(
            "two linear layers and ReLU",
            () => new([7], 1, ("fc1", new Linear(7, 33)), ("relu", new ReLU()), ("fc2", new Linear(33, 4))));
        foreach (var (kernel, stride, padding) in new[] { (1, 1, 0), (3, 1, 0), (3, 1, 1), (3, 1, 2), (3, 2, 0),
            (3, 2, 1), (2, 3, 1), (5, 2, 3), (1, 3, 0) })
            yield return Case(
                $"convolution of kernel {kernel}, stride {stride}, padding {padding}", () => new([2, 7, 9], 2,
                ("conv1", new Conv2d(2, 5, 1)), ("conv2", new Conv2d(5, 3, kernel, stride, padding)),
                ("flatten", new Flatten()), Head([2, 7, 9], kernel, stride, padding, 3)));
        foreach (var channels in new[] { 1, 4, 6, 7, 8, 9, 11, 13 })
            yield return Case($"convolution to {channels} channels and from them", () => new([2, 4, 4], 3,
                ("conv1", new Conv2d(2, channels, 3, padding: 1)), ("conv2", new Conv2d(channels, 2, 3)),
                ("flatten", new Flatten()), ("fc", new Linear(8, 3))));
        foreach (var (kernel, stride) in new[] { (2, 2), (3, 1), (3, 2), (2, 3) })
        {
            yield return Case($"max pooling {kernel} by {stride}", () => new([1, 8, 9], 4,
                ("conv", new Conv2d(1, 3, 3, padding: 1)), ("pool", new MaxPool2d(kernel, stride)),
                ("flatten", new Flatten()), Tail(8, 9, kernel, stride, 3)));
            yield return Case($"average pooling {kernel} by {stride}", () => new([1, 8, 9], 4,
                ("conv", new Conv2d(1, 3, 3, padding: 1)), ("pool", new AvgPool2d(kernel, stride)),
                ("flatten", new Flatten()), Tail(8, 9, kernel, stride, 3)));
        }
        yield return Case(
            "batch normalisation of features",
            () =>
            new([6], 5, ("fc1", new Linear(6, 5)), ("bn", new BatchNorm1d(5)), ("relu", new ReLU()),
                ("fc2", new Linear(5, 3))));
        yield return Case("batch normalisation of images", () => new([2, 5, 5], 6,
            ("conv", new Conv2d(2, 4, 3)), ("bn", new BatchNorm2d(4)), ("flatten", new Flatten()),
            ("fc", new Linear(36, 3))));
        yield return Case(
            "an image flattened at once",
            () => new([2, 3, 3], 7, ("flatten", new Flatten()), ("drop", new Dropout(0)), ("fc", new Linear(18, 3))));

        static TestCaseData Case(string name, Func<Sequential> make) => new TestCaseData(make).SetArgDisplayNames(name);
        static (string, Layer) Head(int[] input, int kernel, int stride, int padding, int channels) =>
            ("fc", new Linear(
            channels * ((input[1] + 2 * padding - kernel) / stride + 1)
            * ((input[2] + 2 * padding - kernel) / stride + 1), 4));
        static (string, Layer) Tail(int height, int width, int kernel, int stride, int channels) =>
            ("fc", new Linear(channels * ((height - kernel) / stride + 1) * ((width - kernel) / stride + 1), 4));
    }

    [TestCaseSource(nameof(Networks))]
    public void Loss_and_gradients_agree_with_central_differences_in_double(Func<Sequential> make)
    {
        // 19 samples: one full group of lanes and one with gaps.
        var network = make();
        var data = RandomData(network, 23);
        int[] samples = [.. Enumerable.Range(2, 19)];
        var weights = ReferenceNetwork.WeightsOf(network);

        var loss = network.Backpropagate(data, samples);

        Assert.That(loss, Is.EqualTo(ReferenceNetwork.Loss(network, weights, data, samples)).Within(1e-5));
        const int Trials = 8;
        var random = new Random(3);
        foreach (var parameter in network.Parameters)
        {
            var values = weights[parameter.Name];
            var gradients = parameter.Gradient.AsReadOnlySpan<float>().ToArray();
            for (var trial = 0; trial < Math.Min(values.Length, Trials); trial++)
            {
                var i = values.Length <= Trials ? trial : random.Next(values.Length);
                const double Step = 1e-6;
                var kept = values[i];
                values[i] = kept + Step;
                var up = ReferenceNetwork.Loss(network, weights, data, samples);
                values[i] = kept - Step;
                var down = ReferenceNetwork.Loss(network, weights, data, samples);
                values[i] = kept;
                Assert.That(gradients[i], Is.EqualTo((up - down) / (2 * Step)).Within(2e-5), $"{parameter.Name}[{i}]");
            }
        }
    }

    [Test]
    public void Of_equal_values_the_first_takes_a_max_poolings_gradient()
    {
        var network = new Sequential(
            [1, 4, 4], 1, ("conv", new Conv2d(1, 1, 1)), ("pool", new MaxPool2d(2)), ("flatten", new Flatten()),
            ("fc", new Linear(4, 2)));
        var data = new Dataset([1, 4, 4], [.. Enumerable.Repeat(0.5f, 16)], [0], 2);
        network.Backpropagate(data, [0]);
        // The pooled values' gradients add up to the bias's, however many pixels tie.
        var weights = network.Parameters[2].Value.AsReadOnlySpan<float>().ToArray();
        var logits = network.Parameters[3].Gradient.AsReadOnlySpan<float>().ToArray();
        var expected = Enumerable.Range(0, 2).Sum(c => logits[c] * weights.Skip(4 * c).Take(4).Sum());
        Assert.That(network.Gradients["conv.bias"].AsReadOnlySpan<float>()[0], Is.EqualTo(expected).Within(1e-6));
        Assert.That(expected, Is.Not.Zero.Within(1e-4));
    }

    [Test]
    public void Results_do_not_depend_on_larger_batches_seen_before()
    {
        Sequential fresh = Models.DigitsCnn(1), used = Models.DigitsCnn(1);
        var data = RandomData(fresh, 64);
        int[] few = [3, 1, 4, 15];
        used.Backpropagate(data, [.. Enumerable.Range(0, 64)]);

        Assert.That(used.Backpropagate(data, few), Is.EqualTo(fresh.Backpropagate(data, few)));
        foreach (var (one, other) in fresh.Parameters.Zip(used.Parameters))
            Assert.That(
                other.Gradient.AsReadOnlySpan<float>().SequenceEqual(one.Gradient.AsReadOnlySpan<float>()), one.Name);
    }

    [Test]
    public void Predictions_are_the_logits_and_do_not_depend_on_the_batch()
    {
        var network = Models.DigitsCnn(1);
        var data = RandomData(network, 20);
        int[] all = [.. Enumerable.Range(0, 20)];
        float[] together = new float[200], alone = new float[10];
        network.Predict(data, all, together);
        var expected = ReferenceNetwork.Logits(network, ReferenceNetwork.WeightsOf(network), data, all);
        for (var n = 0; n < 20; n++)
        {
            network.Predict(data, [n], alone);
            Assert.That(together.AsSpan(n * 10, 10).SequenceEqual(alone));
            Assert.That(alone, Is.EqualTo(expected[n]).Within(1e-5));
        }
    }

    [Test]
    public void A_training_step_allocates_nothing()
    {
        var network = Models.SimpleNetwork();
        var data = RandomData(network, 48);
        var optimizer = new Sgd(0.01, 0.9);
        int[] batch = [.. Enumerable.Range(0, 48)];
        Step(48);
        Step(5);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Step(48);
        Step(5);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        void Step(int count)
        {
            network.Backpropagate(data, batch.AsSpan(0, count));
            optimizer.Step(network);
        }
    }

    internal static Dataset RandomData(Sequential network, int count)
    {
        var random = new Random(11);
        var length = network.InputShape.Aggregate(1, (a, b) => a * b);
        var features = new float[count * length];
        foreach (ref var feature in features.AsSpan()) feature = (float)(random.NextDouble() * 2 - 1);
        return new Dataset(
            [.. network.InputShape], features,
            [.. Enumerable.Range(0, count).Select(_ => random.Next(network.Classes))], network.Classes);
    }
}

using Flare.Learning;

namespace Flare.Tests.Learning;

/// <summary>
/// One seed, one model: whatever the width of the vectors. Widths are forced, so that one machine tries all; .ci/run
/// tries the processes that the runtime's own switches make.
/// </summary>
public unsafe class SameBitsTests
{
    private static readonly int[] Widths = [1, 4, 8, 16];

    [TearDown]
    public void Widest() => Lanes.Force(0);

    [TestCaseSource(nameof(Trainings))]
    public void Training_gives_the_same_bits_at_every_width(Training training)
    {
        var results = Widths.Select(width =>
        {
            Lanes.Force(width);
            return training.Run();
        }).ToArray();
        Assert.That(results[0].Loss, Is.Not.NaN.And.GreaterThan(0));
        Assert.That(results, Has.All.EqualTo(results[0]));
    }

    [Test]
    public void The_digits_model_of_one_seed_has_this_hash()
    {
        // Written down, so that a change of order, of an operation, or of a draw does not go unseen: it changes every
        // user's models.
        var network = Models.DigitsCnn(seed: 42);
        var data = Datasets.Digits();
        new LocalTrainer { Epochs = 1 }.Train(network, data.Train, seed: 1);
        using var state = network.StateDict();
        Assert.That(state.Sha256(), Is.EqualTo(
            "345138e7a031a19bb27f7739bda3a11cdde0c8e264397f50438d78f29888fa53"));
    }

    [Test]
    public void Exponentials_have_the_same_bits_at_every_width_and_are_within_two_ulp()
    {
        var values = new float[4096];
        for (var i = 0; i < values.Length; i++) values[i] = -87f * i / values.Length;
        values[^1] = float.NaN;
        values[^2] = float.NegativeInfinity;
        var expected = Exp<Lanes1>(values);
        Assert.That(Exp<Lanes4>(values), Is.EqualTo(expected));
        Assert.That(Exp<Lanes8>(values), Is.EqualTo(expected));
        Assert.That(Exp<Lanes16>(values), Is.EqualTo(expected));
        for (var i = 0; i < values.Length - 2; i++)
        {
            var exact = Math.Exp(values[i]);
            Assert.That(expected[i], Is.EqualTo(exact).Within(2 * (MathF.BitIncrement((float)exact) - (float)exact)));
        }
        Assert.That(expected[^1], Is.NaN);
        Assert.That(expected[^2], Is.GreaterThan(0).And.LessThan(2e-38f));
    }

    [Test]
    public void Logarithms_and_exponentials_in_double_are_within_two_ulp_of_the_platforms()
    {
        var random = new Random(3);
        for (var i = 0; i < 100_000; i++)
        {
            var x = i % 2 == 0 ? random.NextDouble() * 3 : Math.Exp((random.NextDouble() - 0.5) * 1400);
            Assert.That(Elementary.Log(x), Is.EqualTo(Math.Log(x)).Within(2 * Ulp(Math.Log(x))), $"log {x:R}");
            var y = (random.NextDouble() - 0.5) * (i % 2 == 0 ? 4 : 1400);
            Assert.That(Elementary.Exp(y), Is.EqualTo(Math.Exp(y)).Within(2 * Ulp(Math.Exp(y))), $"exp {y:R}");
        }
        Assert.That(Elementary.Log(double.Epsilon), Is.EqualTo(Math.Log(double.Epsilon)).Within(1e-12));
        Assert.That(Elementary.Log(1), Is.Zero);
        Assert.That(Elementary.Log(0), Is.EqualTo(double.NegativeInfinity));
        Assert.That(Elementary.Log(-1), Is.NaN);
        Assert.That(Elementary.Log(double.PositiveInfinity), Is.EqualTo(double.PositiveInfinity));
        Assert.That(Elementary.Exp(double.NegativeInfinity), Is.Zero);
        Assert.That(Elementary.Exp(double.PositiveInfinity), Is.EqualTo(double.PositiveInfinity));
        Assert.That(
            (Elementary.Exp(0), Elementary.Exp(-800), Elementary.Exp(double.NaN)), Is.EqualTo((1.0, 0.0, double.NaN)));
        Assert.That((Elementary.Pow(3, 2), Elementary.Pow(4, -1), Elementary.Pow(7, 0)), Is.EqualTo((9.0, 0.25, 1.0)));
        Assert.That(Elementary.Pow(2, -0.5), Is.EqualTo(Math.Sqrt(0.5)).Within(1e-15));

        static double Ulp(double value) => Math.BitIncrement(Math.Abs(value)) - Math.Abs(value);
    }

    private static float[] Exp<T>(float[] values) where T : struct, ILanes<T>
    {
        var result = new float[values.Length];
        fixed (float* from = values, to = result)
            for (var i = 0; i < values.Length; i += T.Count) T.Store(LaneExponential.Exp(T.Load(from + i)), to + i);
        return result;
    }

    private static IEnumerable<Training> Trainings()
    {
        var digits = Datasets.Digits().Train.Slice(0, 200);
        // A batch of 13 leaves lanes idle, a model of odd sizes leaves values over.
        yield return new("digits, SGD", digits, Models.DigitsCnn, () => new Sgd(0.05, 0.9) { WeightDecay = 1e-3 }, 13);
        yield return new("digits, Adam", digits, Models.DigitsCnn, () => new Adam(0.01) { WeightDecay = 1e-3 }, 16);
        yield return new("every layer", digits, EveryLayer, () => new Sgd(0.02, 0.5), 24);
        yield return new("strides and means", digits, Strides, () => new Adam(), 33);
    }

    private static Sequential EveryLayer(long seed) => new([1, 8, 8], seed,
        ("conv1", new Conv2d(1, 5, 3, padding: 1)), ("norm1", new BatchNorm2d(5)), ("relu1", new ReLU()),
        ("pool1", new MaxPool2d(3, 1)), ("flat", new Flatten()), ("drop", new Dropout(0.3)),
        ("fc1", new Linear(180, 33)), ("norm2", new BatchNorm1d(33)), ("relu2", new ReLU()),
        ("fc2", new Linear(33, 10)));

    private static Sequential Strides(long seed) => new([1, 8, 8], seed,
        ("conv1", new Conv2d(1, 7, 3, stride: 2, padding: 1)), ("pool1", new AvgPool2d(2, 1)), ("relu1", new ReLU()),
        ("conv2", new Conv2d(7, 11, 2)), ("flat", new Flatten()), ("fc", new Linear(44, 10)));

    /// <summary>A short run of training, with everything that it gives.</summary>
    public sealed record Training(
        string Name, Dataset Data, Func<long, Sequential> Model, Func<Optimizer> Optimizer, int Batch)
    {
        internal (string Model, double Loss, double Measured) Run()
        {
            var network = Model(7);
            var trainer = new LocalTrainer { Epochs = 2, BatchSize = Batch, Optimizer = Optimizer };
            var trained = trainer.Train(network, Data, seed: 5);
            using var state = network.StateDict();
            return (state.Sha256(), trained.Loss, LocalTrainer.Evaluate(network, Data).Loss);
        }

        public override string ToString() => Name;
    }
}

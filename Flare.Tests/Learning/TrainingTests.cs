using Flare.Learning;

namespace Flare.Tests.Learning;

public class TrainingTests
{
    private static readonly TrainTest Digits = Datasets.Digits();

    [Test]
    public void DigitsCnn_learns_digits_in_eight_epochs()
    {
        var network = Models.DigitsCnn(1);
        var result = new LocalTrainer { Epochs = 8 }.Train(network, Digits.Train, seed: 1);
        var evaluation = LocalTrainer.Evaluate(network, Digits.Test);
        Assert.That(
            result, Has.Property("Steps").EqualTo(8 * 90).And.Property("Samples").EqualTo(8 * 1438).And.Property("Loss")
            .LessThan(0.1));
        Assert.That(evaluation.Accuracy, Is.GreaterThan(0.97));
        Assert.That(evaluation, Has.Property("Loss").LessThan(0.12).And.Property("Samples").EqualTo(359));
    }

    [Test]
    public void Logistic_regression_diagnoses_breast_cancer()
    {
        var data = Datasets.BreastCancer();
        var network = Models.LogisticRegression(30, 2, seed: 1);
        new LocalTrainer { Epochs = 5, Optimizer = () => new Adam(0.01) }.Train(network, data.Train, seed: 1);
        Assert.That(LocalTrainer.Evaluate(network, data.Test).Accuracy, Is.GreaterThan(0.94));
    }

    [Test]
    public void The_same_seed_gives_the_same_bits_and_another_does_not()
    {
        var first = Trained(7);
        Assert.That(Trained(7), Is.EqualTo(first));
        Assert.That(Trained(8), Is.Not.EqualTo(first));

        static float[] Trained(long seed)
        {
            var network = new Sequential(
                [1, 8, 8], 1, ("flatten", new Flatten()), ("fc1", new Linear(64, 20)), ("bn", new BatchNorm1d(20)),
                ("drop", new Dropout(0.3)), ("fc2", new Linear(20, 10)));
            new LocalTrainer { Epochs = 2, BatchSize = 37 }.Train(network, Digits.Train.Slice(0, 200), seed);
            return [.. network.Parameters.SelectMany(p => p.Value.AsReadOnlySpan<float>().ToArray())];
        }
    }

    [Test]
    public void Dropout_zeroes_its_share_while_training_and_nothing_in_evaluation()
    {
        // The gradient of the next layer's weight shows the activations: its column is zero where the input was
        // dropped.
        var network = new Sequential([2000], 1, ("drop", new Dropout(0.3)), ("fc", new Linear(2000, 2)));
        var data = new Dataset([2000], [.. Enumerable.Repeat(1f, 2000)], [0], 2);
        network.Backpropagate(data, [0]);
        var gradient = network.Gradients["fc.weight"].AsReadOnlySpan<float>()[..2000].ToArray();
        Assert.That(gradient.Count(g => g == 0), Is.EqualTo(600).Within(100));
        Assert.That(gradient.Where(g => g != 0).Distinct().Count(), Is.EqualTo(1));

        float[] logits = new float[2], again = new float[2];
        network.Predict(data, [0], logits);
        network.Predict(data, [0], again);
        Assert.That(again, Is.EqualTo(logits));
        Assert.That(
            logits[0], Is.EqualTo(
                network.Parameters[0].Value.AsReadOnlySpan<float>()[..2000].ToArray()
                .Sum() + network.Parameters[1].Value.AsReadOnlySpan<float>()[0]).Within(1e-4));
    }

    [Test]
    public void Batch_normalisation_evaluates_with_running_statistics()
    {
        var network = new Sequential([1], 1, ("bn", new BatchNorm1d(1)), ("fc", new Linear(1, 2)));
        var data = new Dataset([1], [1, 2, 6, 5], [0, 1, 0, 1], 2);
        network.Backpropagate(data, [0, 1, 2]);
        network.Backpropagate(data, [3]);
        using var state = network.StateDict();
        // Mean 3 and unbiased variance 7 count a tenth; a single value has no variance and leaves both alone.
        Assert.That(state["bn.running_mean"].AsReadOnlySpan<float>()[0], Is.EqualTo(0.3f).Within(1e-6));
        Assert.That(state["bn.running_var"].AsReadOnlySpan<float>()[0], Is.EqualTo(1.6f).Within(1e-6));
        Assert.That(state["bn.num_batches_tracked"].AsReadOnlySpan<long>()[0], Is.EqualTo(2));
        Assert.That(state["bn.running_var"].Spec.Role, Is.EqualTo(TensorRole.Buffer));
        Assert.That(
            network.Gradients.Select(g => g.Name),
            Is.EqualTo(new[] { "bn.weight", "bn.bias", "fc.weight", "fc.bias" }));

        var logits = new float[2];
        network.Predict(data, [2], logits);
        var normalized = (6 - 0.3) / Math.Sqrt(1.6 + 1e-5);
        Assert.That(
            logits[0], Is.EqualTo(
                state["fc.weight"].AsReadOnlySpan<float>()[0] * normalized
                + state["fc.bias"].AsReadOnlySpan<float>()[0]).Within(1e-5));
    }

    [Test]
    public void A_cancelled_token_stops_before_the_next_batch()
    {
        using var abort = new CancellationTokenSource();
        var steps = 0;
        var trainer = new LocalTrainer
        {
            Epochs = 100,
            BeforeStep = _ =>
            {
                if (++steps == 3) abort.Cancel();
            },
        };
        Assert.That(
            () => trainer.Train(Models.DigitsCnn(), Digits.Train, 1, abort.Token),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(steps, Is.EqualTo(3));
        Assert.That(
            () => LocalTrainer.Evaluate(Models.DigitsCnn(), Digits.Test, abort.Token),
            Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void Gradients_may_be_changed_before_the_step()
    {
        var network = Models.LogisticRegression(64, 10);
        var before = network.StateDict();
        new LocalTrainer { BeforeStep = n => n.Parameters[0].Gradient.AsSpan<float>().Clear() }.Train(
            network, Digits.Train, 1);
        var after = network.StateDict();
        Assert.That(
            after["linear.weight"].AsReadOnlySpan<float>()
            .SequenceEqual(before["linear.weight"].AsReadOnlySpan<float>()));
        Assert.That(
            after["linear.bias"].AsReadOnlySpan<float>()
            .SequenceEqual(before["linear.bias"].AsReadOnlySpan<float>()), Is.False);
    }

    [Test]
    public void Weights_are_copied_out_and_in()
    {
        Sequential one = Models.DigitsCnn(1), two = Models.DigitsCnn(2);
        var weights = one.StateDict().Freeze();
        two.Load(weights);
        var scores = new[] { one, two }.Select(n => LocalTrainer.Evaluate(n, Digits.Test)).ToArray();
        Assert.That(scores[1], Is.EqualTo(scores[0]));
        one.Parameters[0].Value.AsSpan<float>().Clear();
        Assert.That(weights[0].AsReadOnlySpan<float>()[0], Is.Not.Zero);
    }

    [Test]
    public void Weights_of_a_file_load_by_name_whatever_their_order_and_role()
    {
        var network = new Sequential([4], 1, ("bn", new BatchNorm1d(4)), ("fc", new Linear(4, 2)));
        using var state = network.StateDict();
        var shuffled = new StateDict(
            new TensorLayout(state.Layout.Reverse().Select(s => new TensorSpec(s.Name, s.DType, s.Shape.AsSpan()))));
        shuffled["fc.bias"].AsSpan<float>().Fill(5);
        shuffled["bn.num_batches_tracked"].AsSpan<long>()[0] = 9;
        network.Load(shuffled);
        network.CopyTo(state);
        Assert.That(state["fc.bias"].AsReadOnlySpan<float>().ToArray(), Has.All.EqualTo(5f));
        Assert.That(state["bn.num_batches_tracked"].AsReadOnlySpan<long>()[0], Is.EqualTo(9));
    }

    [TestCase(1)]
    [TestCase(0)]
    [TestCase(null)]
    public void A_count_of_batches_loads_as_PyTorch_loads_it(int? rank)
    {
        var network = new Sequential([3], 0, ("bn", new BatchNorm1d(3)));
        var builder = new StateDictBuilder();
        foreach (var tensor in network.StateDict())
        {
            if (tensor.Spec.DType == DType.Float32) builder.Add<float>(tensor.Name, [4, 5, 6]);
            else if (rank is 1) builder.Add<long>(tensor.Name, [7], 1);
            else if (rank is 0) builder.Add(new TensorSpec(tensor.Name, DType.Int64, []), [7L]);
        }
        var weights = builder.Build();
        var trained = network.StateDict();
        foreach (var tensor in trained)
            if (tensor.Spec.DType == DType.Int64) tensor.AsSpan<long>().Fill(9);
        network.Load(trained);
        network.Load(weights);
        var loaded = network.StateDict();
        Assert.That(
            loaded.Single(t => t.Spec.DType == DType.Int64).ToArray<long>().Single(), Is.EqualTo(rank is null ? 0 : 7));
        Assert.That(
            loaded.First(t => t.Spec.DType == DType.Float32).ToArray<float>(), Is.EqualTo(new float[] { 4, 5, 6 }));
        var two = new StateDictBuilder();
        foreach (var tensor in weights)
            if (tensor.Spec.DType == DType.Float32) two.Add<float>(tensor.Name, [4, 5, 6]);
        two.Add<long>(trained.Single(t => t.Spec.DType == DType.Int64).Name, [7, 7]);
        Assert.That(() => network.Load(two.Build()), Throws.ArgumentException.With.Message.Contains("num_batches"));
    }

    [Test]
    public void Weights_that_do_not_fit_are_refused_by_name()
    {
        var network = Models.LogisticRegression(4, 2);
        Assert.That(
            () => network.Load(Models.LogisticRegression(5, 2).StateDict()),
            Throws.ArgumentException.With.Message.Contains("'linear.weight'"));
        Assert.That(
            () => network.Load(new StateDict(new TensorLayout(network.Layout[0]))),
            Throws.ArgumentException.With.Message.Contains("lack tensor 'linear.bias'"));
        Assert.That(
            () => network.Load(new StateDict(new TensorLayout([.. network.Layout, new("extra", DType.Float32, [1])]))),
            Throws.ArgumentException.With.Message.Contains("'extra'"));
    }

    [Test]
    public void Layers_that_do_not_fit_are_refused_with_a_remedy()
    {
        Assert.That(
            () => new Sequential([1, 8, 8], 0, ("fc", new Linear(64, 10))),
            Throws.ArgumentException.With.Message.Contains("Flatten"));
        Assert.That(
            () => new Sequential([1, 8, 8], 0, ("conv", new Conv2d(3, 4, 3))),
            Throws.ArgumentException.With.Message.Contains("[3, height, width]"));
        Assert.That(
            () => new Sequential([1, 8, 8], 0, ("conv", new Conv2d(1, 4, 9))),
            Throws.ArgumentException.With.Message.Contains("kernel of 9"));
        Assert.That(
            () => new Sequential([1, 8, 8], 0, ("conv", new Conv2d(1, 4, 3))),
            Throws.ArgumentException.With.Message.Contains("one row of logits"));
        Assert.That(
            () => new Sequential([4], 0, ("fc", new Linear(4, 4)), ("fc", new Linear(4, 2))),
            Throws.ArgumentException.With.Message.Contains("Two layers are named 'fc'"));
        Assert.That(() => new Sequential([4], 0), Throws.ArgumentException);
        var layer = new Linear(4, 4);
        Assert.That(
            () => new Sequential([4], 0, ("a", layer), ("b", layer)),
            Throws.ArgumentException.With.Message.Contains("create a new layer"));
        Assert.That(() => new Conv2d(1, 1, 3, padding: 3), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new Dropout(1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new Sgd(0.1, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new LocalTrainer { BatchSize = 0 }, Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Data_that_do_not_fit_are_refused()
    {
        Assert.That(
            () => Models.SimpleNetwork().Backpropagate(Digits.Train, [0]),
            Throws.ArgumentException.With.Message.Contains("the network takes 3072"));
        Assert.That(
            () => Models.LogisticRegression(64, 9).Backpropagate(Digits.Train, [0]),
            Throws.ArgumentException.With.Message.Contains("10 classes, the network 9"));
        Assert.That(
            () => new LocalTrainer().Train(Models.DigitsCnn(), Digits.Train.Slice(0, 0), 1), Throws.ArgumentException);
        var optimizer = new Sgd(0.1);
        optimizer.Step(Models.DigitsCnn());
        Assert.That(() => optimizer.Step(Models.DigitsCnn()), Throws.InvalidOperationException);
    }
}
